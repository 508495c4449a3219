"""The figures of a report, each from what was predicted of a whole set: pure functions of tensors on the CPU."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fastcli.metrics.counts import ratio

NORMAL_95 = 1.959963984540054
"""How many standard deviations of a normal distribution hold 95 % of it, on both sides."""
BINS = 15


class Bin(NamedTuple):
    """Items whose likeliest class has a probability above `low` and up to `high`."""

    low: float
    high: float
    items: int
    confidence: float
    """The mean probability; NaN where there is no item."""
    accuracy: float
    """The share of hits; NaN where there is no item."""


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of hits among n, by Wilson's score; it never leaves 0 to 1.

    >>> [round(bound, 4) for bound in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    if n == 0:
        return 0.0, 1.0
    share, square = hits / n, NORMAL_95**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL_95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # rounding may overstep


def auroc(scores: Tensor, positive: Tensor) -> float:
    """The chance that a positive item has a higher score than another, equal scores half counted; NaN without either.

    >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([False, False, True, True]))
    0.75
    """
    n, n_positive = len(scores), int(positive.sum())
    if n_positive in (0, n):
        return math.nan
    _, place, counts = torch.unique(scores.double(), return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[place].double()
    wins = float(ranks[positive].sum()) - n_positive * (n_positive + 1) / 2
    return wins / (n_positive * (n - n_positive))


def mean_auroc(scores: Tensor, hot: Tensor) -> float:
    """The mean over the classes of each against all others, of those that have items and are not all there is."""
    known = [value for k in range(scores.shape[1]) if not math.isnan(value := auroc(scores[:, k], hot[:, k]))]
    return sum(known) / len(known) if known else math.nan


def calibration(confidences: Tensor, hits: Tensor, bins: int = BINS) -> tuple[float, list[Bin]]:
    """The expected calibration error (Naeini et al., 2015), and its bins, equally wide.

    >>> calibration(torch.tensor([0.875, 0.875, 0.25]), torch.tensor([True, False, True]), bins=2)[0]
    0.5
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    confidences, hits = confidences.double(), hits.double()
    place = torch.bucketize(confidences, edges[1:-1])
    counts = place.bincount(minlength=bins)
    sums = [torch.zeros(bins, dtype=torch.float64).index_add_(0, place, values) for values in (confidences, hits)]
    error = (sums[0] - sums[1]).abs().sum().item() / max(1, len(hits))
    means = [(values / counts).tolist() for values in sums]
    rows = zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), *means, strict=False)
    return error, [Bin(*row) for row in rows]


class Rates(NamedTuple):
    """Precision, recall and F1 of each class, (n_classes,), or of all together, ()."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def rates(both: Tensor, predicted: Tensor, true: Tensor) -> Rates:
    """The rates from how often each class was rightly predicted, predicted, and true."""
    both, predicted, true = both.double(), predicted.double(), true.double()
    return Rates(ratio(both, predicted), ratio(both, true), ratio(2 * both, predicted + true))


def mean_where(values: Tensor, counted: Tensor) -> float:
    """The mean of the values that are counted; NaN where none is."""
    return values[counted].mean().item() if bool(counted.any()) else math.nan


def weighted_mean(values: Tensor, weights: Tensor) -> float:
    """The mean by weights; NaN where they are all 0."""
    total = weights.double().sum()
    return (values * weights).sum().item() / total.item() if total > 0 else math.nan


def determination(predicted: Tensor, true: Tensor) -> Tensor:
    """The coefficient of determination of each output: (n, outputs) to (outputs,); NaN where the truth never varies."""
    predicted, true = predicted.double(), true.double()
    rest = (true - predicted).square().sum(0)
    spread = (true - true.mean(0)).square().sum(0)
    return torch.where(spread > 0, 1 - rest / spread.where(spread > 0, 1), torch.nan)
