"""Evaluation: the figures and tables of a report, by the kind of target, from one interpretation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from fastcli.errors import UsageError, did_you_mean
from fastcli.metrics.counts import ratio
from fastcli.report.interpret import Interpretation
from fastcli.report.measures import (
    Bin,
    calibration,
    determination,
    mean_auroc,
    mean_where,
    rates,
    weighted_mean,
    wilson,
)

Figures = dict[str, float]
Table = list[dict[str, Any]]
TOP = 5
HIGHER_IS_BETTER = {
    "category": ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "auroc", "top_5_accuracy"),
    "multi_category": ("exact_match", "accuracy", "f1_micro", "f1_macro", "auroc"),
    "mask": ("accuracy", "dice", "jaccard"),
    "regression": ("r2",),
    "points": ("r2",),
}
"""The figures for which there can be a bar that they must reach."""


@dataclass(frozen=True)
class Evaluation:
    """What is said of a set: the interpretation of it, and what run, data and model it is of."""

    interpretation: Interpretation
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    more: Mapping[str, float] = field(default_factory=dict)
    """Figures of a plugin's kind of target."""
    words: Callable[[Tensor, Tensor], tuple[str, str]] | None = None
    """What a target and the outputs for it mean to people, for a plugin's kind of target."""

    @property
    def kind(self) -> str:
        """The kind of target."""
        return self.interpretation.target.kind

    @cached_property
    def figures(self) -> Figures:
        """Every figure by its name; NaN where there is nothing to judge by."""
        make = {"category": _of_classes, "multi_category": _of_labels, "mask": _of_masks,
                "regression": _of_numbers, "points": _of_numbers}.get(self.kind, _of_losses)  # fmt: skip
        return {**make(self.interpretation), **self.more}

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the accuracy, of single classes alone: pixels and labels hang together."""
        if self.kind != "category":
            return None
        matrix = self.interpretation.confusion_matrix()
        return wilson(int(matrix.diag().sum()), int(matrix.sum()))

    @cached_property
    def calibration(self) -> tuple[float, list[Bin]] | None:
        """The calibration error and its bins, of single classes alone."""
        scores = self.interpretation.scores
        if self.kind != "category" or scores is None:
            return None
        return calibration(scores.max(1).values, self.interpretation.decisions == self._true)

    @property
    def _true(self) -> Tensor:
        return self.interpretation.targets.reshape(self.interpretation.decisions.shape)

    @cached_property
    def per_class(self) -> Table:
        """A row for each class, label or output."""
        make = {"category": _class_rows, "multi_category": _class_rows, "mask": _mask_rows,
                "regression": _number_rows, "points": _number_rows}.get(self.kind)  # fmt: skip
        return make(self.interpretation) if make else []

    @cached_property
    def predictions(self) -> Table:
        """A row for each item: path, label, what was predicted, how surely, and the loss."""
        found = self.interpretation
        names = found.names or [str(i) for i in range(len(found))]
        rows: Table = []
        for i, (name, loss) in enumerate(zip(names, found.losses.tolist(), strict=True)):
            rows.append({"path": name, **(_said(found, i) or self._in_words(i)), "loss": loss})
        return rows

    def _in_words(self, i: int) -> dict[str, str]:
        if self.words is None:
            return {}
        return dict(zip(("label", "predicted"), self.words(self.interpretation.targets[i],
                                                           self.interpretation.decisions[i]), strict=True))  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """What report.json holds."""
        data: dict[str, Any] = {**self.about, "target": self.kind, "items": len(self.interpretation)}
        data["figures"] = self.figures
        if self.interval:
            data["accuracy_interval_95"] = list(self.interval)
        if self.calibration:
            data["calibration_bins"] = [bin._asdict() for bin in self.calibration[1]]
        if self.kind in ("category", "mask"):
            pairs = self.interpretation.most_confused()[:20]
            data["most_confused"] = [{"label": a, "predicted": b, "count": n} for a, b, n in pairs]
        return {**data, "per_class": self.per_class, "notes": list(self.notes)}


def check_bars(bars: Mapping[str, float], kind: str) -> None:
    """Raise UsageError for a bar that is of no figure, or of one that is better when it is small."""
    known = HIGHER_IS_BETTER.get(kind, ())
    for name in bars:
        if name not in known:
            what = f"{name} is no figure of a {kind} target that has to be reached"
            raise UsageError(what, hint=did_you_mean(name, known))


def below(figures: Figures, bars: Mapping[str, float]) -> list[str]:
    """The figures that do not reach their bars, in words.

    >>> below({"accuracy": 0.85}, {"accuracy": 0.9})
    ['accuracy is 0.8500, below the bar of 0.9']
    """
    return [f"{name} is {figures.get(name, math.nan):.4f}, below the bar of {bar:g}"
            for name, bar in bars.items() if not figures.get(name, math.nan) >= bar]  # fmt: skip


def _of_classes(found: Interpretation) -> Figures:
    both, predicted, true = found.class_counts()
    of_each = rates(both, predicted, true)
    figures = {
        "accuracy": weighted_mean(of_each.recall, true),
        "balanced_accuracy": mean_where(of_each.recall, true > 0),
        "f1_macro": mean_where(of_each.f1, predicted + true > 0),
        "f1_weighted": weighted_mean(of_each.f1, true),
        "log_loss": found.losses.double().mean().item(),
    }
    if found.scores is not None:
        targets = found.targets.reshape(-1)
        hits = found.decisions == targets
        figures["calibration_error"] = calibration(found.scores.max(1).values, hits)[0]
        hot = F.one_hot(targets, len(found.classes)).bool()
        first = 1 if found.scores.shape[1] == 2 else 0  # of two classes either curve is the other one, turned
        figures["auroc"] = mean_auroc(found.scores[:, first:], hot[:, first:])
        if len(found.classes) > TOP:
            best = found.scores.topk(TOP, 1).indices
            figures["top_5_accuracy"] = (best == targets[:, None]).any(1).double().mean().item()
    return figures


def _of_labels(found: Interpretation) -> Figures:
    both, predicted, true = found.class_counts()
    same = found.decisions.bool() == found.targets.bool()
    figures = {
        "exact_match": same.all(1).double().mean().item(),
        "accuracy": same.double().mean().item(),
        "f1_micro": rates(both.sum(), predicted.sum(), true.sum()).f1.item(),
        "f1_macro": rates(both, predicted, true).f1.mean().item(),
        "log_loss": found.losses.double().mean().item(),
    }
    if found.scores is not None:
        figures["auroc"] = mean_auroc(found.scores, found.targets.bool())
    return figures


def _of_masks(found: Interpretation) -> Figures:
    both, predicted, true = found.class_counts()
    of_each, there = rates(both, predicted, true), predicted + true > 0
    return {
        "accuracy": weighted_mean(of_each.recall, true),
        "dice": mean_where(of_each.f1, there),
        "jaccard": mean_where(ratio(both.double(), (predicted + true - both).double()), there),
        "log_loss": found.losses.double().mean().item(),
    }


def _numbers(found: Interpretation) -> tuple[Tensor, Tensor]:
    n = len(found)
    return found.decisions.double().reshape(n, -1), found.targets.double().reshape(n, -1)


def _of_numbers(found: Interpretation) -> Figures:
    predicted, true = _numbers(found)
    errors = predicted - true
    return {
        "r2": determination(predicted, true).mean().item(),
        "mae": errors.abs().mean().item(),
        "rmse": errors.square().mean().sqrt().item(),
        "bias": errors.mean().item(),
    }


def _of_losses(found: Interpretation) -> Figures:
    return {"loss": found.losses.double().mean().item()}


def _class_rows(found: Interpretation) -> Table:
    both, predicted, true = found.class_counts()
    columns = [true.tolist(), predicted.tolist(), *(column.tolist() for column in rates(both, predicted, true))]
    names = ("class", "support", "predicted", "precision", "recall", "f1")
    return [dict(zip(names, row, strict=True)) for row in zip(found.classes, *columns, strict=True)]


def _mask_rows(found: Interpretation) -> Table:
    both, predicted, true = found.class_counts()
    shared = found.intersection_over_union()
    rows = zip(found.classes, true.tolist(), predicted.tolist(), rates(both, predicted, true).f1.tolist(), strict=True)
    return [{"class": name, "support": there, "predicted": given, "dice": dice if there + given else math.nan,
             "jaccard": shared[name]} for name, there, given, dice in rows]  # fmt: skip


def _number_rows(found: Interpretation) -> Table:
    predicted, true = _numbers(found)
    errors = predicted - true
    columns = zip(errors.abs().mean(0).tolist(), errors.square().mean(0).sqrt().tolist(),
                  determination(predicted, true).tolist(), errors.mean(0).tolist(), strict=True)  # fmt: skip
    return [{"output": i + 1, "mae": mae, "rmse": rmse, "r2": r2, "bias": bias}
            for i, (mae, rmse, r2, bias) in enumerate(columns)]  # fmt: skip


def _said(found: Interpretation, i: int) -> dict[str, Any]:
    """What was right and what was predicted of an item, as a table says it."""
    if found.target.kind == "category":
        label, guess = int(found.targets[i]), int(found.decisions[i])
        row: dict[str, Any] = {"label": found.classes[label], "predicted": found.classes[guess]}
        if found.scores is not None:
            row |= {"score": found.scores[i, guess].item(), "score_of_label": found.scores[i, label].item()}
        return row
    if found.target.kind == "multi_category":
        return {"label": _listed(found, found.targets[i]), "predicted": _listed(found, found.decisions[i])}
    if found.target.kind in ("regression", "points"):
        pairs = zip(*(part[i].reshape(-1).tolist() for part in (found.targets, found.decisions)), strict=True)
        numbered = list(enumerate(pairs, 1))
        ends = [""] if len(numbered) == 1 else [f"_{k}" for k, _ in numbered]
        return {f"{word}{end}": pair[k] for k, word in enumerate(("target", "predicted"))
                for end, (_, pair) in zip(ends, numbered, strict=True)}  # fmt: skip
    if found.target.kind == "mask":
        return {"pixel_accuracy": (found.decisions[i] == found.targets[i]).double().mean().item()}
    return {}


def _listed(found: Interpretation, hot: Tensor) -> str:
    return "|".join(name for name, given in zip(found.classes, hot.tolist(), strict=True) if given > 0.5)
