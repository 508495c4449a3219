"""Recorder: the loss, the metrics, the rate and the speed of every epoch, read from the device once per epoch."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from fastcli.events import Callback


class Recorder(Callback):
    """Appends one row per finished epoch to `learner.history` and keeps loss, lr and momentum of every step.

    train_loss is the mean over the epoch's samples, valid_loss and the metrics over the validation split; lr is the
    last layer group's; img_per_s counts training alone; wait is the share of training spent waiting for data.
    """

    order = -50

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.lrs: list[list[float]] = []
        self.momenta: list[float | None] = []

    def before_fit(self, learner: Any) -> None:
        self._pending: list[Tensor] = []

    def before_epoch(self, learner: Any) -> None:
        self._started = time.perf_counter()
        self._row: dict[str, Any] = {}

    def before_train(self, learner: Any) -> None:
        self._sum, self._count, self._wait = torch.zeros((), device=learner.device), 0, 0.0
        self._train_started = self._batch_ended = time.perf_counter()

    def before_validate(self, learner: Any) -> None:
        self._sum, self._count = torch.zeros((), device=learner.device), 0
        for metric in learner.metrics:
            metric.reset()

    def before_batch(self, learner: Any) -> None:
        if learner.training:
            self._wait += time.perf_counter() - self._batch_ended

    def before_step(self, learner: Any) -> None:
        rates: dict[int, float] = {group.get("layer", 0): group["lr"] for group in learner.optimizer.param_groups}
        self.lrs.append([rates[layer] for layer in sorted(rates)])
        self.momenta.append(learner.optimizer.param_groups[-1].get("momentum"))

    def after_loss(self, learner: Any) -> None:
        n = len(learner.inputs[0])
        loss = learner.loss.detach()
        self._sum += loss * n
        self._count += n
        if learner.training:
            self._pending.append(loss)
        else:
            for metric in learner.metrics:
                metric.update(learner.prediction, learner.targets)

    def after_batch(self, learner: Any) -> None:
        self._batch_ended = time.perf_counter()

    def after_train(self, learner: Any) -> None:
        if self._pending:
            self.losses += torch.stack(self._pending).tolist()
            self._pending.clear()
        self._row["train_loss"] = self.mean_loss()
        seconds = max(time.perf_counter() - self._train_started, 1e-9)
        self._row["img_per_s"] = self._count / seconds
        self._row["wait"] = self._wait / seconds

    def after_validate(self, learner: Any) -> None:
        scores = {"valid_loss": self.mean_loss()}
        scores |= {metric.name: float(metric.compute()) for metric in learner.metrics}
        learner.scores = scores

    def after_epoch(self, learner: Any) -> None:
        if not learner.epoch_done:
            return
        row = {"epoch": len(learner.history), "train_loss": self._row["train_loss"]}
        row |= learner.scores if learner.valid_loader is not None else {}
        row |= {"lr": self.lrs[-1][-1] if self.lrs else math.nan}
        row |= {"img_per_s": self._row["img_per_s"], "wait": self._row["wait"]}
        row |= {"time": time.perf_counter() - self._started}
        learner.history.append(row)

    def mean_loss(self) -> float:
        """The mean loss per sample of the running phase; waits for the device."""
        return float(self._sum) / self._count if self._count else math.nan

    def state_dict(self) -> dict[str, Any]:
        """Losses, rates and momenta of the steps so far."""
        return {"losses": self.losses, "lrs": self.lrs, "momenta": self.momenta}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.losses, self.lrs, self.momenta = state["losses"], state["lrs"], state["momenta"]
