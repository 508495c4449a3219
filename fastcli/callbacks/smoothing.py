"""LabelSmoothing: softer targets in training alone."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


def smoothed(loss_fn: Callable[..., Tensor], amount: float) -> Callable[..., Tensor]:
    """`loss_fn` with `amount` of every target spread over all classes; the loss given stays as it is.

    Raises ConfigError for a loss that has no `label_smoothing`.

    >>> smoothed(nn.functional.cross_entropy, 0.1).keywords
    {'label_smoothing': 0.1}
    """
    if isinstance(loss_fn, nn.Module):
        changed = copy.deepcopy(loss_fn)
        parts = [module for module in changed.modules() if hasattr(module, "label_smoothing")]
        for module in parts:
            module.label_smoothing = amount  # type: ignore[assignment]
        if parts:
            return changed
    elif "label_smoothing" in inspect.signature(loss_fn).parameters:
        return partial(loss_fn, label_smoothing=amount)
    name = getattr(loss_fn, "__name__", type(loss_fn).__name__)
    raise ConfigError(f"label_smoothing does not fit the loss {name}", hint="it needs a cross entropy")


@callbacks(name="label_smoothing")
class LabelSmoothing(Callback):
    """Spreads `amount` of every target over all classes in training; validation keeps the loss as it was given.

    The loss is (1 − amount) · cross entropy + amount · the mean of −log p over the classes (arXiv:1512.00567).
    """

    order = -15

    def __init__(self, amount: Annotated[float, Field(gt=0, lt=1)] = 0.1) -> None:
        self.amount = amount
        self._given: Callable[..., Tensor] | None = None

    def check(self, learner: Learner) -> None:
        """Raise ConfigError for a loss that has no `label_smoothing`."""
        smoothed(learner.loss_fn, self.amount)

    def before_train(self, learner: Learner) -> None:
        self._given = learner.loss_fn
        learner.loss_fn = smoothed(learner.loss_fn, self.amount)

    def after_train(self, learner: Learner) -> None:
        if self._given is not None:
            learner.loss_fn, self._given = self._given, None

    def cleanup_fit(self, learner: Learner) -> None:
        self.after_train(learner)
