"""Metrics of how often each class was found, missed and wrongly seen, counted over the whole set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.metrics.base import Metric, decided
from fastcli.registry import metrics
from fastcli.types import TargetInfo, class_scores

Average = Literal["macro", "micro", "weighted", "binary"]
Share = Annotated[float, Field(ge=0, le=1)]
Formula = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From true positives, false positives, false negatives and true negatives to the figure, class by class."""
KINDS = ("category", "multi_category", "mask")


class Counts(Metric):
    """A figure of the four counts of each class, averaged over the classes.

    `macro`: the mean over classes, without those that are neither predicted nor true (but with all labels of several
    at once); `true`: the mean over those that are true; `weighted`: by how often each is true; `micro`: the figure of
    the sums; `binary`: that of the second class. Elements of the class `ignored` do not count, nor does that class.
    """

    def __init__(
        self,
        name: str,
        formula: Formula,
        target: TargetInfo,
        *,
        average: Average | Literal["true"] = "macro",
        threshold: float = 0.5,
        ignored: int | None = None,
    ) -> None:
        super().__init__(name, higher_is_better=True)
        self._formula, self._average, self._threshold, self._ignored = formula, average, threshold, ignored
        self._labels, self._classes = target.kind == "multi_category", target.n_out
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._counts: Tensor | None = None

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""
        counts = self._of_labels(logits, targets) if self._labels else self._of_classes(logits, targets)
        self._counts = counts if self._counts is None else self._counts + counts

    def _of_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        given, true = logits.float().sigmoid() > self._threshold, targets.bool()
        return torch.stack([given & true, given & ~true, ~given & true, ~given & ~true]).sum(dim=1)

    def _of_classes(self, logits: Tensor, targets: Tensor) -> Tensor:
        n, (predicted, true) = self._classes, decided(logits, targets)
        if self._average == "binary":
            predicted = (class_scores(logits)[:, 1] > self._threshold).long()
        if self._ignored is not None:
            counted = true != self._ignored
            predicted, true = predicted.where(counted, n), true.where(counted, n)
        both = histogram(predicted.where(predicted == true, n), n)
        given, there = histogram(predicted, n), histogram(true, n)
        return torch.stack([both, given - both, there - both, there.sum() - given - there + both])

    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""
        if self._counts is None:
            return math.nan
        counts = self._counts.cpu().double()
        if self._average == "binary":
            return self._formula(*counts[:, 1]).item()
        counts = counts[:, [i for i in range(self._classes) if i != self._ignored]]
        if self._average == "micro":
            return self._formula(*counts.sum(dim=1)).item()
        figures, weights = self._formula(*counts), self._weights(*counts)
        return ratio((figures * weights).sum(), weights.sum()).item()

    def _weights(self, both: Tensor, extra: Tensor, missed: Tensor, _: Tensor) -> Tensor:
        if self._average == "weighted":
            return both + missed
        if self._average == "true":
            return (both + missed > 0).double()
        return torch.ones_like(both) if self._labels else (both + extra + missed > 0).double()


def histogram(values: Tensor, n: int) -> Tensor:
    """How often each of 0 … n−1 is among `values`, from 0 to n: int64 (n,).

    >>> histogram(torch.tensor([0, 2, 2, 3]), 3)
    tensor([1, 0, 2])
    """
    # torch.bincount waits for the device.
    values = values.flatten()
    return torch.zeros(n + 1, dtype=torch.int64, device=values.device).scatter_add_(
        0, values, torch.ones_like(values))[:n]  # fmt: skip


def confusion_counts(predicted: Tensor, true: Tensor, n: int) -> Tensor:
    """How often class j was predicted where class i is true: int64 (n, n); a true class outside 0 … n−1 is left out.

    >>> confusion_counts(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), 2)
    tensor([[1, 1],
            [0, 0]])
    """
    known = (true >= 0) & (true < n)
    return histogram((true * n + predicted).where(known, n * n), n * n).reshape(n, n)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Part / whole, and 0 where the whole is 0."""
    return torch.where(whole > 0, part / whole.where(whole > 0, 1), 0)


def f_beta_of(beta: float) -> Formula:
    """The formula of (1 + beta²) · precision · recall / (beta² · precision + recall)."""
    square = beta * beta

    def formula(both: Tensor, extra: Tensor, missed: Tensor, _: Tensor) -> Tensor:
        return ratio((1 + square) * both, (1 + square) * both + square * missed + extra)

    return formula


def _precision(both: Tensor, extra: Tensor, missed: Tensor, neither: Tensor) -> Tensor:
    return ratio(both, both + extra)


def _recall(both: Tensor, extra: Tensor, missed: Tensor, neither: Tensor) -> Tensor:
    return ratio(both, both + missed)


def _specificity(both: Tensor, extra: Tensor, missed: Tensor, neither: Tensor) -> Tensor:
    return ratio(neither, neither + extra)


def _negative_predictive_value(both: Tensor, extra: Tensor, missed: Tensor, neither: Tensor) -> Tensor:
    return ratio(neither, neither + missed)


def _jaccard(both: Tensor, extra: Tensor, missed: Tensor, neither: Tensor) -> Tensor:
    return ratio(both, both + extra + missed)


@metrics
def f_beta(
    target: TargetInfo,
    /,
    beta: PositiveFloat,
    average: Average = "macro",
    threshold: Share = 0.5,
    ignore_index: int | str | None = None,
) -> Metric:
    """The harmonic mean of precision and recall, recall counting `beta` times as much, averaged over the classes."""
    return _counts("f_beta", f_beta_of(beta), target, average, threshold, ignore_index)


@metrics
def balanced_accuracy(target: TargetInfo, /) -> Metric:
    """The share of each true class that was found, averaged over these classes."""
    target.require("balanced_accuracy", "category", "mask")
    return Counts("balanced_accuracy", _recall, target, average="true")


@metrics
def foreground_accuracy(target: TargetInfo, /, background: int | str = 0) -> Metric:
    """The share of pixels whose likeliest class is the true one, without the pixels of the class `background`."""
    target.require("foreground_accuracy", "mask")
    ignored = target.index_of(background)
    return Counts("foreground_accuracy", _recall, target, average="micro", ignored=ignored)


def _counts(
    name: str, formula: Formula, target: TargetInfo, average: Average, threshold: float, ignored: int | str | None
) -> Metric:
    target.require(name, *(("mask",) if name == "dice" else KINDS))
    if average == "binary" and (target.kind == "multi_category" or target.n_out != 2):
        raise ConfigError(f"{name}: average: binary is for two classes", hint="average: macro")
    if threshold != 0.5 and average != "binary" and target.kind != "multi_category":
        raise ConfigError(f"{name}: threshold is for several labels at once, or for average: binary")
    if ignored is not None and target.kind in ("category", "multi_category"):
        raise ConfigError(f"{name}: ignore_index is for masks", hint="leave such items out of the data")
    index = None if ignored is None else target.index_of(ignored)
    return Counts(name, formula, target, average=average, threshold=threshold, ignored=index)


def _averaged(name: str, formula: Formula, what: str) -> Callable[..., Metric]:
    def metric(
        target: TargetInfo,
        /,
        average: Average = "macro",
        threshold: Share = 0.5,
        ignore_index: int | str | None = None,
    ) -> Metric:
        return _counts(name, formula, target, average, threshold, ignore_index)

    metric.__doc__ = (
        f"{what}, averaged over the classes; `binary`: that of the second of two.\n\n"
        "    A label of several is given above `threshold`; pixels of the class `ignore_index` do not count.\n    "
    )
    return metric


for _name, _formula, _what in (
    ("precision", _precision, "The share of what was predicted that is right"),
    ("recall", _recall, "The share of what is there that was found"),
    ("f1_score", f_beta_of(1), "The harmonic mean of precision and recall"),
    ("specificity", _specificity, "The share of what is not there that was not predicted"),
    ("negative_predictive_value", _negative_predictive_value, "The share of what was not predicted that is not there"),
    ("jaccard", _jaccard, "Intersection over union of predicted and true"),
    ("dice", f_beta_of(1), "Twice the intersection over the sum of the predicted and the true area"),
):
    metrics(name=_name)(_averaged(_name, _formula, _what))
