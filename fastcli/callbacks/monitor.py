"""Best and Tracker: what watches one column of the history for improvements."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from fastcli.errors import ConfigError, did_you_mean
from fastcli.events import Callback
from fastcli.metrics import Metric

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

Mode = Literal["auto", "min", "max"]


class Best:
    """Remembers the best value of one column of the history."""

    def __init__(self, monitor: str, mode: Literal["min", "max"], min_delta: float = 0.0) -> None:
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.value = math.inf if mode == "min" else -math.inf
        self.epoch = -1

    def improved(self, row: dict[str, Any]) -> bool:
        """Whether this row is the best so far; it is remembered then. Raises ConfigError for an unknown column."""
        if self.monitor not in row:
            raise ConfigError(f"there is no {self.monitor!r} to monitor", hint=did_you_mean(self.monitor, row))
        value = float(row[self.monitor])
        gain = self.value - value if self.mode == "min" else value - self.value
        if not gain > self.min_delta:
            return False
        self.value, self.epoch = value, row["epoch"]
        return True


def direction(monitor: str, metrics: Sequence[Metric]) -> Literal["min", "max"]:
    """Whether less or more of a column is better: a metric says so itself, a loss is better when small."""
    return "max" if any(metric.name == monitor and metric.higher_is_better for metric in metrics) else "min"


class Tracker(Callback, ABC):
    """Base of callbacks that act after an epoch on whether `monitor` improved by more than `min_delta`.

    Each fit starts anew: what it begins with has no best.
    """

    in_search = False

    def __init__(self, monitor: str, min_delta: float = 0.0, mode: Mode = "auto") -> None:
        self.monitor, self.min_delta, self.mode = monitor, min_delta, mode
        self.best, self.waited = Best(monitor, "min", min_delta), 0

    def before_fit(self, learner: Learner) -> None:
        mode = direction(self.monitor, learner.metrics) if self.mode == "auto" else self.mode
        self.best, self.waited = Best(self.monitor, mode, self.min_delta), 0

    def after_epoch(self, learner: Learner) -> None:
        if learner.epoch_done:
            improved = self.best.improved(learner.history[-1])
            self.waited = 0 if improved else self.waited + 1
            self.judge(learner, improved)

    @abstractmethod
    def judge(self, learner: Learner, improved: bool) -> None:
        """Act on a finished epoch; `waited` counts those since the last improvement."""

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch, and how many epochs ago that was."""
        return {"value": self.best.value, "epoch": self.best.epoch, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, in a fit that has begun."""
        self.best.value, self.best.epoch, self.waited = state["value"], state["epoch"], state["waited"]
