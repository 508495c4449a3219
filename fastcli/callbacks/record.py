"""Recorder: the loss, the rates and the speed of a training, read from the device once per epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastcli.callbacks.timing import Timer
from fastcli.events import Callback

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


class Recorder(Callback):
    """Appends one row per finished epoch to `learner.history` and keeps loss, lr and momentum of every training batch.

    train_loss is the mean over the epoch's samples, valid_loss and the metrics over the validation split; lr is the
    last layer group's; img_per_s counts training alone; wait is the share of training spent waiting for data. The
    loss is read when all other callbacks have had their say.
    """

    order = -50
    only_looks = True
    orders = {"after_loss": 100}

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.lrs: list[list[float]] = []
        self.momenta: list[float | None] = []
        self.iters: list[int] = []
        """How many training batches were recorded by the end of each epoch."""
        self.values: list[list[float]] = []
        """For each epoch the training loss, then the validation loss and the metrics."""
        self._row: dict[str, Any] = {}
        self._train = _Losses()

    def before_fit(self, learner: Learner) -> None:
        timer = learner.callback(Timer)
        assert timer is not None  # every learner begins with one
        self._timer = timer

    def before_epoch(self, learner: Learner) -> None:
        self._row = {}

    def before_train(self, learner: Learner) -> None:
        self._train = _Losses()

    def before_validate(self, learner: Learner) -> None:
        self._valid = _Losses()
        for metric in learner.metrics:
            metric.reset()

    def after_loss(self, learner: Learner) -> None:
        n, loss = learner.inputs[0].shape[0], learner.loss.detach()
        if learner.training:
            self._train.add(loss, n)
            self._note_rates(learner.optimizer.param_groups)
        else:
            self._valid.add(loss, n)
            for metric in learner.metrics:
                metric.update(learner.prediction, learner.targets)

    def _note_rates(self, groups: list[dict[str, Any]]) -> None:
        rates: dict[int, float] = {group.get("layer", 0): float(group["lr"]) for group in groups}
        self.lrs.append([rates[layer] for layer in sorted(rates)])
        self.momenta.append(groups[-1].get("momentum"))

    def after_train(self, learner: Learner) -> None:
        losses = self._train.read()
        self.losses += losses.tolist()
        self._row["train_loss"] = self._train.mean(losses)
        seconds = max(self._timer.seconds, 1e-9)
        self._row["img_per_s"] = self._timer.images / seconds
        self._row["wait"] = self._timer.waited / seconds

    def after_validate(self, learner: Learner) -> None:
        scores = {"valid_loss": self._valid.mean(self._valid.read())}
        scores |= {metric.name: float(metric.compute()) for metric in learner.metrics}
        learner.scores = scores

    def after_epoch(self, learner: Learner) -> None:
        if not learner.epoch_done:
            return
        row = {"epoch": len(learner.history), "train_loss": self._row["train_loss"]}
        row |= learner.scores if learner.valid_loader is not None else {}
        row |= {"lr": self.lrs[-1][-1] if self.lrs else math.nan}
        row |= {"img_per_s": self._row["img_per_s"], "wait": self._row["wait"]}
        row |= {"time": self._timer.epoch_seconds}
        learner.history.append(row)
        self.iters.append(len(self.losses))
        self.values.append([row["train_loss"], *(learner.scores.values() if learner.valid_loader is not None else ())])

    def state_dict(self) -> dict[str, Any]:
        """What was recorded so far, by name, and of the running epoch."""
        return {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "lrs": _compact(self.lrs),
            "momenta": [*self.momenta] if None in self.momenta else torch.tensor(self.momenta, dtype=torch.float64),
            "iters": list(self.iters),
            "values": list(self.values),
            "row": dict(self._row),
            "running": self._train.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.losses, self.lrs, self.momenta = (_listed(state[name]) for name in ("losses", "lrs", "momenta"))
        self.iters, self.values, self._row = list(state["iters"]), list(state["values"]), dict(state["row"])
        self._train = _Losses()
        self._train.load_state_dict(state["running"])


def _compact(rows: list[list[float]]) -> Any:
    """A tensor, which is a hundredth of the work to save, where the rows are of one length."""
    return torch.tensor(rows, dtype=torch.float64) if len(set(map(len, rows))) == 1 else [list(row) for row in rows]


def _listed(given: Any) -> list[Any]:
    return given.tolist() if isinstance(given, Tensor) else list(given)


class _Losses:
    """The losses of one phase, left on the device until they are asked for: a sum at every step would take its time."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._sizes: list[int] = []

    def add(self, loss: Tensor, n: int) -> None:
        self._losses.append(loss)
        self._sizes.append(n)

    def read(self) -> Tensor:
        """All of them (n_batches,) in float32; waits for the device."""
        return torch.stack(self._losses).float().cpu() if self._losses else torch.empty(0)

    def state_dict(self) -> dict[str, Any]:
        """The losses (n_batches,) and of how many samples each is; an empty one of none."""
        return {"losses": torch.stack(self._losses), "sizes": list(self._sizes)} if self._losses else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._losses, self._sizes = list(state["losses"]) if state else [], list(state.get("sizes", ()))

    def mean(self, losses: Tensor) -> float:
        """Per sample; summed in their order, so that it is the same wherever it is computed."""
        sizes = np.array(self._sizes, dtype=np.float32)
        return float(np.cumsum(losses.numpy() * sizes)[-1]) / sum(self._sizes) if self._sizes else math.nan
