"""Checkpoint and WriteMetrics: what a fit leaves in the run directory while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from fastcli.callbacks.monitor import Best
from fastcli.callbacks.stop import StopOnSignal
from fastcli.events import Callback
from fastcli.run.background import Background
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run
from fastcli.run.nested import STATE, packed

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


class Checkpoint(Callback):
    """Saves `last` at each epoch's end, after `every_minutes`, when asked and when a fit ends; `best` by `monitor`.

    `last` has all that the training needs to go on from there, to the batch; its weights are those that training goes
    on with. `best` has the weights that were validated. `about` is kept with every checkpoint: what a reader needs to
    build the model again. Files are written by a thread, from a copy; what went wrong there is raised at the next save
    or at the end of the fit.
    """

    order = 70
    orders = {"after_validate": 1000, "after_fit": -1000}

    def __init__(self, store: Checkpoints, monitor: str, *, every_minutes: float = 15.0, about: dict[str, Any]) -> None:
        self.store, self.monitor, self.every_minutes, self.about = store, monitor, every_minutes, about
        self._background = Background()
        self._due: list[Callable[[], object]] = []
        self._stopped = False

    def before_fit(self, learner: Learner) -> None:
        self._saved_at, self._stopped, self._due = time.monotonic(), False, []
        self._stop = learner.callback(StopOnSignal)

    def at_rest(self, learner: Learner) -> None:
        stop, position = self._stop, learner.position
        self._stopped = stop is not None and stop.stopping
        due = position.phase == "epoch" and position.epoch < learner.epochs  # the last one is saved as the fit's end
        asked = stop is not None and stop.take_save()
        if due or asked or self._stopped or time.monotonic() - self._saved_at > 60 * self.every_minutes:
            self._save_last(learner)

    def after_epoch(self, learner: Learner) -> None:
        if not learner.epoch_done:
            return
        value = float(learner.history[-1][self.monitor])
        self._background.wait()
        if self.store.would_keep(value, learner.global_step):
            best = partial(self.store.save_best, _copied(learner.weights()), self._meta(learner), value)
            self._due.append(best)

    def after_validate(self, learner: Learner) -> None:
        stop = self._stop
        if stop is not None and stop.stopping:  # a validation that was cut off begins anew, and has changed nothing
            self._stopped = True
            self._save_last(learner)

    def after_fit(self, learner: Learner) -> None:
        if not self._stopped:
            self._save_last(learner)
        self._background.wait()

    def cleanup_fit(self, learner: Learner) -> None:
        if self._due:  # an error came between an epoch's end and the save
            self._background.start(self._due)
        self._due = []
        self._background.wait()

    def _save_last(self, learner: Learner) -> None:
        tensors, state = packed(learner.state())
        save = partial(self.store.save_last, _copied(tensors), {**self._meta(learner), STATE: state})
        self._due.append(save)
        self._background.start(self._due)
        self._due = []
        self._saved_at = time.monotonic()

    def _meta(self, learner: Learner) -> dict[str, Any]:
        row = learner.history[-1] if learner.history else {}
        return {"epoch": learner.global_epoch, "step": learner.global_step, "metrics": row, **self.about}


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are now, on the CPU: training goes on meanwhile."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


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

    def state_dict(self) -> dict[str, Any]:
        """The best value and its epoch."""
        return {"value": self.best.value, "epoch": self.best.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.best.value, self.best.epoch = state["value"], state["epoch"]
