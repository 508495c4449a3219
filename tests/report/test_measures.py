"""The figures of a report are those of scikit-learn (and torchmetrics, for what it lacks)."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torch.nn.functional as F
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from fastcli.errors import UsageError
from fastcli.report.evaluation import Evaluation, below, check_bars
from fastcli.report.interpret import Interpretation
from fastcli.report.measures import auroc, calibration, mean_auroc, wilson
from fastcli.report.plain_loss import PlainLoss
from fastcli.types import TargetInfo

NAMES = tuple("abcdefg")


def evaluation(logits, targets, kind, names=NAMES):
    target = TargetInfo(kind, logits.shape[1], names[: logits.shape[1]])
    losses = PlainLoss(kind).per_item(logits, targets)
    return Evaluation(Interpretation.from_arrays(logits, targets, losses, target))


def drawn(n, classes, seed=0):
    random = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (n,), generator=random)
    return torch.randn(n, classes, generator=random) + 1.5 * F.one_hot(targets, classes), targets


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_figures_of_classes_are_sklearns(classes):
    logits, targets = drawn(200, classes)
    found = evaluation(logits, targets, "category")
    scores, said = logits.double().softmax(1).numpy(), logits.argmax(1).numpy()
    several = {"multi_class": "ovr"} if classes > 2 else {}
    expected = {
        "accuracy": sk.accuracy_score(targets, said),
        "balanced_accuracy": sk.balanced_accuracy_score(targets, said),
        "f1_macro": sk.f1_score(targets, said, average="macro"),
        "f1_weighted": sk.f1_score(targets, said, average="weighted"),
        "log_loss": sk.log_loss(targets, scores),
        "auroc": sk.roc_auc_score(targets, scores if classes > 2 else scores[:, 1], **several),
        "calibration_error": multiclass_calibration_error(torch.tensor(scores), targets, classes, 15).item(),
    }
    if classes > 5:
        expected["top_5_accuracy"] = sk.top_k_accuracy_score(targets, scores, k=5)
    assert found.figures == pytest.approx(expected, abs=1e-6)
    report = sk.classification_report(targets, said, target_names=NAMES[:classes], output_dict=True)
    for row in found.per_class:
        assert row["f1"] == pytest.approx(report[row["class"]]["f1-score"])
        assert [row["precision"], row["recall"]] == pytest.approx(
            [report[row["class"]][k] for k in ("precision", "recall")]
        )
        assert row["support"] == report[row["class"]]["support"]


def test_classes_that_are_nowhere_do_not_count():
    """As in sklearn, recall is averaged over the true classes, F1 over those that are true or predicted."""
    logits, targets = torch.eye(4)[[0, 0, 1, 2]] * 9, torch.tensor([0, 0, 1, 1])
    figures = evaluation(logits, targets, "category").figures
    assert figures["balanced_accuracy"] == pytest.approx(
        sk.recall_score([0, 0, 1, 1], [0, 0, 1, 2], labels=[0, 1], average="macro")
    )
    assert figures["f1_macro"] == pytest.approx(sk.f1_score([0, 0, 1, 1], [0, 0, 1, 2], average="macro"))


def test_figures_of_one_item_or_one_class_are_no_error():
    figures = evaluation(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), "category").figures
    assert figures["accuracy"] == 1
    assert math.isnan(figures["auroc"])


def test_figures_of_labels_are_sklearns():
    random = torch.Generator().manual_seed(1)
    targets = torch.rand(80, 4, generator=random).gt(0.6).float()
    logits = torch.randn(80, 4, generator=random) + targets
    figures, said, scores = evaluation(logits, targets, "multi_category").figures, logits > 0, logits.sigmoid().double()
    assert figures == pytest.approx({
        "exact_match": sk.accuracy_score(targets, said), "accuracy": 1 - sk.hamming_loss(targets, said),
        "f1_micro": sk.f1_score(targets, said, average="micro"),
        "f1_macro": sk.f1_score(targets, said, average="macro"),
        "log_loss": np.mean([sk.log_loss(targets[:, k], scores[:, k]) for k in range(4)]),
        "auroc": sk.roc_auc_score(targets, scores),
    }, abs=1e-6)  # fmt: skip


@pytest.mark.parametrize("outputs", [1, 3])
def test_figures_of_numbers_are_sklearns(outputs):
    random = torch.Generator().manual_seed(2)
    true = torch.randn(60, outputs, generator=random)
    said = true + 0.3 * torch.randn(60, outputs, generator=random)
    found = evaluation(said, true, "regression", ())
    assert found.figures["r2"] == pytest.approx(sk.r2_score(true, said), abs=1e-6)
    assert found.figures["mae"] == pytest.approx(sk.mean_absolute_error(true, said), abs=1e-6)
    assert found.figures["rmse"] == pytest.approx(math.sqrt(sk.mean_squared_error(true, said)), abs=1e-6)
    assert [row["r2"] for row in found.per_class] == pytest.approx(sk.r2_score(true, said, multioutput="raw_values"))
    assert set(found.predictions[0]) == ({"path", "target", "predicted", "loss"} if outputs == 1 else
        {"path", "loss", *(f"{word}_{k}" for word in ("target", "predicted") for k in (1, 2, 3))})  # fmt: skip


def test_figures_of_masks_are_sklearns():
    random = torch.Generator().manual_seed(3)
    masks = torch.randint(3, (5, 8, 8), generator=random)
    logits = torch.randn(5, 4, 8, 8, generator=random) + 2 * F.one_hot(masks, 4).permute(0, 3, 1, 2)
    logits[:, 3] = -9  # a class that is nowhere
    found, said, true = evaluation(logits, masks, "mask"), logits.argmax(1).flatten(), masks.flatten()
    dice, shared = sk.f1_score(true, said, average=None), sk.jaccard_score(true, said, average=None)
    assert [row["dice"] for row in found.per_class[:3]] == pytest.approx(dice)
    assert [row["jaccard"] for row in found.per_class[:3]] == pytest.approx(shared)
    assert math.isnan(found.per_class[3]["dice"])
    assert found.figures["dice"] == pytest.approx(dice.mean())
    assert found.figures["jaccard"] == pytest.approx(shared.mean())
    assert found.figures["log_loss"] == pytest.approx(F.cross_entropy(logits, masks).item())


def test_area_under_the_curve_counts_ties_half():
    scores, positive = torch.tensor([0.5, 0.5, 0.5, 0.2, 0.9]), torch.tensor([True, False, False, False, True])
    assert auroc(scores, positive) == pytest.approx(sk.roc_auc_score(positive, scores))
    assert math.isnan(mean_auroc(scores[:, None], positive[:, None] & False))


def test_bins_of_calibration_are_sklearns():
    random = torch.Generator().manual_seed(4)
    sure, hits = torch.rand(300, generator=random), torch.rand(300, generator=random) > 0.5
    _, bins = calibration(sure, hits, 10)
    share, mean = calibration_curve(hits, sure, n_bins=10)
    assert [bin.accuracy for bin in bins] == pytest.approx(share)
    assert [bin.confidence for bin in bins] == pytest.approx(mean, abs=1e-6)
    assert sum(bin.items for bin in bins) == 300
    assert calibration(torch.tensor([0.0, 1.0]), torch.tensor([True, True]))[0] == pytest.approx(0.5)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (85, 100), (1, 3)])
def test_intervals_are_wilsons(hits, n):
    """The bounds are the shares from which the one seen lies 1.96 of its standard errors away."""
    for bound in wilson(hits, n):
        assert (hits / n - bound) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / n, rel=1e-5, abs=1e-12)
    assert wilson(hits, n)[0] <= hits / n <= wilson(hits, n)[1]
    assert wilson(0, 0) == (0, 1)


def test_bars_are_of_figures_to_be_reached():
    check_bars({"accuracy": 0.9}, "category")
    with pytest.raises(UsageError, match="acuracy is no figure of a category") as error:
        check_bars({"acuracy": 0.9}, "category")
    assert error.value.hint == "did you mean 'accuracy'?"
    with pytest.raises(UsageError, match="log_loss is no figure"):
        check_bars({"log_loss": 0.9}, "category")
    assert below({"r2": math.nan}, {"r2": 0.1}) == ["r2 is nan, below the bar of 0.1"]
    assert below({"r2": 0.1}, {"r2": 0.1}) == []
