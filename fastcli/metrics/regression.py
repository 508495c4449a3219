"""Metrics of numbers and points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from fastcli.metrics.base import Mean, Metric
from fastcli.metrics.counts import ratio
from fastcli.registry import metrics
from fastcli.types import TargetInfo

Pixels = Annotated[int, Field(ge=1)]
KINDS = ("regression", "points")


class Moments(Metric):
    """A figure of the sums of predictions, targets, their squares and products, the mean over the outputs.

    `formula` gets the variance of predictions, that of targets, their covariance and the mean of the squared
    difference, each (n_out,). The sums are taken about the first batch's mean target, so that they cancel little.
    """

    def __init__(self, name: str, formula: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__(name, higher_is_better=True)
        self._formula = formula
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._sums: Tensor | None = None
        self._centre: Tensor | None = None
        self._count = 0

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""
        predictions, targets = logits.float(), targets.float().reshape(logits.shape)
        if self._centre is None:
            self._centre = targets.mean(dim=0)
        if predictions.device.type != "mps":  # which has no float64
            predictions, targets = predictions.double(), targets.double()
        p, t = predictions - self._centre, targets - self._centre
        sums = torch.stack([p, t, p * p, t * t, p * t, (p - t).square()]).sum(dim=1)
        self._sums = sums if self._sums is None else self._sums + sums
        self._count += len(logits)

    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""
        if self._sums is None:
            return math.nan
        p, t, pp, tt, pt, squares = self._sums.cpu().double() / self._count
        return self._formula(pp - p * p, tt - t * t, pt - p * t, squares).mean().item()


@metrics
def mse(target: TargetInfo, /) -> Metric:
    """The mean squared error."""
    target.require("mse", *KINDS)
    return Mean("mse", lambda logits, targets: difference(logits, targets).square(), higher_is_better=False)


@metrics
def rmse(target: TargetInfo, /) -> Metric:
    """The root of the mean squared error over all items and outputs."""
    target.require("rmse", *KINDS)
    return Mean(
        "rmse",
        lambda logits, targets: difference(logits, targets).square(),
        higher_is_better=False,
        finish=math.sqrt,
    )


@metrics
def mae(target: TargetInfo, /) -> Metric:
    """The mean absolute error."""
    target.require("mae", *KINDS)
    return Mean("mae", lambda logits, targets: difference(logits, targets).abs(), higher_is_better=False)


@metrics
def msle(target: TargetInfo, /) -> Metric:
    """The mean squared error of log(1 + value); not a number where a value is below −1."""
    target.require("msle", "regression")

    def error(logits: Tensor, targets: Tensor) -> Tensor:
        return difference(logits.float().log1p(), targets.float().log1p()).square()

    return Mean("msle", error, higher_is_better=False)


@metrics
def exp_rmspe(target: TargetInfo, /) -> Metric:
    """The root of the mean squared relative error of exp(value), for targets that are logarithms."""
    target.require("exp_rmspe", "regression")

    def error(logits: Tensor, targets: Tensor) -> Tensor:
        return difference(logits, targets).expm1().square()

    return Mean("exp_rmspe", error, higher_is_better=False, finish=math.sqrt)


@metrics
def point_distance(target: TargetInfo, /, size: Pixels | tuple[Pixels, Pixels] | None = None) -> Metric:
    """The mean distance of predicted and true points, in pixels of an image of `size` (its side, or height and width).

    Without `size` the unit is half the image's side.
    """
    target.require("point_distance", "points")
    height, width = (2, 2) if size is None else (size, size) if isinstance(size, int) else size

    def distance(logits: Tensor, targets: Tensor) -> Tensor:
        x, y = difference(logits, targets).reshape(len(logits), -1, 2).unbind(dim=2)
        return torch.hypot(x * (width / 2), y * (height / 2))

    return Mean("point_distance", distance, higher_is_better=False)


@metrics
def r2_score(target: TargetInfo, /) -> Metric:
    """The share of the targets' variance that is explained, one minus mean squared error / variance."""
    target.require("r2_score", *KINDS)
    return Moments("r2_score", lambda _, variance, __, squares: _explained(squares, variance))


@metrics
def explained_variance(target: TargetInfo, /) -> Metric:
    """The share of the targets' variance that is explained, whatever the predictions' mean."""
    target.require("explained_variance", *KINDS)
    return Moments("explained_variance", lambda p, t, both, _: _explained(p + t - 2 * both, t))


@metrics
def pearson_corrcoef(target: TargetInfo, /) -> Metric:
    """Pearson's correlation of predictions and targets; 0 where one of them does not vary."""
    target.require("pearson_corrcoef", *KINDS)
    return Moments("pearson_corrcoef", lambda p, t, both, _: ratio(both, (p * t).sqrt()))


def difference(logits: Tensor, targets: Tensor) -> Tensor:
    """Predictions minus targets, float32 of the predictions' shape."""
    return logits.float() - targets.float().reshape(logits.shape)


def _explained(error: Tensor, variance: Tensor) -> Tensor:
    """One minus error / variance; of targets that do not vary 1 for no error and 0 for any, as in scikit-learn."""
    return torch.where(variance > 0, 1 - ratio(error, variance), (error <= 0).double())
