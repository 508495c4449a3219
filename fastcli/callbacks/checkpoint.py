"""Checkpoint and WriteMetrics: what a fit leaves in the run directory while it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fastcli.callbacks.monitor import Best
from fastcli.events import Callback
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


class Checkpoint(Callback):
    """Saves `last` after every epoch, after `every_minutes` and when a fit ends early; `best` by the column `monitor`.

    `last` holds the weights that training goes on with, `best` those that were validated. `about` is kept with every
    checkpoint: what a reader needs to build the model again.
    """

    order = 70

    def __init__(self, store: Checkpoints, monitor: str, *, every_minutes: float = 15.0, about: dict[str, Any]) -> None:
        self.store, self.monitor, self.every_minutes, self.about = store, monitor, every_minutes, about
        self._saved_step = -1

    def before_fit(self, learner: Learner) -> None:
        self._saved_at = time.monotonic()

    def after_step(self, learner: Learner) -> None:
        if time.monotonic() - self._saved_at > 60 * self.every_minutes:
            self._save_last(learner)

    def after_epoch(self, learner: Learner) -> None:
        if not learner.epoch_done:
            return
        self._save_last(learner)
        value = float(learner.history[-1][self.monitor])
        if self.store.would_keep(value):
            self.store.save_best(learner.weights(), self._meta(learner), value)

    def after_fit(self, learner: Learner) -> None:
        if self._saved_step != learner.global_step:
            self._save_last(learner)

    def _save_last(self, learner: Learner) -> None:
        self.store.save_last(dict(learner.model.state_dict()), self._meta(learner))
        self._saved_at, self._saved_step = time.monotonic(), learner.global_step

    def _meta(self, learner: Learner) -> dict[str, Any]:
        row = learner.history[-1] if learner.history else {}
        return {"epoch": learner.global_epoch, "step": learner.global_step, "metrics": row, **self.about}


class WriteMetrics(Callback):
    """Appends every finished epoch to the run's metrics files and its status."""

    order = 50

    def __init__(self, run: Run, best: Best) -> None:
        self.run, self.best = run, best

    def after_epoch(self, learner: Learner) -> None:
        if not learner.epoch_done:
            return
        row = learner.history[-1]
        self.run.append_metrics(row)
        self.best.improved(row)
        best = {"monitor": self.best.monitor, "value": self.best.value, "epoch": self.best.epoch}
        self.run.update_status(epoch=len(learner.history), best=best)
