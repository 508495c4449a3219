"""What every metric is, the mean of a function, and what several of them share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from fastcli.types import TargetInfo, class_logits

DEFAULTS = {
    "category": ["error_rate"],
    "multi_category": ["accuracy_multi"],
    "regression": ["mae"],
    "mask": ["dice"],
    "points": ["point_distance"],
}


class Metric(ABC):
    """Base of the metrics: `reset` before a pass over the data, `update` with every batch, `compute` at its end."""

    def __init__(self, name: str, *, higher_is_better: bool) -> None:
        self.name = name
        self.higher_is_better = higher_is_better

    @abstractmethod
    def reset(self) -> None:
        """Forget what was seen."""

    @abstractmethod
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""

    @abstractmethod
    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, higher_is_better={self.higher_is_better})"


class Mean(Metric):
    """The mean over everything seen of `value(logits, targets)`, of whatever shape, put through `finish`.

    A value that is one number for its batch already (a function from a notebook) counts once for each of its items.
    """

    def __init__(
        self,
        name: str,
        value: Callable[[Tensor, Tensor], Tensor],
        *,
        higher_is_better: bool,
        finish: Callable[[float], float] = float,
    ) -> None:
        super().__init__(name, higher_is_better=higher_is_better)
        self._value, self._finish = value, finish
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._sum: Tensor | None = None
        self._count = 0

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""
        values = self._value(logits, targets)
        count = values.numel() if values.ndim else len(targets)
        total = exact_sum(values) * (1 if values.ndim else count)
        self._sum = total if self._sum is None else self._sum + total
        self._count += count

    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""
        return math.nan if self._sum is None else self._finish(self._sum.item() / self._count)


def default_metrics(target: TargetInfo) -> list[str]:
    """The names of the metrics for a target when none are chosen.

    >>> default_metrics(TargetInfo("category", 2))
    ['error_rate']
    """
    if not target.metrics:
        target.require("a metric chosen by default", *DEFAULTS)
    return list(target.metrics) or list(DEFAULTS[target.kind])


def decided(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest class and the true one, both (n, …)."""
    likeliest = class_logits(logits).argmax(dim=1)
    # reshape: targets of shape (n, 1) would broadcast to (n, n) without a word.
    return likeliest, targets.reshape(likeliest.shape)


def hits(logits: Tensor, targets: Tensor) -> Tensor:
    """Where the likeliest class is the true one, bool (n, …)."""
    likeliest, targets = decided(logits, targets)
    return likeliest == targets


def exact_sum(values: Tensor) -> Tensor:
    """The sum as an integer or in float64, which Apple's devices lack."""
    if not values.is_floating_point() or values.device.type == "mps":
        return values.sum()
    return values.sum(dtype=torch.float64)
