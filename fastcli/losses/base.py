"""What every loss is, and the arithmetic that several of them share."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.types import TargetInfo

DEFAULTS = {
    "category": "cross_entropy",
    "multi_category": "binary_cross_entropy",
    "regression": "mean_squared",
    "mask": "cross_entropy",
    "points": "mean_squared",
}


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


def default_loss(target: TargetInfo) -> str:
    """The name of the loss for a target when none is chosen.

    >>> default_loss(TargetInfo("category", 2))
    'cross_entropy'
    """
    if not target.loss:
        target.require("a loss chosen by default", *DEFAULTS)
    return target.loss or DEFAULTS[target.kind]


def item_means(losses: Tensor, counted: Tensor | None = None) -> Tensor:
    """The mean of every item (n, …) over its elements, or over those that are `counted`; 0 where none is: (n,)."""
    losses = losses.reshape(len(losses), -1)
    if counted is None:
        return losses.mean(1)
    counted = counted.reshape(losses.shape)
    return (losses * counted).sum(1) / counted.sum(1).clamp_min(1)


def counted_mean(losses: Tensor, counted: Tensor) -> Tensor:
    """The mean over the elements that are `counted`, (); 0 where none is."""
    return (losses * counted.reshape(losses.shape)).sum() / counted.sum().clamp_min(1)


def paired(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float32 of one shape (n, outputs)."""
    # Shapes (n, 1) and (n,) would broadcast to (n, n) without a word.
    logits = logits.float().reshape(len(logits), -1)
    return logits, targets.float().reshape(logits.shape)


def shown(name: str, values: Tensor | None) -> str:
    """Numbers for a module's repr, or nothing."""
    return "" if values is None else f", {name}={[round(value, 4) for value in values.tolist()]}"


def ignored_class(component: str, given: int | str | None, target: TargetInfo) -> int | None:
    """The number of the class whose pixels do not count. Raises ConfigError if the target is no mask."""
    if given is None:
        return None
    if target.kind in ("category", "multi_category"):
        raise ConfigError(f"{component}: ignore_index is for masks", hint="leave such items out of the data")
    return target.index_of(given)


def loss_per_item(loss_fn: Callable[..., Tensor]) -> Callable[..., Tensor] | None:
    """A function that gives the loss of every item, (n,), or None for a loss that knows batches only.

    Besides the losses that have `per_item`, torch's modules and functions that take a `reduction` can do it.

    >>> import torch
    >>> loss_per_item(nn.CrossEntropyLoss())(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.6931, 0.6931])
    """
    if hasattr(loss_fn, "per_item"):
        return loss_fn.per_item  # type: ignore[no-any-return]
    if isinstance(loss_fn, nn.Module):
        if not hasattr(loss_fn, "reduction"):
            return None
        unreduced: Callable[..., Tensor] = copy.copy(loss_fn)
        unreduced.reduction = "none"  # type: ignore[attr-defined]
    elif "reduction" in inspect.signature(loss_fn).parameters:
        unreduced = partial(loss_fn, reduction="none")
    else:
        return None

    def per_item(prediction: Any, targets: Any) -> Tensor:
        n = len(prediction[0] if isinstance(prediction, tuple | list) else prediction)
        return unreduced(prediction, targets).reshape(n, -1).mean(1)

    return per_item
