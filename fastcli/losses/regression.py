"""Losses of numbers and of points: a function of each output and its target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import PositiveFloat
from torch import Tensor

from fastcli.losses.base import Loss, item_means, paired
from fastcli.registry import losses
from fastcli.types import TargetInfo

KINDS = ("regression", "points")


class Elementwise(Loss):
    """A function of each output (n, n_out) and its target, both float32; `options` go to the function."""

    def __init__(self, n_out: int, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__(n_out)
        self.function, self.options = function, options

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, the mean over its outputs, (n,)."""
        return item_means(self.function(*paired(logits, targets), **self.options))

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        options = "".join(f", {name}={value}" for name, value in self.options.items())
        return f"{self.function.__name__}, n_out={self.n_out}{options}"


@losses
def mean_squared(target: TargetInfo, /) -> Loss:
    """Squared error."""
    target.require("mean_squared", *KINDS)
    return Elementwise(target.n_out, squared_error)


@losses
def l1(target: TargetInfo, /) -> Loss:
    """Absolute error."""
    target.require("l1", *KINDS)
    return Elementwise(target.n_out, absolute_error)


@losses
def huber(target: TargetInfo, /, delta: PositiveFloat = 1.0) -> Loss:
    """Half the squared error up to `delta`, beyond it delta · (absolute error − delta / 2)."""
    target.require("huber", *KINDS)
    return Elementwise(target.n_out, huber_error, delta=delta)


@losses
def smooth_l1(target: TargetInfo, /, beta: PositiveFloat = 1.0) -> Loss:
    """Absolute error − beta / 2, but below `beta` squared error / (2 · beta): huber / beta (arXiv:1504.08083)."""
    target.require("smooth_l1", *KINDS)
    return Elementwise(target.n_out, smooth_absolute_error, beta=beta)


def squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The square of each difference."""
    return F.mse_loss(predictions, targets, reduction="none")


def absolute_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The size of each difference."""
    return F.l1_loss(predictions, targets, reduction="none")


def huber_error(predictions: Tensor, targets: Tensor, *, delta: float) -> Tensor:
    """The size of each difference times `delta`, rounded off below `delta`."""
    return F.huber_loss(predictions, targets, reduction="none", delta=delta)


def smooth_absolute_error(predictions: Tensor, targets: Tensor, *, beta: float) -> Tensor:
    """The size of each difference, rounded off below `beta`."""
    return F.smooth_l1_loss(predictions, targets, reduction="none", beta=beta)
