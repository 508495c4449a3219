"""Torchmetrics by name: scikit-learn's figures, whatever the batches; YAML is checked without torchmetrics."""

import math
import sys

import numpy as np
import pytest
import sklearn.metrics as sk
import torch

from fastcli.errors import ConfigError
from fastcli.metrics.library import REQUIRED, TABLE
from fastcli.registry import metrics
from fastcli.types import TargetInfo

torchmetrics = pytest.importorskip("torchmetrics")
FIVE = TargetInfo("category", 5)
TWO = TargetInfo("category", 2)
LABELS = TargetInfo("multi_category", 4)
PAIRS = TargetInfo("regression", 2)
ONE = TargetInfo("regression", 1)
MASK = TargetInfo("mask", 3)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = {n: torch.randn(103, n, generator=GENERATOR) for n in (1, 2, 4, 5)}
CLASSES = {n: torch.randint(n, (103,), generator=GENERATOR) for n in (2, 5)}
GIVEN = (torch.rand(103, 4, generator=GENERATOR) > 0.6).float()
VALUES = torch.rand(103, 2, generator=GENERATOR) + 0.5
NEAR = VALUES + torch.rand(103, 2, generator=GENERATOR)
AREAS = torch.randn(7, 3, 12, 8, generator=GENERATOR)
TRUE_AREAS = torch.randint(3, (7, 12, 8), generator=GENERATOR)
DATA = {
    "category": (FIVE, LOGITS[5], CLASSES[5]),
    "multi_category": (LABELS, LOGITS[4], GIVEN),
    "regression": (PAIRS, NEAR, VALUES),
    "points": (TargetInfo("points", 2), NEAR, VALUES.unsqueeze(1)),
    "mask": (MASK, AREAS, TRUE_AREAS),
}
GIVEN_VALUES = {"p": 3.0, "threshold": 1.0}


@pytest.mark.parametrize(("entry", "kind"), [(e, kind) for e in TABLE for kind in e.kinds], ids=lambda v: str(v)[:40])
def test_every_metric_gives_one_figure_whatever_the_batches(figure, entry, kind):
    options = {k: GIVEN_VALUES.get(k, 0.3) for k, (_, default) in entry.params.items() if default is REQUIRED}
    target, logits, truth = DATA[kind]
    metric = metrics.build(entry.name, target, **options)
    whole = figure(metric, logits, truth, size=200)
    assert math.isfinite(whole)
    assert figure(metric, logits, truth, size=len(logits) // 3) == pytest.approx(whole, rel=1e-4, abs=1e-6)
    kind_of_metric = type(metric._metric).higher_is_better
    assert metric.higher_is_better == (entry.higher_is_better if kind_of_metric is None else kind_of_metric)


RANKED = {"auroc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


@pytest.mark.parametrize("outputs", [1, 2])
def test_binary_is_the_second_class(figure, outputs):
    logits = LOGITS[outputs]
    score = logits[:, 0] if outputs == 1 else logits[:, 1] - logits[:, 0]
    for name, reference in RANKED.items():
        got = figure(metrics.build(name, TWO, average="binary"), logits, CLASSES[2])
        assert got == pytest.approx(reference(CLASSES[2], score), rel=1e-5)


def test_logits_that_look_like_probabilities_are_still_logits(figure):
    logits = torch.tensor([[0.1, 0.9, 0.2], [0.9, 0.3, 0.8], [0.2, 0.9, 0.7], [0.5, 0.4, 0.95]])
    truth = torch.tensor([0, 0, 1, 2])
    got = figure(metrics.build("auroc", TargetInfo("category", 3)), logits, truth)
    assert got == pytest.approx(sk.roc_auc_score(truth, logits.softmax(1), multi_class="ovr", average="macro"))


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_ranked_metrics(figure, average):
    shares = LOGITS[5].softmax(1)
    wanted = sk.roc_auc_score(CLASSES[5], shares, multi_class="ovr", average=average)
    assert figure(metrics.build("auroc", FIVE, average=average), LOGITS[5], CLASSES[5]) == pytest.approx(wanted)
    for name, reference in RANKED.items():
        got = figure(metrics.build(name, LABELS, average=average), LOGITS[4], GIVEN)
        assert got == pytest.approx(reference(GIVEN, LOGITS[4].sigmoid(), average=average), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "best"),
    [("auroc", {}, 1), ("average_precision", {}, 1), ("log_auc", {}, 1), ("eer", {}, 0),
     ("recall_at_fixed_precision", {"min_precision": 0.5}, 1), ("precision_at_fixed_recall", {"min_recall": 0.5}, 1),
     ("sensitivity_at_specificity", {"min_specificity": 0.5}, 1),
     ("specificity_at_sensitivity", {"min_sensitivity": 0.5}, 1)],
)  # fmt: skip
def test_classes_that_are_not_there_do_not_count(figure, name, options, best):
    truth = torch.tensor([0, 1, 1, 0, 3, 3])  # neither 2 nor 4
    logits = 5.0 * torch.nn.functional.one_hot(truth, 5) + torch.linspace(0, 0.1, 30).view(6, 5)
    assert figure(metrics.build(name, FIVE, **options), logits, truth, size=4) == pytest.approx(best)
    hot = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1]])  # the third never, the fourth always
    assert figure(metrics.build(name, LABELS, **options), 5 * hot, hot, size=2) == pytest.approx(best)


def test_agreement(figure):
    decided = LOGITS[5].argmax(1)
    got = figure(metrics.build("matthews_corrcoef", FIVE), LOGITS[5], CLASSES[5])
    assert got == pytest.approx(sk.matthews_corrcoef(CLASSES[5], decided), rel=1e-4)
    for weights in (None, "linear", "quadratic"):
        got = figure(metrics.build("cohen_kappa", FIVE, weights=weights), LOGITS[5], CLASSES[5])
        assert got == pytest.approx(sk.cohen_kappa_score(CLASSES[5], decided, weights=weights), rel=1e-4)


def test_rankings_of_labels(figure):
    references = {
        "coverage_error": sk.coverage_error,
        "ranking_loss": sk.label_ranking_loss,
        "ranking_average_precision": sk.label_ranking_average_precision_score,
    }
    for name, reference in references.items():
        got = figure(metrics.build(name, LABELS), LOGITS[4], GIVEN)
        assert got == pytest.approx(reference(GIVEN, LOGITS[4].sigmoid()), rel=1e-5)
    wanted = sk.accuracy_score(GIVEN, LOGITS[4].sigmoid() > 0.4)
    assert figure(metrics.build("exact_match", LABELS, threshold=0.4), LOGITS[4], GIVEN) == pytest.approx(wanted)


def test_calibration_error_is_the_mean_gap_of_the_bins(figure):
    shares, hit = LOGITS[5].softmax(1).max(1).values, (LOGITS[5].argmax(1) == CLASSES[5]).float()
    bins = (shares * 15).long()
    gaps = [
        (shares[bins == b].mean() - hit[bins == b].mean()).abs() * (bins == b).float().mean() for b in bins.unique()
    ]
    got = figure(metrics.build("calibration_error", FIVE), LOGITS[5], CLASSES[5])
    assert got == pytest.approx(sum(gaps).item(), rel=1e-4)


def test_recall_at_a_precision_of_two_classes_is_that_of_the_second(figure):
    score = LOGITS[2][:, 1] - LOGITS[2][:, 0]
    precision, recall, _ = sk.precision_recall_curve(CLASSES[2], score)
    metric = metrics.build("recall_at_fixed_precision", TWO, min_precision=0.55)
    assert figure(metric, LOGITS[2], CLASSES[2]) == pytest.approx(recall[precision >= 0.55].max(), rel=1e-5)


def test_figures_of_numbers(figure):
    predictions, truth = NEAR[:, :1], VALUES[:, 0]
    p, t = predictions[:, 0].double().numpy(), truth.double().numpy()
    ranks = np.corrcoef(p.argsort().argsort(), t.argsort().argsort())[0, 1]
    wanted = {
        "mape": sk.mean_absolute_percentage_error(t, p),
        "wmape": np.abs(t - p).sum() / np.abs(t).sum(),
        "smape": (2 * np.abs(t - p) / (np.abs(t) + np.abs(p))).mean(),
        "log_cosh_error": np.log(np.cosh(p - t)).mean(),
        "spearman_corrcoef": ranks,
        "nrmse": sk.root_mean_squared_error(t, p) / t.mean(),
        "relative_squared_error": ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum(),
        "tweedie_deviance": sk.mean_tweedie_deviance(t, p, power=0),
    }
    for name, number in wanted.items():
        assert figure(metrics.build(name, ONE), predictions, truth) == pytest.approx(number, rel=1e-4), name


def test_dice_per_image_is_the_mean_over_images(figure):
    predicted = AREAS.argmax(1)
    each = [sk.f1_score(t.flatten(), p.flatten(), average="macro") for t, p in zip(TRUE_AREAS, predicted, strict=True)]
    got = figure(metrics.build("dice_per_image", MASK), AREAS, TRUE_AREAS, size=3)
    assert got == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_a_torchmetric_says_which_way_is_better_and_forgets(figure):
    metric = metrics.build("auroc", FIVE)
    assert (metric.name, metric.higher_is_better) == ("auroc", True)
    assert math.isnan(metric.compute())
    assert figure(metric, LOGITS[5], CLASSES[5]) == figure(metric, LOGITS[5], CLASSES[5])


def test_binary_is_refused_for_more_than_two():
    for target in (FIVE, LABELS):
        with pytest.raises(ConfigError, match="average: binary is for two classes"):
            metrics.build("auroc", target, average="binary")


def test_without_torchmetrics_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(ConfigError) as error:
        metrics.build("auroc", FIVE)
    assert str(error.value) == "metric 'auroc' comes from torchmetrics\nhint: pip install torchmetrics"


def test_an_older_torchmetrics_is_told(monkeypatch):
    monkeypatch.delattr(sys.modules["torchmetrics.classification"], "EER")
    with pytest.raises(ConfigError, match=r"metric 'eer' is not in torchmetrics \d") as error:
        metrics.build("eer", FIVE)
    assert error.value.hint == "pip install --upgrade torchmetrics"


def test_yaml_is_checked_without_torchmetrics(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)  # importing it fails
    assert metrics.check("calibration_error", n_bins=10) == {"n_bins": 10, "norm": "l1"}
    for options, message in (
        ({"bins": 10}, "has no parameter 'bins'\nhint: did you mean 'n_bins'"),
        ({"n_bins": 0}, "parameter 'n_bins'"),
        ({"norm": "l3"}, "parameter 'norm'"),
    ):
        with pytest.raises(ConfigError) as error:
            metrics.check("calibration_error", **options)
        assert message in str(error.value)
    with pytest.raises(ConfigError, match="parameter 'average'"):
        metrics.check("auroc", average="micro")


def test_each_names_itself_in_one_sentence():
    for entry in TABLE:
        assert metrics[entry.name].__doc__.startswith(entry.what)
        assert metrics.keys_of(entry.name) == list(entry.params)
