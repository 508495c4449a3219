"""Losses of masks that look at a class's whole area, alone or beside a loss of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.losses.base import Loss, ignored_class
from fastcli.losses.classification import ClassWeights, CrossEntropy, Focal, per_class
from fastcli.registry import losses
from fastcli.types import TargetInfo


class Dice(Loss):
    """One minus the Dice coefficient of each class's area (Milletari et al., arXiv:1606.04797), the mean over classes.

    From logits (n, classes, h, w), and targets (n, h, w) or shares of classes (n, classes, h, w). `squared` squares
    the probabilities in the denominator; pixels whose target is `ignore_index`, and that class, do not count.
    """

    def __init__(
        self, n_out: int, smooth: float = 1e-6, *, squared: bool = False, ignore_index: int | None = None
    ) -> None:
        super().__init__(n_out)
        self.smooth, self.squared, self.ignore_index = smooth, squared, ignore_index

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, (n,)."""
        shares = logits.float().softmax(dim=1)
        truth = targets.float() if targets.is_floating_point() else self._one_hot(targets, shares)
        if self.ignore_index is not None and not targets.is_floating_point():
            shares = shares * (targets != self.ignore_index).unsqueeze(1)
        area = tuple(range(2, shares.ndim))
        overlap = (shares * truth).sum(area)
        total = ((shares.square() if self.squared else shares) + truth).sum(area)
        return 1 - self._of_classes((2 * overlap + self.smooth) / (total + self.smooth)).mean(dim=1)

    def _one_hot(self, targets: Tensor, like: Tensor) -> Tensor:
        counted = torch.ones_like(targets, dtype=torch.bool) if self.ignore_index is None else (
            targets != self.ignore_index)  # fmt: skip
        index = targets.where(counted, 0).unsqueeze(1)
        return torch.zeros_like(like).scatter_(1, index, counted.unsqueeze(1).to(like.dtype))

    def _of_classes(self, dice: Tensor) -> Tensor:
        """Without the column of the ignored class, if it has one."""
        i = self.ignore_index
        return dice if i is None or not 0 <= i < dice.shape[1] else torch.cat([dice[:, :i], dice[:, i + 1 :]], dim=1)

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        ignored = "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return f"smooth={self.smooth}" + (", squared" if self.squared else "") + ignored


class Combined(Loss):
    """The weighted sum of several losses of one number of outputs; `weights` are all 1 unless given."""

    def __init__(self, losses: Sequence[Loss], weights: Sequence[float] | None = None) -> None:
        outputs = sorted({loss.n_out for loss in losses})
        if len(outputs) != 1:
            raise ConfigError(f"losses of {' and '.join(map(str, outputs)) or 'no'} outputs cannot be combined")
        super().__init__(outputs[0])
        self.losses = nn.ModuleList(losses)
        self.weights = list(weights) if weights is not None else [1.0] * len(losses)
        if len(self.weights) != len(losses):
            raise ConfigError(f"{len(self.weights)} weights for {len(losses)} losses")

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, (n,)."""
        parts = [weight * loss.per_item(logits, targets) for weight, loss in self._pairs()]
        return torch.stack(parts).sum(dim=0)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The sum of the mean losses of the batch, ()."""
        return torch.stack([weight * loss(logits, targets) for weight, loss in self._pairs()]).sum()

    def _pairs(self) -> list[tuple[float, Loss]]:
        return [(weight, loss) for weight, loss in zip(self.weights, self.losses, strict=True)]  # type: ignore[misc]

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"weights={self.weights}"


@losses
def dice(
    target: TargetInfo,
    /,
    smooth: NonNegativeFloat = 1e-6,
    squared: bool = False,
    ignore_index: int | str | None = None,
) -> Loss:
    """One minus the Dice coefficient of each class's area, the mean over classes and images (arXiv:1606.04797)."""
    target.require("dice", "mask")
    return Dice(target.n_out, smooth, squared=squared, ignore_index=ignored_class("dice", ignore_index, target))


@losses
def dice_cross_entropy(
    target: TargetInfo,
    /,
    dice_weight: NonNegativeFloat = 1.0,
    smooth: NonNegativeFloat = 1e-6,
    label_smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0,
    class_weights: ClassWeights = None,
    ignore_index: int | str | None = None,
) -> Loss:
    """Cross entropy + dice_weight · dice (Isensee et al., arXiv:1809.10486)."""
    target.require("dice_cross_entropy", "mask")
    ignored = ignored_class("dice_cross_entropy", ignore_index, target)
    pixels = CrossEntropy(target.n_out, label_smoothing, per_class(class_weights, target), ignored)
    return Combined([pixels, Dice(target.n_out, smooth, ignore_index=ignored)], [1.0, dice_weight])


@losses
def dice_focal(
    target: TargetInfo,
    /,
    dice_weight: NonNegativeFloat = 1.0,
    smooth: NonNegativeFloat = 1e-6,
    gamma: NonNegativeFloat = 2.0,
    class_weights: ClassWeights = None,
    ignore_index: int | str | None = None,
) -> Loss:
    """Focal loss + dice_weight · dice, for small areas."""
    target.require("dice_focal", "mask")
    ignored = ignored_class("dice_focal", ignore_index, target)
    pixels = Focal(target.n_out, gamma, per_class(class_weights, target), ignored)
    return Combined([pixels, Dice(target.n_out, smooth, ignore_index=ignored)], [1.0, dice_weight])
