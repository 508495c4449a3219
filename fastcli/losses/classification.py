"""Losses of classes: one of several, for an item or for each pixel of a mask, or any number of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from fastcli.errors import ConfigError, did_you_mean
from fastcli.losses.base import Loss, counted_mean, ignored_class, item_means, paired, shown
from fastcli.losses.regression import Elementwise
from fastcli.registry import losses
from fastcli.types import TargetInfo

PerClass = list[NonNegativeFloat] | dict[str, NonNegativeFloat]
ClassWeights = Literal["balanced"] | PerClass | None
NOTHING_IGNORED = -100
"""What torch takes for `ignore_index` when nothing is."""
TINY = 1e-12


class ClassLoss(Loss):
    """Base of the losses over classes: logits (n, classes, …), and targets (n, …) or shares of classes (n, classes, …).

    `weight` has one number per class; elements whose target is `ignore_index` do not count.
    """

    weight: Tensor | None

    def __init__(self, n_out: int, weight: Tensor | None = None, ignore_index: int | None = None) -> None:
        super().__init__(n_out)
        self.ignore_index = ignore_index
        self.register_buffer("weight", weight, persistent=False)

    @abstractmethod
    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every element times the weight of its class, 0 for those that do not count, (n, …)."""

    def counted(self, targets: Tensor) -> Tensor | None:
        """Which elements count, (n, …); None if all do."""
        return None if self.ignore_index is None else targets != self.ignore_index

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, times the weight of its class, the mean over its pixels, (n,)."""
        return item_means(self.elements(logits, targets), self.counted(targets))

    def weights_of(self, targets: Tensor) -> Tensor | None:
        """The weight of every element, 0 for those that do not count, (n, …); None if all weigh 1."""
        counted = self.counted(targets)
        if self.weight is None:
            return counted
        if targets.is_floating_point():
            # Not by einsum, which autocast would run in half precision.
            return (targets * self.weight.reshape(-1, *[1] * (targets.ndim - 2))).sum(dim=1)
        return self.weight[targets] if counted is None else self.weight[targets.where(counted, 0)] * counted

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        ignored = "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return shown("class_weights", self.weight) + ignored


class CrossEntropy(ClassLoss):
    """Cross entropy; the mean loss is the weighted mean over what counts, as in torch, and 0 where nothing counts."""

    def __init__(
        self,
        n_out: int,
        label_smoothing: float = 0.0,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(n_out, weight, ignore_index)
        self.label_smoothing = label_smoothing

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every element times the weight of its class, 0 for those that do not count, (n, …)."""
        ignored = NOTHING_IGNORED if self.ignore_index is None else self.ignore_index
        return F.cross_entropy(
            logits.float(), targets, self.weight,
            reduction="none", label_smoothing=self.label_smoothing, ignore_index=ignored,
        )  # fmt: skip

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the batch, ()."""
        if self.ignore_index is None:
            return F.cross_entropy(logits.float(), targets, self.weight, label_smoothing=self.label_smoothing)
        weights = self.weights_of(targets)
        assert weights is not None
        return self.elements(logits, targets).sum() / weights.sum().clamp_min(TINY)  # torch's is NaN where none counts

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"label_smoothing={self.label_smoothing}" + super().extra_repr()


class Focal(ClassLoss):
    """Focal loss (1 − p)^gamma · cross entropy."""

    def __init__(
        self, n_out: int, gamma: float = 2.0, weight: Tensor | None = None, ignore_index: int | None = None
    ) -> None:
        super().__init__(n_out, weight, ignore_index)
        self.gamma = gamma

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every element times the weight of its class, 0 for those that do not count, (n, …)."""
        ignored = NOTHING_IGNORED if self.ignore_index is None else self.ignore_index
        entropy = F.cross_entropy(logits.float(), targets, reduction="none", ignore_index=ignored)
        missed = (-torch.expm1(-entropy)).clamp_min(TINY)  # the slope of a root is infinite at 0
        weights = self.weights_of(targets)
        loss = missed**self.gamma * entropy
        return loss if weights is None else loss * weights

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the batch over what counts, ()."""
        losses, counted = self.elements(logits, targets), self.counted(targets)
        return losses.mean() if counted is None else counted_mean(losses, counted)

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"gamma={self.gamma}" + super().extra_repr()


class BinaryCrossEntropy(Loss):
    """Binary cross entropy of each output on its own, from logits (n, n_out, …) and as many targets from 0 to 1.

    Outputs whose target is `ignore_index` do not count.
    """

    pos_weight: Tensor | None

    def __init__(self, n_out: int, pos_weight: Tensor | None = None, ignore_index: int | None = None) -> None:
        super().__init__(n_out)
        self.ignore_index = ignore_index
        self.register_buffer("pos_weight", pos_weight, persistent=False)

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, the mean over its outputs, (n,)."""
        return item_means(*self._elements(logits, targets))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the batch over what counts, ()."""
        losses, counted = self._elements(logits, targets)
        return losses.mean() if counted is None else counted_mean(losses, counted)

    def _elements(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, targets = paired(logits, targets)
        losses = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.pos_weight, reduction="none")
        return losses, None if self.ignore_index is None else targets != self.ignore_index

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        ignored = "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return f"n_out={self.n_out}" + shown("pos_weight", self.pos_weight) + ignored


@losses
def cross_entropy(
    target: TargetInfo,
    /,
    label_smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0,
    class_weights: ClassWeights = None,
    ignore_index: int | str | None = None,
) -> Loss:
    """Cross entropy for one class of several, of an item or of each pixel.

    `balanced` weighs each class by items / (classes · its items); pixels of the class `ignore_index` do not count.
    """
    target.require("cross_entropy", "category", "mask")
    weight, ignored = per_class(class_weights, target), ignored_class("cross_entropy", ignore_index, target)
    return CrossEntropy(target.n_out, label_smoothing, weight, ignored)


@losses
def focal(
    target: TargetInfo,
    /,
    gamma: NonNegativeFloat = 2.0,
    class_weights: ClassWeights = None,
    ignore_index: int | str | None = None,
) -> Loss:
    """Focal loss (1 − p)^gamma · cross entropy, p the probability of the true class (Lin et al., arXiv:1708.02002)."""
    target.require("focal", "category", "mask")
    ignored = ignored_class("focal", ignore_index, target)
    return Focal(target.n_out, gamma, per_class(class_weights, target), ignored)


@losses
def binary_cross_entropy(
    target: TargetInfo,
    /,
    pos_weight: NonNegativeFloat | PerClass | None = None,
    ignore_index: int | str | None = None,
) -> Loss:
    """Binary cross entropy for several labels at once, or for two classes told apart by one output."""
    target.require("binary_cross_entropy", "multi_category", "category", "mask")
    ignored = ignored_class("binary_cross_entropy", ignore_index, target)
    if target.kind == "multi_category":
        weights = [pos_weight] * target.n_out if isinstance(pos_weight, (int, float)) else pos_weight
        return BinaryCrossEntropy(target.n_out, per_class(weights, target, "pos_weight"))
    _require_two_classes("binary_cross_entropy", target)
    if isinstance(pos_weight, (list, dict)):
        raise ConfigError("pos_weight must be one number for two classes told apart by one output")
    weight = None if pos_weight is None else torch.tensor([float(pos_weight)])
    return BinaryCrossEntropy(1, weight, ignored)


@losses
def mnist_loss(target: TargetInfo, /) -> Loss:
    """One minus the probability of the true one of two classes, from one output (fastbook, chapter 4)."""
    target.require("mnist_loss", "category")
    _require_two_classes("mnist_loss", target)
    return Elementwise(1, probability_missed)


def probability_missed(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the probability that each logit gives to its target, 1 or 0; in between for targets in between."""
    p = logits.sigmoid()
    return targets * (1 - p) + (1 - targets) * p


def per_class(values: ClassWeights, target: TargetInfo, name: str = "class_weights") -> Tensor | None:
    """One number for each class, from YAML's way of giving them; classes that are not named get 1."""
    if values is None:
        return None
    if values == "balanced":
        return _balanced(target)
    if isinstance(values, dict):
        for unknown in values.keys() - set(target.classes):
            hint = did_you_mean(unknown, target.classes)
            raise ConfigError(f"unknown class {unknown!r} in {name}", hint=hint, key=f"loss.{name}")
        values = [values.get(each, 1.0) for each in target.classes]
    if len(values) != target.n_out:
        raise ConfigError(f"{name} has {len(values)} values for {target.n_out} classes", key=f"loss.{name}")
    return torch.tensor(values, dtype=torch.float32)


def _require_two_classes(name: str, target: TargetInfo) -> None:
    if target.n_out != 2:
        raise ConfigError(f"{name} tells two classes apart; there are {target.n_out}", hint="use cross_entropy")


def _balanced(target: TargetInfo) -> Tensor:
    if target.kind == "mask":
        raise ConfigError("class_weights: balanced counts labels, and those of a mask's pixels are not counted",
                          hint="give one weight for each class", key="loss.class_weights")  # fmt: skip
    if len(target.counts) != target.n_out or 0 in target.counts:
        raise ConfigError(
            "class_weights: balanced needs training items of every class",
            hint=f"counts: {dict(zip(target.classes, target.counts, strict=False))}",
            key="loss.class_weights",
        )
    counts = torch.tensor(target.counts, dtype=torch.float32)
    return counts.sum() / (len(counts) * counts)
