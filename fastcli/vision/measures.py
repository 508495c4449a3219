"""Metrics of one's own, in fastai's ways, and what a learner makes of what it is given for a metric."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from fastcli import metrics
from fastcli.errors import ConfigError
from fastcli.vision.core import target_of
from fastcli.vision.metrics import Named
from fastcli.vision.style import named

__all__ = ["AccumMetric", "AvgMetric", "Metric", "skm_to_fastai"]

Function = Callable[..., Any]


def AvgMetric(func: Function) -> metrics.Metric:  # noqa: N802
    """The mean over all items of a function of predictions and targets."""
    return metrics.Mean(_name_of(func), _as_tensor(func), higher_is_better=_rises(_name_of(func)))


class Metric(metrics.Metric):
    """Base of metrics in fastai's style: `reset`, `accumulate(learn)` and the property `value`.

    `learn` has `pred`, `y` and `yb`. The column is called as the class, unless `name` is another property.
    """

    def __init__(self) -> None:
        """Nothing: what a metric begins with is set by `reset`."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """The heading of its column."""
        return named(self)

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """Whether it rises as the model gets better, which is told by its name."""
        return _rises(self.name)

    @abstractmethod
    def accumulate(self, learn: Any) -> None:
        """Take a batch in."""

    def update(self, logits: Tensor, targets: Any) -> None:
        """Take a batch in, by `accumulate`."""
        targets = targets if isinstance(targets, tuple) else (targets,)
        self.accumulate(SimpleNamespace(pred=logits, yb=targets, y=targets[0]))

    def compute(self) -> float:
        """The figure, as `value` has it."""
        value = self.value  # type: ignore[attr-defined]
        return math.nan if value is None else float(value)


class AccumMetric(metrics.Metric):
    """A function of all predictions and targets of a set, kept on the CPU until its end."""

    def __init__(
        self, func: Function, dim_argmax: int | None = None, activation: str = "no", thresh: float | None = None,
        to_np: bool = False, invert_arg: bool = False, flatten: bool = True, name: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name or _name_of(func), higher_is_better=_rises(name or _name_of(func)))
        if activation not in ("no", "sigmoid", "softmax", "binarysoftmax"):
            raise ConfigError(f"unknown activation {activation!r}", hint="no, sigmoid, softmax or binarysoftmax")
        self.func, self.dim_argmax, self.activation, self.thresh = func, dim_argmax, activation, thresh
        self.to_np, self.invert_arg, self.flatten, self.options = to_np, invert_arg, flatten, options
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._predictions: list[Tensor] = []
        self._targets: list[Tensor] = []

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in."""
        made = self._activated(logits.float())
        if self.dim_argmax is not None and self.activation == "no":
            made = made.argmax(self.dim_argmax)
        if self.thresh is not None:
            made = made >= self.thresh
        flat = self.flatten
        self._predictions.append((made.flatten() if flat else made).cpu())
        self._targets.append((targets.flatten() if flat else targets).cpu())

    def _activated(self, logits: Tensor) -> Tensor:
        if self.activation == "sigmoid":
            return logits.sigmoid()
        if self.activation == "no":
            return logits
        shares = logits.softmax(-1 if self.dim_argmax is None else self.dim_argmax)
        return shares[:, -1] if self.activation == "binarysoftmax" else shares

    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""
        if not self._predictions:
            return math.nan
        pair: list[Any] = [torch.cat(self._predictions), torch.cat(self._targets)]
        pair = [part.numpy() for part in pair] if self.to_np else pair
        return float(self.func(*(reversed(pair) if self.invert_arg else pair), **self.options))


def skm_to_fastai(
    func: Function, is_class: bool = True, thresh: float | None = None, axis: int = -1, activation: str | None = None,
    **options: Any,
) -> AccumMetric:  # fmt: skip
    """A function of scikit-learn, which takes targets first, as a metric."""
    dim_argmax = axis if is_class and thresh is None else None
    chosen = activation or ("sigmoid" if is_class and thresh is not None else "no")
    return AccumMetric(func, dim_argmax, chosen, thresh, to_np=True, invert_arg=True, **options)


def as_metric(given: Any, dls: Any) -> metrics.Metric:
    """What a learner was given for a metric, as one: a metric, a name, or a function of predictions and targets."""
    if isinstance(given, str):
        return Named(given).build(target_of(dls))
    if isinstance(given, type) or getattr(given, "__qualname__", "").endswith(".<locals>.make"):
        given = given()  # F1Score without its parentheses
    if isinstance(given, partial) and isinstance(given.func, Named) and not given.args:
        given = given.func.using(**given.keywords)
    if isinstance(given, Named):
        return given.build(target_of(dls))
    return given if isinstance(given, metrics.Metric) else AvgMetric(given)


def distinct(chosen: list[metrics.Metric]) -> list[metrics.Metric]:
    """The metrics, with a number after the names that were there before: each has a column of its own.

    Raises ConfigError for two in fastai's style whose property `name` is the same.
    """
    seen: Counter[str] = Counter()
    for metric in chosen:
        seen[metric.name] += 1
        if seen[metric.name] > 1:
            if isinstance(metric, Metric):
                raise ConfigError(f"two metrics are called {metric.name!r}", hint="give one another property name")
            metric.name = f"{metric.name}_{seen[metric.name]}"
    return chosen


def _as_tensor(function: Function) -> Function:
    """The function with a tensor for a result, where it gives a number."""

    def value(predictions: Tensor, targets: Tensor) -> Tensor:
        return torch.as_tensor(function(predictions, targets))

    return value


def _name_of(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _rises(name: str) -> bool:
    return "loss" not in name and "error" not in name
