"""fastai's losses by their names, and what a learner takes for a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Elementwise,
    Focal,
    absolute_error,
    default_loss,
    squared_error,
)
from fastcli.registry import losses
from fastcli.vision.core import target_of

__all__ = ["BCEWithLogitsLossFlat", "CrossEntropyLossFlat", "FocalLossFlat", "L1LossFlat",
           "LabelSmoothingCrossEntropy", "LabelSmoothingCrossEntropyFlat", "MSELossFlat"]  # fmt: skip


def CrossEntropyLossFlat(axis: int = 1, weight: Tensor | None = None, label_smoothing: float = 0.0) -> CrossEntropy:  # noqa: N802
    """Cross entropy over the classes, which lie along axis 1 (also the last one, where there are two)."""
    _check_axis(axis)
    return CrossEntropy(0, label_smoothing, weight)


def LabelSmoothingCrossEntropy(eps: float = 0.1, weight: Tensor | None = None) -> CrossEntropy:  # noqa: N802
    """Cross entropy with `eps` of every target spread over all classes."""
    return CrossEntropy(0, eps, weight)


LabelSmoothingCrossEntropyFlat = LabelSmoothingCrossEntropy


def FocalLossFlat(gamma: float = 2.0, axis: int = 1, weight: Tensor | None = None) -> Focal:  # noqa: N802
    """Cross entropy that makes little of what is easy."""
    _check_axis(axis)
    return Focal(0, gamma, weight)


def BCEWithLogitsLossFlat(pos_weight: Tensor | None = None) -> BinaryCrossEntropy:  # noqa: N802
    """Binary cross entropy of every output on its own."""
    return BinaryCrossEntropy(0, pos_weight)


def MSELossFlat() -> Elementwise:  # noqa: N802
    """Squared error."""
    return Elementwise(0, squared_error)


def L1LossFlat() -> Elementwise:  # noqa: N802
    """Absolute error."""
    return Elementwise(0, absolute_error)


def _check_axis(axis: int) -> None:
    if axis not in (1, -1):
        raise ConfigError(f"the classes lie along axis 1, not {axis}")


def as_loss(given: Any, dls: Any) -> Callable[..., Tensor]:
    """The loss that was given, or else the one that fits the target. Raises ConfigError where nothing tells it."""
    if given is not None:
        return given() if isinstance(given, type) else given  # type: ignore[no-any-return]
    target = target_of(dls)
    if target is None:
        raise ConfigError("these loaders do not say what their target is", hint="give the learner a loss_func")
    return losses.build(default_loss(target), target)  # type: ignore[no-any-return]
