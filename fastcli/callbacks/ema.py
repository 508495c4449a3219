"""EMA: training with a running average of the weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from fastcli.events import Callback
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


@callbacks(name="ema")
class EMA(Callback):
    """Averages the weights over the steps; the average is validated, kept as `best`, and the model's after the fit.

    Each step the average keeps the share `decay` of itself, with `warm_up` at most (1 + steps) / (10 + steps), so
    that it forgets how training began. Buffers, as the statistics of batch norms, are the model's own.
    """

    order = 20
    in_search = False

    def __init__(self, decay: Annotated[float, Field(gt=0, lt=1)] = 0.999, warm_up: bool = True) -> None:
        self.decay, self.warm_up, self.steps = decay, warm_up, 0
        self._average: dict[str, Tensor] = {}
        self._weights: list[Tensor] = []
        self._named: dict[str, Tensor] = {}
        self._fitting = self._swapped = False

    def before_fit(self, learner: Learner) -> None:
        self.steps, self._average, self._fitting, self._swapped = 0, {}, True, False
        self._named = {name: parameter.detach() for name, parameter in learner.model.named_parameters()}
        self._follow(learner)
        learner.weights = partial(self._averaged, learner)  # type: ignore[method-assign]

    def before_train(self, learner: Learner) -> None:
        self._follow(learner)  # some may have been unfrozen since

    def after_step(self, learner: Learner) -> None:
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warm_up else self.decay
        self.steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.values()), self._weights, 1 - decay)

    def before_validate(self, learner: Learner) -> None:
        if self._fitting:
            self._swap()

    def after_validate(self, learner: Learner) -> None:
        if self._swapped:
            self._swap()

    def cleanup_fit(self, learner: Learner) -> None:
        if self._fitting:
            if self._swapped:  # an error ended a validation
                self._swap()
            with torch.no_grad():
                torch._foreach_copy_(self._weights, list(self._average.values()))
        self._fitting = False
        vars(learner).pop("weights", None)

    def _follow(self, learner: Learner) -> None:
        """Start to average trainable weights that are not averaged yet."""
        for name, parameter in learner.model.named_parameters():
            if parameter.requires_grad and name not in self._average:
                self._average[name] = parameter.detach().clone()
        self._weights = [self._named[name] for name in self._average]

    @torch.no_grad()
    def _swap(self) -> None:
        average, kept = list(self._average.values()), [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, average)
        torch._foreach_copy_(average, kept)
        self._swapped = not self._swapped

    def _averaged(self, learner: Learner) -> dict[str, Tensor]:
        """The model's tensors with the averaged weights in their places."""
        own = self._swapped
        if not own:
            self._swap()
        tensors = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
        if not own:
            self._swap()
        return tensors

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights by name, and how many steps they are of."""
        return {"steps": self.steps, "average": dict(self._average)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, in a fit that has begun."""
        self.steps = state["steps"]
        self._average = {
            name: torch.empty_like(self._named.get(name, tensor)).copy_(tensor)
            for name, tensor in state["average"].items()
        }
        self._weights = [self._named[name] for name in self._average if name in self._named]
