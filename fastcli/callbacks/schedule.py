"""Schedules: hyperparameters set before every training batch from how much of the fit is done, and torch's schedulers.

callbacks: [{name: schedule, hyperparameter: weight_decay, shape: cosine, start: 0.1, end: 0.01}]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import torch
from pydantic import ConfigDict, Field, with_config
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from typing_extensions import TypedDict  # pydantic refuses typing's before Python 3.12

from fastcli.errors import ConfigError, did_you_mean
from fastcli.events import Callback
from fastcli.optim.groups import hyperparameters, set_hyper
from fastcli.optim.schedules import Shape, combine, shaped
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

Schedule = Callable[[float], float]
Power = Annotated[float, Field(gt=0)]


class Scheduler(Callback):
    """Sets `schedules[name](progress)`; a list is one per layer group.

    Raises ConfigError before the fit where the optimizer has no such hyperparameter, unless it is in `optional`.
    """

    order = -40
    in_search = False

    def __init__(self, schedules: Mapping[str, Schedule | Sequence[Schedule]], optional: Sequence[str] = ()) -> None:
        self.schedules = dict(schedules)
        self.optional = list(optional)

    def check(self, learner: Learner) -> None:
        """Raise ConfigError where the optimizer has no such hyperparameter."""
        known = hyperparameters(learner.optimizer)
        for name in self.schedules:
            if name not in known and name not in self.optional:
                raise ConfigError(
                    f"{name!r} cannot be scheduled: the optimizer has no such hyperparameter",
                    hint=did_you_mean(name, known),
                )

    def before_fit(self, learner: Learner) -> None:
        self.check(learner)
        known = hyperparameters(learner.optimizer)
        self._names = [name for name in self.schedules if name in known]

    def before_batch(self, learner: Learner) -> None:
        if not learner.training:
            return
        progress = learner.progress
        for name in self._names:
            schedule = self.schedules[name]
            values = schedule(progress) if callable(schedule) else [each(progress) for each in schedule]
            set_hyper(learner.optimizer, name, values)


@with_config(ConfigDict(extra="forbid"))
class Part(TypedDict):
    """One of several shapes in a row, and its share of the fit."""

    share: Annotated[float, Field(gt=0, le=1)]
    start: float
    end: NotRequired[float]
    shape: NotRequired[Shape]
    power: NotRequired[Power]


@callbacks(name="schedule")
class HyperparameterSchedule(Scheduler):
    """Sets a hyperparameter of the optimizer from `start` to `end` in a shape, or in `parts`, whatever the recipe does.

    `power` is a polynomial's. Raises ConfigError unless there is either one shape or a list of parts.
    """

    order = -39  # after the recipe's, so that this one stays

    def __init__(
        self,
        hyperparameter: str,
        shape: Shape = "cosine",
        start: float | None = None,
        end: float | None = None,
        power: Power = 2.0,
        parts: list[Part] | None = None,
    ) -> None:
        if parts is None and start is not None:
            whole: Part = {"share": 1.0, "start": start, "shape": shape, "power": power}
            parts = [whole if end is None else {**whole, "end": end}]
        elif not parts or start is not None or end is not None:
            hint = "give either start and end, or parts: [{share: 0.1, start: 0, end: 0.1}, …]"
            raise ConfigError(f"the schedule of {hyperparameter!r} has no values, or has them twice", hint=hint)
        super().__init__({hyperparameter: _in_a_row(parts)})


def _in_a_row(parts: Sequence[Part]) -> Schedule:
    made = [
        shaped(part.get("shape", "cosine"), part["start"], part.get("end"), part.get("power", 2.0)) for part in parts
    ]
    return combine([part["share"] for part in parts], made)


class TorchScheduler(Callback):
    """Steps a scheduler of torch, which `make(optimizer)` gives, after every step or after every epoch.

    For `learner.fit`: a recipe has a learning rate of its own. Raises ConfigError beside another schedule of it, and
    for ReduceLROnPlateau, which wants a metric.
    """

    in_search = False

    def __init__(
        self, make: Callable[[torch.optim.Optimizer], LRScheduler], every: Literal["step", "epoch"] = "step"
    ) -> None:
        self.make, self.every = make, every
        self._scheduler: LRScheduler | None = None

    def before_fit(self, learner: Learner) -> None:
        if any(isinstance(other, Scheduler) and "lr" in other.schedules for other in learner.callbacks):
            raise ConfigError("the learning rate has two schedules", hint="call learner.fit, which has none")
        scheduler = self.make(learner.optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ConfigError("ReduceLROnPlateau wants a metric", hint="use the callback reduce_on_plateau")
        self._scheduler, self._steps = scheduler, learner.step

    def after_step(self, learner: Learner) -> None:
        taken, self._steps = learner.step > self._steps, learner.step
        if self.every == "step" and taken:  # not where accumulation has put the step off
            self._step()

    def after_epoch(self, learner: Learner) -> None:
        if self.every == "epoch" and learner.epoch_done:
            self._step()

    def _step(self) -> None:
        assert self._scheduler is not None
        self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of torch's scheduler; nothing before the first fit."""
        return {} if self._scheduler is None else {"scheduler": self._scheduler.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, in a fit that has begun."""
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])
        self._steps = state["steps"]
