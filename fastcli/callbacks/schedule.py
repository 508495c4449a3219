"""Scheduler: sets hyperparameters before every training batch, from how much of the fit is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastcli.events import Callback
from fastcli.optim.groups import set_hyper

Schedule = Callable[[float], float]


class Scheduler(Callback):
    """Sets `schedules[name](progress)` where the optimizer has that hyperparameter; a list is one per layer group."""

    order = -40

    def __init__(self, schedules: Mapping[str, Schedule | Sequence[Schedule]]) -> None:
        self.schedules = dict(schedules)

    def before_batch(self, learner: Any) -> None:
        if not learner.training:
            return
        for name, schedule in self.schedules.items():
            if name in learner.optimizer.defaults:
                values = schedule(learner.progress) if callable(schedule) else [s(learner.progress) for s in schedule]
                set_hyper(learner.optimizer, name, values)
