"""Accumulate and ClipGradients: what happens to gradients between the backward pass and the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from fastcli.events import Callback, CancelBatch
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


def gradients(learner: Learner) -> list[Tensor]:
    """The gradients that the optimizer would step with."""
    groups = learner.optimizer.param_groups
    return [p.grad for group in groups for p in group["params"] if p.grad is not None]


@callbacks(name="accumulate")
class Accumulate(Callback):
    """Steps once for `items` images, or a few more, gathered from several batches: the step of one large batch.

    Batches count by their images, and an epoch's last step takes what is left. Batch norms and losses with class
    weights still see the small batches.
    """

    order = -10

    def __init__(self, items: Annotated[int, Field(ge=1)] = 256) -> None:
        self.items = items
        self._count = self._unit = 0

    def before_fit(self, learner: Learner) -> None:
        self._count = 0
        learner.optimizer.zero_grad()

    def before_backward(self, learner: Learner) -> None:
        # How many images there will be is known at the end: until then the first batch's are the unit.
        n = len(learner.inputs[0])
        self._unit = self._unit if self._count else n
        self._count += n
        if n != self._unit:
            learner.backward_loss = learner.backward_loss * (n / self._unit)

    def after_backward(self, learner: Learner) -> None:
        # The batch ends here: a step phase that began would unscale the gradients, which may happen once per step.
        if self._count < self.items:
            raise CancelBatch

    def before_step(self, learner: Learner) -> None:
        if self._count > self._unit:
            torch._foreach_mul_(gradients(learner), self._unit / self._count)
        self._count = 0

    def after_train(self, learner: Learner) -> None:
        if self._count:
            learner.take_step()

    def state_dict(self) -> dict[str, Any]:
        """How many images the gradients are of."""
        return {"count": self._count, "unit": self._unit}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._count, self._unit = state["count"], state["unit"]


@callbacks(name="clip_gradients")
class ClipGradients(Callback):
    """Shortens the gradients of each step, all together as one vector, to a norm of at most `max_norm`."""

    order = 10

    def __init__(
        self, max_norm: Annotated[float, Field(gt=0)] = 1.0, norm_type: Annotated[float, Field(gt=0)] = 2.0
    ) -> None:
        self.max_norm, self.norm_type = max_norm, norm_type

    def before_step(self, learner: Learner) -> None:
        parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.max_norm, self.norm_type)
