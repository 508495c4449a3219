"""Losses: chosen by name, told what the target is, and saying how many numbers the model must give.

Each is a module: `loss(logits, targets)` is the mean, `loss.per_item(logits, targets)` one number per item (mixup and
top losses need it), `loss.n_out` what the head must have. The arithmetic is in float32 whatever the precision of
training. A loss that does not fit the target is a ConfigError. Class weights are a buffer: move the loss to the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn

from fastcli.errors import ConfigError, did_you_mean
from fastcli.registry import losses
from fastcli.types import TargetInfo

PerClass = list[NonNegativeFloat] | dict[str, NonNegativeFloat]
DEFAULTS = {"category": "cross_entropy", "multi_category": "binary_cross_entropy", "regression": "mean_squared"}


class Loss(nn.Module, ABC):
    """Base of the losses; `n_out` is the number of outputs that the model must have."""

    def __init__(self, n_out: int) -> None:
        super().__init__()
        self.n_out = n_out

    @abstractmethod
    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, (n,)."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the batch, ()."""
        return self.per_item(logits, targets).mean()


class CrossEntropy(Loss):
    """Cross entropy from logits (n, classes) and targets (n,), or shares of classes (n, classes)."""

    weight: Tensor | None

    def __init__(self, n_out: int, label_smoothing: float = 0.0, weight: Tensor | None = None) -> None:
        super().__init__(n_out)
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weight, persistent=False)

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, times the weight of its class, (n,)."""
        return _per_item(self._loss(logits, targets, "none"))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the batch, (); with class weights the weighted mean, as in torch."""
        return self._loss(logits, targets, "mean")

    def _loss(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        smoothing = self.label_smoothing
        return F.cross_entropy(logits.float(), targets, self.weight, reduction=reduction, label_smoothing=smoothing)

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"label_smoothing={self.label_smoothing}" + _shown("class_weights", self.weight)


class Focal(Loss):
    """Focal loss from logits (n, classes) and targets (n,), or shares of classes (n, classes)."""

    weight: Tensor | None

    def __init__(self, n_out: int, gamma: float = 2.0, weight: Tensor | None = None) -> None:
        super().__init__(n_out)
        self.gamma = gamma
        self.register_buffer("weight", weight, persistent=False)

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, times the weight of its class, (n,)."""
        entropy = F.cross_entropy(logits.float(), targets, reduction="none")
        loss = (-torch.expm1(-entropy)) ** self.gamma * entropy
        if self.weight is not None:
            loss = loss * (targets @ self.weight if targets.is_floating_point() else self.weight[targets])
        return _per_item(loss)

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"gamma={self.gamma}" + _shown("class_weights", self.weight)


class BinaryCrossEntropy(Loss):
    """Binary cross entropy of each output on its own, from logits (n, n_out) and as many targets from 0 to 1."""

    pos_weight: Tensor | None

    def __init__(self, n_out: int, pos_weight: Tensor | None = None) -> None:
        super().__init__(n_out)
        self.register_buffer("pos_weight", pos_weight, persistent=False)

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, the mean over its outputs, (n,)."""
        logits, targets = _paired(logits, targets)
        return _per_item(
            F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.pos_weight, reduction="none")
        )

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"n_out={self.n_out}" + _shown("pos_weight", self.pos_weight)


class Elementwise(Loss):
    """A function of each output (n, n_out) and its target, both float32."""

    def __init__(self, n_out: int, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(n_out)
        self.function = function

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every item, the mean over its outputs, (n,)."""
        return _per_item(self.function(*_paired(logits, targets)))

    def extra_repr(self) -> str:
        """What the module prints of itself."""
        return f"{self.function.__name__}, n_out={self.n_out}"


@losses
def cross_entropy(
    target: TargetInfo,
    /,
    label_smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0,
    class_weights: Literal["balanced"] | PerClass | None = None,
) -> Loss:
    """Cross entropy for one class of several; `balanced` weighs each class by items / (classes · its items)."""
    target.require("cross_entropy", "category")
    return CrossEntropy(target.n_out, label_smoothing, _per_class("class_weights", class_weights, target))


@losses
def focal(
    target: TargetInfo,
    /,
    gamma: NonNegativeFloat = 2.0,
    class_weights: Literal["balanced"] | PerClass | None = None,
) -> Loss:
    """Focal loss (1 − p)^gamma · cross entropy, p the probability of the true class (Lin et al., arXiv:1708.02002)."""
    target.require("focal", "category")
    return Focal(target.n_out, gamma, _per_class("class_weights", class_weights, target))


@losses
def binary_cross_entropy(target: TargetInfo, /, pos_weight: NonNegativeFloat | PerClass | None = None) -> Loss:
    """Binary cross entropy for several labels at once, or for two classes told apart by one output."""
    target.require("binary_cross_entropy", "multi_category", "category")
    if target.kind == "multi_category":
        weights = [pos_weight] * target.n_out if isinstance(pos_weight, (int, float)) else pos_weight
        return BinaryCrossEntropy(target.n_out, _per_class("pos_weight", weights, target))
    _require_two_classes("binary_cross_entropy", target)
    if isinstance(pos_weight, (list, dict)):
        raise ConfigError("pos_weight must be one number for two classes told apart by one output")
    return BinaryCrossEntropy(1, None if pos_weight is None else torch.tensor([float(pos_weight)]))


@losses
def mnist_loss(target: TargetInfo, /) -> Loss:
    """One minus the probability of the true one of two classes, from one output (fastbook, chapter 4)."""
    target.require("mnist_loss", "category")
    _require_two_classes("mnist_loss", target)
    return Elementwise(1, probability_missed)


@losses
def mean_squared(target: TargetInfo, /) -> Loss:
    """Squared error."""
    target.require("mean_squared", "regression")
    return Elementwise(target.n_out, squared_error)


@losses
def l1(target: TargetInfo, /) -> Loss:
    """Absolute error."""
    target.require("l1", "regression")
    return Elementwise(target.n_out, absolute_error)


def default_loss(target: TargetInfo) -> str:
    """The name of the loss for a target when none is chosen.

    >>> default_loss(TargetInfo("category", 2))
    'cross_entropy'
    """
    target.require("a loss chosen by default", *DEFAULTS)
    return DEFAULTS[target.kind]


def probabilities(logits: Tensor, kind: str, n_classes: int) -> Tensor:
    """What a model's outputs say: probabilities (n, n_classes) of classes or labels, or the numbers of a regression.

    One output for two classes is the logit of the second.

    >>> probabilities(torch.zeros(1, 1), "category", 2)
    tensor([[0.5000, 0.5000]])
    """
    logits = logits.float()
    if kind == "regression":
        return logits
    if kind == "multi_category":
        return logits.sigmoid()
    if n_classes == 2 and logits.shape[1] == 1:
        return torch.cat([(-logits).sigmoid(), logits.sigmoid()], dim=1)
    return logits.softmax(dim=1)


def decide(probabilities: Tensor, kind: str, threshold: float = 0.5) -> Tensor:
    """What is predicted: the index of the likeliest class (n,), every label above the threshold, or the numbers.

    >>> decide(torch.tensor([[0.2, 0.8]]), "category"), decide(torch.tensor([[0.2, 0.8]]), "multi_category")
    (tensor([1]), tensor([[False,  True]]))
    """
    if kind == "regression":
        return probabilities
    return probabilities > threshold if kind == "multi_category" else probabilities.argmax(dim=1)


def probability_missed(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the probability that each logit gives to its target, 1 or 0; in between for targets in between."""
    p = logits.sigmoid()
    return targets * (1 - p) + (1 - targets) * p


def squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The square of each difference."""
    return F.mse_loss(predictions, targets, reduction="none")


def absolute_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The size of each difference."""
    return F.l1_loss(predictions, targets, reduction="none")


def _per_item(losses: Tensor) -> Tensor:
    return losses if losses.ndim == 1 else losses.flatten(1).mean(1)


def _paired(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    # Shapes (n, 1) and (n,) would broadcast to (n, n) without a word.
    logits = logits.float().reshape(len(logits), -1)
    return logits, targets.float().reshape(logits.shape)


def _shown(name: str, values: Tensor | None) -> str:
    return "" if values is None else f", {name}={[round(value, 4) for value in values.tolist()]}"


def _require_two_classes(name: str, target: TargetInfo) -> None:
    if target.n_out != 2:
        raise ConfigError(f"{name} tells two classes apart; there are {target.n_out}", hint="use cross_entropy")


def _per_class(
    name: str, values: Literal["balanced"] | list[float] | dict[str, float] | None, target: TargetInfo
) -> Tensor | None:
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


def _balanced(target: TargetInfo) -> Tensor:
    if len(target.counts) != target.n_out or 0 in target.counts:
        raise ConfigError(
            "class_weights: balanced needs training items of every class",
            hint=f"counts: {dict(zip(target.classes, target.counts, strict=False))}",
            key="loss.class_weights",
        )
    counts = torch.tensor(target.counts, dtype=torch.float32)
    return counts.sum() / (len(counts) * counts)
