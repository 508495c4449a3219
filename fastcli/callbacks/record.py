"""Recorder: the loss, the rates and the speed of a training, read from the device once per epoch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from fastcli.callbacks.timing import Timer
from fastcli.events import Callback


class Recorder(Callback):
    """Appends one row per finished epoch to `learner.history` and keeps loss, lr and momentum of every training batch.

    train_loss is the mean over the epoch's samples, valid_loss and the metrics over the validation split; lr is the
    last layer group's; img_per_s counts training alone; wait is the share of training spent waiting for data. The
    loss is read when all other callbacks have had their say.
    """

    order = -50
    orders = {"after_loss": 100}

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.lrs: list[list[float]] = []
        self.momenta: list[float | None] = []
        self.iters: list[int] = []
        """How many training batches were recorded by the end of each epoch."""
        self.values: list[list[float]] = []
        """For each epoch the training loss, then the validation loss and the metrics."""

    def before_fit(self, learner: Any) -> None:
        self._pending: list[Tensor] = []
        self._timer: Timer = learner.callback(Timer)

    def before_epoch(self, learner: Any) -> None:
        self._row: dict[str, Any] = {}

    def before_train(self, learner: Any) -> None:
        self._train = _MeanLoss(learner.device)

    def before_validate(self, learner: Any) -> None:
        self._valid = _MeanLoss(learner.device)
        for metric in learner.metrics:
            metric.reset()

    def after_loss(self, learner: Any) -> None:
        n, loss = len(learner.inputs[0]), learner.loss.detach()
        if learner.training:
            self._train.add(loss, n)
            self._pending.append(loss)
            self._note_rates(learner.optimizer.param_groups)
        else:
            self._valid.add(loss, n)
            for metric in learner.metrics:
                metric.update(learner.prediction, learner.targets)

    def _note_rates(self, groups: list[dict[str, Any]]) -> None:
        rates: dict[int, float] = {group.get("layer", 0): float(group["lr"]) for group in groups}
        self.lrs.append([rates[layer] for layer in sorted(rates)])
        self.momenta.append(groups[-1].get("momentum"))

    def after_train(self, learner: Any) -> None:
        if self._pending:
            self.losses += torch.stack(self._pending).tolist()
            self._pending.clear()
        self._row["train_loss"] = self._train.value()
        seconds = max(self._timer.seconds, 1e-9)
        self._row["img_per_s"] = self._timer.images / seconds
        self._row["wait"] = self._timer.waited / seconds

    def after_validate(self, learner: Any) -> None:
        scores = {"valid_loss": self._valid.value()}
        scores |= {metric.name: float(metric.compute()) for metric in learner.metrics}
        learner.scores = scores

    def after_epoch(self, learner: Any) -> None:
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
        """What was recorded so far, by name."""
        return {name: getattr(self, name) for name in ("losses", "lrs", "momenta", "iters", "values")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.losses, self.lrs, self.momenta = list(state["losses"]), list(state["lrs"]), list(state["momenta"])
        self.iters, self.values = list(state["iters"]), list(state["values"])


class _MeanLoss:
    """The mean loss per sample of one phase, summed on the device."""

    def __init__(self, device: torch.device) -> None:
        self._sum, self._count = torch.zeros((), device=device), 0

    def add(self, loss: Tensor, n: int) -> None:
        self._sum += loss * n
        self._count += n

    def value(self) -> float:
        return float(self._sum) / self._count if self._count else math.nan
