"""Metrics against scikit-learn, fed in uneven batches; the device is never waited for."""

import math

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
MASK = TargetInfo("mask", 5)
POINTS = TargetInfo("points", 4)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = {n: torch.randn(103, n, generator=GENERATOR) for n in (1, 2, 4, 5)}
CLASSES = {n: torch.randint(n, (103,), generator=GENERATOR) for n in (2, 5)}
GIVEN = (torch.rand(103, 4, generator=GENERATOR) > 0.6).float()


def test_accuracy_and_error_rate(figure):
    logits, truth = LOGITS[5], CLASSES[5]
    wanted = sk.accuracy_score(truth, logits.argmax(1))
    assert figure(metrics.build("accuracy", FIVE), logits, truth) == wanted
    assert figure(metrics.build("error_rate", FIVE), logits, truth) == pytest.approx(1 - wanted, abs=1e-12)


@pytest.mark.parametrize("column", [False, True])
def test_accuracy_of_two_classes_told_apart_by_one_output(figure, column):
    logits, truth = LOGITS[1], CLASSES[2]
    targets = truth.unsqueeze(1) if column else truth
    wanted = sk.accuracy_score(truth, logits[:, 0] > 0)
    assert figure(metrics.build("accuracy", TWO), logits, targets) == wanted


def test_accuracy_of_masks_is_that_of_their_pixels(figure):
    logits, truth = torch.randn(7, 5, 6, 4), torch.randint(5, (7, 6, 4))
    wanted = sk.accuracy_score(truth.flatten(), logits.argmax(1).flatten())
    assert figure(metrics.build("accuracy", MASK), logits, truth, size=3) == wanted
    one, truth = torch.randn(7, 1, 6, 4), truth.clamp_max(1)
    wanted = sk.accuracy_score(truth.flatten(), one.flatten() > 0)
    assert figure(metrics.build("accuracy", TargetInfo("mask", 2)), one, truth, size=3) == wanted


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_accuracy(figure, k):
    wanted = sk.top_k_accuracy_score(CLASSES[5], LOGITS[5], k=k) if k < 5 else 1.0
    assert figure(metrics.build("top_k_accuracy", FIVE, k=k), LOGITS[5], CLASSES[5]) == wanted


def test_top_k_accuracy_of_more_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="k=5, but there are 2 classes"):
        metrics.build("top_k_accuracy", TWO)


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_accuracy_and_hamming_loss_of_labels(figure, threshold):
    wanted = sk.hamming_loss(GIVEN, LOGITS[4].sigmoid() > threshold)
    got = figure(metrics.build("accuracy_multi", LABELS, threshold=threshold), LOGITS[4], GIVEN)
    assert got == pytest.approx(1 - wanted, abs=1e-12)
    got = figure(metrics.build("hamming_loss", LABELS, threshold=threshold), LOGITS[4], GIVEN)
    assert got == pytest.approx(wanted, abs=1e-12)


def test_hamming_loss_of_single_classes(figure):
    wanted = sk.hamming_loss(CLASSES[5], LOGITS[5].argmax(1))
    assert figure(metrics.build("hamming_loss", FIVE), LOGITS[5], CLASSES[5]) == pytest.approx(wanted, abs=1e-12)


def test_perplexity_is_the_exponential_of_the_whole_sets_entropy(figure):
    wanted = math.exp(sk.log_loss(CLASSES[5], LOGITS[5].double().softmax(1)))
    assert figure(metrics.build("perplexity", FIVE), LOGITS[5], CLASSES[5]) == pytest.approx(wanted, rel=1e-6)
    assert figure(metrics.build("perplexity", FIVE), 5000 * LOGITS[5], CLASSES[5]) == math.inf


@pytest.mark.parametrize("outputs", [1, 2])
def test_brier_score_of_two_classes(figure, outputs):
    logits = LOGITS[outputs]
    score = logits[:, 0] if outputs == 1 else logits[:, 1] - logits[:, 0]
    wanted = sk.brier_score_loss(CLASSES[2], score.double().sigmoid())
    assert figure(metrics.build("brier_score", TWO), logits, CLASSES[2]) == pytest.approx(wanted, rel=1e-6)


def test_brier_score_of_several_classes(figure):
    shares = LOGITS[5].double().softmax(1)
    wanted = (shares - torch.nn.functional.one_hot(CLASSES[5], 5)).square().sum(1).mean().item()
    assert figure(metrics.build("brier_score", FIVE), LOGITS[5], CLASSES[5]) == pytest.approx(wanted, rel=1e-6)


ALL = ["accuracy", "error_rate", "top_k_accuracy", "hamming_loss", "perplexity", "brier_score", "f1_score", "jaccard",
       "balanced_accuracy"]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_an_update_never_reads_from_the_device(name):
    """On the meta device any read raises."""
    metric = metrics.build(name, FIVE)
    for _ in range(2):
        metric.update(torch.zeros(3, 5, device="meta"), torch.zeros(3, dtype=torch.long, device="meta"))


def test_reset_forgets_and_nothing_seen_is_not_a_number(figure):
    for name in ALL:
        metric = metrics.build(name, FIVE)
        assert math.isnan(metric.compute())
        first = figure(metric, LOGITS[5], CLASSES[5])
        assert figure(metric, LOGITS[5], CLASSES[5]) == first
        metric.reset()
        assert math.isnan(metric.compute())


def test_a_function_of_a_notebook_counts_each_batch_by_its_items(figure):
    def batch_accuracy(logits, targets):
        return ((logits.sigmoid() > 0.5) == targets).float().mean()

    metric = Mean("batch_accuracy", batch_accuracy, higher_is_better=True)
    wanted = sk.accuracy_score(CLASSES[2], LOGITS[1][:, 0] > 0)
    assert figure(metric, LOGITS[1], CLASSES[2].unsqueeze(1)) == pytest.approx(wanted)
    assert repr(metric) == "Mean('batch_accuracy', higher_is_better=True)"


def test_which_way_is_better():
    better = {name: metrics.build(name, FIVE).higher_is_better for name in ALL}
    assert better == dict.fromkeys(ALL, True) | dict.fromkeys(
        ("error_rate", "hamming_loss", "perplexity", "brier_score"), False)  # fmt: skip


def test_the_default_fits_the_target():
    for target in (FIVE, LABELS, NUMBERS, MASK, POINTS):
        for name in default_metrics(target):
            assert metrics.build(name, target).name == name
    with pytest.raises(ConfigError, match="does not fit a boxes target"):
        default_metrics(TargetInfo("boxes", 2))


def test_an_encoder_proposes_its_own_defaults():
    target = TargetInfo("angle", 1, metrics=("mae", "rmse"))
    assert default_metrics(target) == ["mae", "rmse"]
    assert [metrics.build(name, target).name for name in default_metrics(target)] == ["mae", "rmse"]


@pytest.mark.parametrize(
    ("name", "target"),
    [("accuracy", LABELS), ("mae", FIVE), ("f1_score", NUMBERS), ("dice", FIVE), ("point_distance", NUMBERS)],
)
def test_a_metric_that_does_not_fit_is_refused(name, target):
    with pytest.raises(ConfigError, match=f"{name} does not fit a {target.kind} target"):
        metrics.build(name, target)
