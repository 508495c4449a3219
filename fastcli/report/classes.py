"""The figures of each class: precision, recall, F1 and how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fastcli.report.measures import rates


class Figures(NamedTuple):
    """What is said of a class, or of an average over the classes."""

    precision: float
    recall: float
    f1: float
    support: int
    """How many there truly are."""


@dataclass(frozen=True)
class ClassificationReport:
    """The figures of each class and their averages; as text it is the table that scikit-learn prints."""

    classes: Mapping[str, Figures]
    averages: Mapping[str, Figures]
    """`macro avg` and `weighted avg`, and of several labels at once `micro avg`."""
    accuracy: float | None
    """None of several labels at once."""

    def __str__(self) -> str:
        width = max(len(name) for name in [*self.classes, "weighted avg"])
        rows = [f"{'':>{width}} " + "".join(f" {head:>9}" for head in ("precision", "recall", "f1-score", "support"))]
        rows += ["", *(_row(name, figures, width) for name, figures in self.classes.items()), ""]
        support = sum(figures.support for figures in self.classes.values())
        if self.accuracy is not None:
            rows.append(f"{'accuracy':>{width}} " + " " * 20 + f" {self.accuracy:>9.4f} {support:>9}")
        return "\n".join([*rows, *(_row(name, figures, width) for name, figures in self.averages.items())])


def report_of(
    both: Tensor, predicted: Tensor, true: Tensor, names: Sequence[str], *, several: bool
) -> ClassificationReport:
    """The report of how often each class was rightly predicted, predicted, and true, each (n_classes,).

    `several`: whether an item may have several classes.
    """
    columns, total = torch.stack(rates(both, predicted, true)), int(true.sum())
    classes = {name: _figures(columns[:, i], int(true[i])) for i, name in enumerate(names)}
    averages = {
        "macro avg": _figures(columns.mean(dim=1), total),
        "weighted avg": _figures((columns * true).sum(dim=1) / max(1, total), total),
    }
    whole = torch.stack(rates(both.sum(), predicted.sum(), true.sum()))
    if several:
        averages = {"micro avg": _figures(whole, total), **averages}
    return ClassificationReport(classes, averages, None if several else whole[1].item())


def _figures(columns: Tensor, support: int) -> Figures:
    precision, recall, f1 = columns.tolist()
    return Figures(precision, recall, f1, support)


def _row(name: str, figures: Figures, width: int) -> str:
    return f"{name:>{width}} " + "".join(f" {value:>9.4f}" for value in figures[:3]) + f" {figures.support:>9}"
