"""fastai's losses by their names, and what a learner takes for a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Dice,
    Elementwise,
    Focal,
    absolute_error,
    default_loss,
    squared_error,
)
from fastcli.registry import losses
from fastcli.vision.core import target_of

__all__ = ["BCEWithLogitsLossFlat", "CrossEntropyLossFlat", "DiceLoss", "FocalLoss", "FocalLossFlat", "L1LossFlat",
           "LabelSmoothingCrossEntropy", "LabelSmoothingCrossEntropyFlat", "MSELossFlat"]  # fmt: skip


def CrossEntropyLossFlat(  # noqa: N802
    axis: int = -1, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0, **layout: Any,
) -> CrossEntropy:  # fmt: skip
    """Cross entropy over the classes, which lie along axis 1 (also the last one, where there are two).

    Here and below `layout` is fastai's `flatten`, `floatify` and `is_2d`, which the shapes tell.
    """
    _check(axis, reduction, layout)
    return CrossEntropy(0, label_smoothing, weight, None if ignore_index == -100 else ignore_index)


def LabelSmoothingCrossEntropy(  # noqa: N802
    eps: float = 0.1, weight: Tensor | None = None, reduction: str = "mean"
) -> CrossEntropy:
    """Cross entropy with `eps` of every target spread over all classes."""
    _check(-1, reduction, {})
    return CrossEntropy(0, eps, weight)


def LabelSmoothingCrossEntropyFlat(  # noqa: N802
    axis: int = -1, eps: float = 0.1, reduction: str = "mean", **layout: Any
) -> CrossEntropy:
    """Cross entropy with `eps` of every target spread over all classes."""
    _check(axis, reduction, layout)
    return CrossEntropy(0, eps)


def FocalLossFlat(  # noqa: N802
    gamma: float = 2.0, axis: int = -1, weight: Tensor | None = None, reduction: str = "mean", **layout: Any
) -> Focal:
    """Cross entropy that makes little of what is easy."""
    _check(axis, reduction, layout)
    return Focal(0, gamma, weight)


FocalLoss = FocalLossFlat


def BCEWithLogitsLossFlat(  # noqa: N802
    axis: int = -1, floatify: bool = True, thresh: float = 0.5, weight: Tensor | None = None, reduction: str = "mean",
    pos_weight: Tensor | None = None, **layout: Any,
) -> BinaryCrossEntropy:  # fmt: skip
    """Binary cross entropy of every output on its own."""
    _check(axis, reduction, layout)
    if thresh != 0.5 or weight is not None:
        hint = "give accuracy_multi its thresh, and compare what get_preds gives with a threshold of your own"
        raise ConfigError("BCEWithLogitsLossFlat has no thresh and no weight: labels are decided at 0.5", hint=hint)
    return BinaryCrossEntropy(0, pos_weight)


def MSELossFlat(axis: int = -1, floatify: bool = True, reduction: str = "mean") -> Elementwise:  # noqa: N802
    """Squared error."""
    _check(axis, reduction, {})
    return Elementwise(0, squared_error)


def L1LossFlat(axis: int = -1, floatify: bool = True, reduction: str = "mean") -> Elementwise:  # noqa: N802
    """Absolute error."""
    _check(axis, reduction, {})
    return Elementwise(0, absolute_error)


class DiceLoss(Dice):
    """One minus the Dice coefficient of each class's area: the sum over classes and pictures, or their mean.

    fastai's default is the sum; the mean does not depend on how many there are.
    """

    def __init__(
        self, axis: int = 1, smooth: float = 1e-6, reduction: str = "sum", square_in_union: bool = False
    ) -> None:
        if axis != 1 or reduction not in ("sum", "mean"):
            raise ConfigError("DiceLoss has its classes along axis 1, and reduction='sum' or 'mean'")
        super().__init__(0, smooth, squared=square_in_union)
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, ()."""
        losses = self.per_item(logits, targets)
        return losses.sum() * logits.shape[1] if self.reduction == "sum" else losses.mean()


def _check(axis: int, reduction: str, layout: Mapping[str, Any]) -> None:
    if axis not in (1, -1):
        raise ConfigError(f"the classes lie along axis 1, not {axis}")
    if reduction != "mean":
        raise ConfigError(f"a loss is the mean of a batch, not {reduction!r}", hint="loss.per_item gives each item's")
    if unknown := set(layout) - {"flatten", "floatify", "is_2d"}:
        raise TypeError(f"a loss takes no {', '.join(sorted(unknown))}")


def as_loss(given: Any, dls: Any) -> Callable[..., Tensor]:
    """The loss that was given, or else the one that fits the target. Raises ConfigError where nothing tells it."""
    if given is not None:
        return given() if isinstance(given, type) else given  # type: ignore[no-any-return]
    target = target_of(dls)
    if target is None:
        raise ConfigError("these loaders do not say what their target is", hint="give the learner a loss_func")
    return losses.build(default_loss(target), target)  # type: ignore[no-any-return]
