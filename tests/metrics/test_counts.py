"""Figures of hits, misses and false alarms per class against scikit-learn and fastai, in uneven batches."""

import pytest
import sklearn.metrics as sk
import torch

from fastcli.errors import ConfigError
from fastcli.metrics import confusion_counts
from fastcli.registry import metrics
from fastcli.types import TargetInfo

FIVE = TargetInfo("category", 5)
TWO = TargetInfo("category", 2)
LABELS = TargetInfo("multi_category", 4)
MASK = TargetInfo("mask", 5, ("sky", "sea", "land", "ship", "void"))
TWO_AREAS = TargetInfo("mask", 2)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = {n: torch.randn(103, n, generator=GENERATOR) for n in (1, 2, 4, 5)}
CLASSES = {n: torch.randint(n, (103,), generator=GENERATOR) for n in (2, 5)}
GIVEN = (torch.rand(103, 4, generator=GENERATOR) > 0.6).float()
AREAS = torch.randn(7, 5, 6, 4, generator=GENERATOR)
TRUE_AREAS = torch.randint(5, (7, 6, 4), generator=GENERATOR)


def f_beta(*args, **kwargs):
    return sk.fbeta_score(*args, beta=2, **kwargs)


REFERENCES = {"f1_score": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score,
              "jaccard": sk.jaccard_score, "f_beta": f_beta}  # fmt: skip
OPTIONS = {"f_beta": {"beta": 2}}


def build(name, target, **options):
    return metrics.build(name, target, **OPTIONS.get(name, {}), **options)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_averaged_over_classes_labels_and_pixels(figure, name, average):
    reference = REFERENCES[name]
    got = figure(build(name, FIVE, average=average), LOGITS[5], CLASSES[5])
    assert got == pytest.approx(reference(CLASSES[5], LOGITS[5].argmax(1), average=average), abs=1e-12)
    got = figure(build(name, LABELS, average=average), LOGITS[4], GIVEN)
    assert got == pytest.approx(reference(GIVEN, LOGITS[4] > 0, average=average), abs=1e-12)
    got = figure(build(name, LABELS, average=average, threshold=0.3), LOGITS[4], GIVEN)
    assert got == pytest.approx(reference(GIVEN, LOGITS[4].sigmoid() > 0.3, average=average), abs=1e-12)
    got = figure(build(name, MASK, average=average), AREAS, TRUE_AREAS, size=3)
    wanted = reference(TRUE_AREAS.flatten(), AREAS.argmax(1).flatten(), average=average)
    assert got == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_binary_is_the_second_class(figure, name, outputs, threshold):
    logits = LOGITS[outputs]
    score = logits[:, 0] if outputs == 1 else logits[:, 1] - logits[:, 0]
    got = figure(build(name, TWO, average="binary", threshold=threshold), logits, CLASSES[2])
    assert got == pytest.approx(REFERENCES[name](CLASSES[2], score.sigmoid() > threshold), abs=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_classes_that_are_nowhere_are_left_out(figure, average):
    """As scikit-learn does, but a class that is never predicted, or never true, counts as 0."""
    truth, logits = CLASSES[5].clamp_max(2), LOGITS[5].clone()
    logits[:, 4] = -9
    for name, reference in REFERENCES.items():
        got = figure(build(name, FIVE, average=average), logits, truth)
        wanted = reference(truth, logits.argmax(1), average=average, zero_division=0)
        assert got == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("ignored", ["void", 4])
def test_an_ignored_class_is_as_if_its_pixels_were_not_there(figure, name, average, ignored):
    got = figure(build(name, MASK, average=average, ignore_index=ignored), AREAS, TRUE_AREAS, size=3)
    kept = TRUE_AREAS != 4
    predicted = AREAS.argmax(1)[kept]
    wanted = REFERENCES[name](TRUE_AREAS[kept], predicted, average=average, labels=[0, 1, 2, 3])
    assert got == pytest.approx(wanted, abs=1e-12)


def test_an_ignored_number_beyond_the_classes(figure):
    truth = TRUE_AREAS.where(TRUE_AREAS != 0, 255)
    kept = truth != 255
    got = figure(build("jaccard", MASK, ignore_index=255), AREAS, truth, size=3)
    wanted = sk.jaccard_score(truth[kept], AREAS.argmax(1)[kept], average="macro")
    assert got == pytest.approx(wanted, abs=1e-12)


def test_specificity_and_negative_predictive_value(figure):
    predicted, truth = LOGITS[2].argmax(1), CLASSES[2]
    for name, reference in {"specificity": sk.recall_score, "negative_predictive_value": sk.precision_score}.items():
        got = figure(metrics.build(name, TWO, average="binary"), LOGITS[2], truth)
        assert got == pytest.approx(reference(truth, predicted, pos_label=0), abs=1e-12)
        each = [reference(CLASSES[5] == c, LOGITS[5].argmax(1) == c, pos_label=0) for c in range(5)]
        got = figure(metrics.build(name, FIVE), LOGITS[5], CLASSES[5])
        assert got == pytest.approx(sum(each) / 5, abs=1e-12)


def test_balanced_accuracy_is_of_the_classes_that_are_true(figure):
    got = figure(metrics.build("balanced_accuracy", FIVE), LOGITS[5], CLASSES[5])
    assert got == pytest.approx(sk.balanced_accuracy_score(CLASSES[5], LOGITS[5].argmax(1)), abs=1e-12)
    fewer = CLASSES[5].clamp_max(3)
    wanted = sk.recall_score(fewer, LOGITS[5].argmax(1), average="macro", labels=[0, 1, 2, 3])
    assert figure(metrics.build("balanced_accuracy", FIVE), LOGITS[5], fewer) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("background", [0, "void"])
def test_foreground_accuracy_leaves_out_the_background(figure, background):
    kept = MASK.index_of(background) != TRUE_AREAS
    wanted = sk.accuracy_score(TRUE_AREAS[kept], AREAS.argmax(1)[kept])
    got = figure(metrics.build("foreground_accuracy", MASK, background=background), AREAS, TRUE_AREAS, size=3)
    assert got == pytest.approx(wanted, abs=1e-12)


def test_dice_and_jaccard_are_fastais(figure):
    """The numbers are what fastai 2.8.12 gives for the same masks, one image to a batch."""
    logits = torch.sin(torch.arange(120, dtype=torch.float64) * 1.7).reshape(2, 3, 4, 5).float() * 2
    truth = (torch.arange(40) * 7 % 11 % 3).reshape(2, 4, 5)
    three = TargetInfo("mask", 3)
    assert figure(metrics.build("dice", three), logits, truth, 1) == pytest.approx(0.2685425685425686)
    assert figure(metrics.build("jaccard", three), logits, truth, 1) == pytest.approx(0.15707915273132664)
    logits, truth = logits[:, :2], truth.clamp_max(1)
    dice = metrics.build("dice", TWO_AREAS, average="binary")
    assert figure(dice, logits, truth, 1) == pytest.approx(0.47619047619047616)
    jaccard = metrics.build("jaccard", TWO_AREAS, average="binary")
    assert figure(jaccard, logits, truth, 1) == pytest.approx(0.3125)
    accuracy = metrics.build("foreground_accuracy", TWO_AREAS)
    assert figure(accuracy, logits, truth, 1) == pytest.approx(0.4166666567325592, abs=1e-7)


def test_one_output_tells_two_areas_apart(figure):
    logits, truth = AREAS[:, :1], TRUE_AREAS.clamp_max(1)
    wanted = sk.f1_score(truth.flatten(), logits.flatten() > 0)
    assert figure(metrics.build("dice", TWO_AREAS, average="binary"), logits, truth, 3) == pytest.approx(wanted)


def test_fastais_function_metrics_averaged_over_batches(figure):
    """In fastai an F-score given as a function is averaged over batches; here the batch size changes nothing."""
    sizes = (1, 10, 32, 103)
    got = [figure(metrics.build("f1_score", FIVE), LOGITS[5], CLASSES[5], size=size) for size in sizes]
    assert got == [pytest.approx(sk.f1_score(CLASSES[5], LOGITS[5].argmax(1), average="macro"), abs=1e-12)] * 4
    batches = zip(LOGITS[5].split(10), CLASSES[5].split(10), strict=True)
    each = [sk.f1_score(truth, part.argmax(1), average="macro") for part, truth in batches]
    assert abs(sum(each) / len(each) - got[0]) > 0.01


def test_confusion_counts_are_scikit_learns_confusion_matrix():
    got = confusion_counts(LOGITS[5].argmax(1), CLASSES[5], 5)
    assert got.tolist() == sk.confusion_matrix(CLASSES[5], LOGITS[5].argmax(1)).tolist()


def test_what_makes_no_sense_is_refused():
    for target in (FIVE, LABELS):
        with pytest.raises(ConfigError, match="average: binary is for two classes"):
            metrics.build("f1_score", target, average="binary")
    with pytest.raises(ConfigError, match="threshold is for several labels at once, or for average: binary"):
        metrics.build("f1_score", FIVE, threshold=0.3)
    with pytest.raises(ConfigError, match="ignore_index is for masks"):
        metrics.build("f1_score", FIVE, ignore_index=1)
    with pytest.raises(ConfigError, match="did you mean 'void'"):
        metrics.build("dice", MASK, ignore_index="viod")
    with pytest.raises(ConfigError, match="'f_beta', parameter 'beta'"):
        metrics.build("f_beta", FIVE)
