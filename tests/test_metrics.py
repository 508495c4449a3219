"""Metrics against scikit-learn, fed in uneven batches; the device is never waited for; torchmetrics by name."""

import math
import sys

import pytest
import sklearn.metrics as sk
import torch

from fastcli.errors import ConfigError
from fastcli.metrics import Mean, default_metrics
from fastcli.registry import metrics
from fastcli.types import TargetInfo

FIVE = TargetInfo("category", 5)
TWO = TargetInfo("category", 2)
LABELS = TargetInfo("multi_category", 4)
NUMBERS = TargetInfo("regression", 1)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = {n: torch.randn(103, n, generator=GENERATOR) for n in (1, 2, 4, 5)}
CLASSES = {n: torch.randint(n, (103,), generator=GENERATOR) for n in (2, 5)}
GIVEN = (torch.rand(103, 4, generator=GENERATOR) > 0.6).float()
VALUES = torch.randn(103, generator=GENERATOR)


def figure(metric, logits, targets):
    """The metric over batches of 32, the last one short."""
    metric.reset()
    for part, truth in zip(logits.split(32), targets.split(32), strict=True):
        metric.update(part, truth)
    return metric.compute()


def test_accuracy_and_error_rate():
    logits, truth = LOGITS[5], CLASSES[5]
    wanted = sk.accuracy_score(truth, logits.argmax(1))
    assert figure(metrics.build("accuracy", FIVE), logits, truth) == wanted
    assert figure(metrics.build("error_rate", FIVE), logits, truth) == pytest.approx(1 - wanted, abs=1e-12)


@pytest.mark.parametrize("column", [False, True])
def test_accuracy_of_two_classes_told_apart_by_one_output(column):
    logits, truth = LOGITS[1], CLASSES[2]
    targets = truth.unsqueeze(1) if column else truth
    wanted = sk.accuracy_score(truth, logits[:, 0] > 0)
    assert figure(metrics.build("accuracy", TWO), logits, targets) == wanted


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_accuracy(k):
    wanted = sk.top_k_accuracy_score(CLASSES[5], LOGITS[5], k=k) if k < 5 else 1.0
    assert figure(metrics.build("top_k_accuracy", FIVE, k=k), LOGITS[5], CLASSES[5]) == wanted


def test_top_k_accuracy_of_more_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="k=5, but there are 2 classes"):
        metrics.build("top_k_accuracy", TWO)


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_accuracy_multi(threshold):
    wanted = 1 - sk.hamming_loss(GIVEN, LOGITS[4].sigmoid() > threshold)
    got = figure(metrics.build("accuracy_multi", LABELS, threshold=threshold), LOGITS[4], GIVEN)
    assert got == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("mse", sk.mean_squared_error),
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2_score", sk.r2_score),
    ],
)
def test_regression(name, reference):
    if name == "r2_score":
        pytest.importorskip("torchmetrics")
    for predictions in (LOGITS[1], LOGITS[1].bfloat16()):
        got = figure(metrics.build(name, NUMBERS), predictions, VALUES)
        assert got == pytest.approx(reference(VALUES, predictions[:, 0].float()), rel=1e-6)


def test_sums_are_exact_over_a_large_set():
    metric = metrics.build("mae", NUMBERS)
    for _ in range(200):
        metric.update(torch.full((5000, 1), 0.1), torch.zeros(5000))
    assert metric.compute() == pytest.approx(torch.tensor(0.1).item(), abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "error_rate", "top_k_accuracy"])
def test_an_update_never_reads_from_the_device(name):
    """On the meta device any read raises."""
    metric = metrics.build(name, FIVE)
    metric.update(torch.zeros(3, 5, device="meta"), torch.zeros(3, dtype=torch.long, device="meta"))


def test_reset_forgets_and_nothing_seen_is_not_a_number():
    metric = metrics.build("accuracy", FIVE)
    assert math.isnan(metric.compute())
    first = figure(metric, LOGITS[5], CLASSES[5])
    assert figure(metric, LOGITS[5], CLASSES[5]) == first
    metric.reset()
    assert math.isnan(metric.compute())


def test_a_function_of_a_notebook_counts_each_batch_by_its_items():
    def batch_accuracy(logits, targets):
        return ((logits.sigmoid() > 0.5) == targets).float().mean()

    metric = Mean("batch_accuracy", batch_accuracy, higher_is_better=True)
    wanted = sk.accuracy_score(CLASSES[2], LOGITS[1][:, 0] > 0)
    assert figure(metric, LOGITS[1], CLASSES[2].unsqueeze(1)) == pytest.approx(wanted)
    assert repr(metric) == "Mean('batch_accuracy', higher_is_better=True)"


def test_no_graph_is_kept():
    metric = metrics.build("mse", NUMBERS)
    metric.update(LOGITS[1].clone().requires_grad_(), VALUES)
    assert not metric._sum.requires_grad


def test_which_way_is_better():
    better = {name: metrics.build(name, FIVE).higher_is_better for name in ("accuracy", "error_rate")}
    assert better == {"accuracy": True, "error_rate": False}
    assert not metrics.build("rmse", NUMBERS).higher_is_better


def test_the_default_fits_the_target():
    for target in (FIVE, LABELS, NUMBERS):
        for name in default_metrics(target):
            assert metrics.build(name, target).name == name


@pytest.mark.parametrize(("name", "target"), [("accuracy", LABELS), ("mae", FIVE), ("f1_score", NUMBERS)])
def test_a_metric_that_does_not_fit_is_refused(name, target):
    with pytest.raises(ConfigError, match=f"{name} does not fit a {target.kind} target"):
        metrics.build(name, target)


REFERENCES = {"f1_score": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}
RANKED = {"auroc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_averaged_metrics_of_torchmetrics(name, average):
    pytest.importorskip("torchmetrics")
    got = figure(metrics.build(name, FIVE, average=average), LOGITS[5], CLASSES[5])
    assert got == pytest.approx(REFERENCES[name](CLASSES[5], LOGITS[5].argmax(1), average=average), rel=1e-5)
    got = figure(metrics.build(name, LABELS, average=average), LOGITS[4], GIVEN)
    assert got == pytest.approx(REFERENCES[name](GIVEN, LOGITS[4] > 0, average=average), rel=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
def test_binary_is_the_second_class(outputs):
    pytest.importorskip("torchmetrics")
    logits = LOGITS[outputs]
    score = logits[:, 0] if outputs == 1 else logits[:, 1] - logits[:, 0]
    for name, reference in REFERENCES.items():
        got = figure(metrics.build(name, TWO, average="binary"), logits, CLASSES[2])
        assert got == pytest.approx(reference(CLASSES[2], score > 0), rel=1e-5)
    for name, reference in RANKED.items():
        got = figure(metrics.build(name, TWO, average="binary"), logits, CLASSES[2])
        assert got == pytest.approx(reference(CLASSES[2], score), rel=1e-5)


def test_logits_that_look_like_probabilities_are_still_logits():
    pytest.importorskip("torchmetrics")
    logits = torch.tensor([[0.1, 0.9, 0.2], [0.9, 0.3, 0.8], [0.2, 0.9, 0.7], [0.5, 0.4, 0.95]])
    truth = torch.tensor([0, 0, 1, 2])
    got = figure(metrics.build("auroc", TargetInfo("category", 3)), logits, truth)
    assert got == pytest.approx(sk.roc_auc_score(truth, logits.softmax(1), multi_class="ovr", average="macro"))


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_ranked_metrics_of_torchmetrics(average):
    pytest.importorskip("torchmetrics")
    shares = LOGITS[5].softmax(1)
    wanted = sk.roc_auc_score(CLASSES[5], shares, multi_class="ovr", average=average)
    assert figure(metrics.build("auroc", FIVE, average=average), LOGITS[5], CLASSES[5]) == pytest.approx(wanted)
    for name, reference in RANKED.items():
        got = figure(metrics.build(name, LABELS, average=average), LOGITS[4], GIVEN)
        assert got == pytest.approx(reference(GIVEN, LOGITS[4].sigmoid(), average=average), rel=1e-5)


def test_agreement_metrics_of_torchmetrics():
    pytest.importorskip("torchmetrics")
    decided = LOGITS[5].argmax(1)
    for name, reference in {"matthews_corrcoef": sk.matthews_corrcoef, "cohen_kappa": sk.cohen_kappa_score}.items():
        got = figure(metrics.build(name, FIVE), LOGITS[5], CLASSES[5])
        assert got == pytest.approx(reference(CLASSES[5], decided), rel=1e-4)
    got = figure(metrics.build("jaccard", FIVE), LOGITS[5], CLASSES[5])
    assert got == pytest.approx(sk.jaccard_score(CLASSES[5], decided, average="macro"), rel=1e-5)
    got = figure(metrics.build("specificity", TWO, average="binary"), LOGITS[2], CLASSES[2])
    assert got == pytest.approx(sk.recall_score(CLASSES[2], LOGITS[2].argmax(1), pos_label=0), rel=1e-5)


def test_a_torchmetric_says_which_way_is_better_and_forgets():
    pytest.importorskip("torchmetrics")
    metric = metrics.build("f1_score", FIVE)
    assert (metric.name, metric.higher_is_better) == ("f1_score", True)
    assert math.isnan(metric.compute())
    assert figure(metric, LOGITS[5], CLASSES[5]) == figure(metric, LOGITS[5], CLASSES[5])


def test_binary_is_refused_for_more_than_two():
    pytest.importorskip("torchmetrics")
    for target in (FIVE, LABELS):
        with pytest.raises(ConfigError, match="average: binary is for two classes"):
            metrics.build("f1_score", target, average="binary")


def test_without_torchmetrics_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(ConfigError) as error:
        metrics.build("f1_score", FIVE)
    assert str(error.value) == "metric 'f1_score' comes from torchmetrics\nhint: pip install torchmetrics"


def test_yaml_is_held_to_the_averages_there_are():
    with pytest.raises(ConfigError, match="parameter 'average'"):
        metrics.check("auroc", average="micro")
    assert metrics.check("f1_score", average="micro") == {"average": "micro"}
