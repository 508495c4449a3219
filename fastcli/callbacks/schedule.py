"""Scheduler: sets hyperparameters before every training batch, from how much of the fit is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastcli.events import Callback

Schedule = Callable[[float], float]


class Scheduler(Callback):
    """Writes `schedules[name](progress)` into the optimizer's groups; a list gives one schedule per layer group."""

    order = -40

    def __init__(self, schedules: Mapping[str, Schedule | Sequence[Schedule]]) -> None:
        self.schedules = dict(schedules)

    def before_batch(self, learner: Any) -> None:
        if not learner.training:
            return
        for name, schedule in self.schedules.items():
            for group in learner.optimizer.param_groups:
                if name in group:
                    chosen = schedule if callable(schedule) else schedule[group.get("layer", 0)]
                    group[name] = chosen(learner.progress)
