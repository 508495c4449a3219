"""Checkpoint: keeps the last state and the best ones, and writes the rows of the metrics files."""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor

from fastcli.callbacks.stop import Best
from fastcli.events import Callback
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run


class Checkpoint(Callback):
    """Saves `last` after every epoch, after `every_minutes` and when a fit ends early; `best` when `best` improves."""

    order = 70

    def __init__(self, store: Checkpoints, best: Best, *, every_minutes: float = 15.0) -> None:
        self.store, self.best, self.every_minutes = store, best, every_minutes
        self._saved_step = -1

    def before_fit(self, learner: Any) -> None:
        self._saved_at = time.monotonic()

    def after_step(self, learner: Any) -> None:
        if time.monotonic() - self._saved_at > 60 * self.every_minutes:
            self._save_last(learner)

    def after_epoch(self, learner: Any) -> None:
        if not learner.epoch_done:
            return
        self._save_last(learner)
        row = learner.history[-1]
        if self.best.improved(row):
            self.store.save_best(state(learner), facts(learner), self.best.value)

    def after_fit(self, learner: Any) -> None:
        if self._saved_step != learner.global_step:
            self._save_last(learner)

    def _save_last(self, learner: Any) -> None:
        self.store.save_last(state(learner), facts(learner))
        self._saved_at, self._saved_step = time.monotonic(), learner.global_step


def state(learner: Any) -> dict[str, Tensor]:
    """The model's tensors, named as in its own state dict."""
    return dict(learner.model.state_dict())


def facts(learner: Any) -> dict[str, Any]:
    """What a checkpoint says about itself."""
    row = learner.history[-1] if learner.history else {}
    return {"epoch": learner.global_epoch, "step": learner.global_step, "scores": row}


class WriteMetrics(Callback):
    """Appends every finished epoch to the run's metrics files and its status."""

    order = 50

    def __init__(self, run: Run) -> None:
        self.run = run

    def after_epoch(self, learner: Any) -> None:
        if learner.epoch_done:
            self.run.append_metrics(learner.history[-1])
