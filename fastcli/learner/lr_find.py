"""The learning-rate finder: one training run with a rising rate, and what four readings of its curve suggest."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcli.callbacks.record import Recorder
from fastcli.callbacks.schedule import Scheduler
from fastcli.errors import FastcliError
from fastcli.events import Callback, CancelFit, CancelValidate
from fastcli.optim.schedules import exponential

Curve = NDArray[np.float64]
BETA = 0.98
"""Smoothing of the loss."""
DIVERGED = 4.0
"""The run ends when the smoothed loss is this many times its lowest."""
SKIP_END = 5


@dataclass
class LRFind:
    """The curve of a learning-rate search and its suggestions."""

    lrs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    suggestions: dict[str, float] = field(default_factory=dict)


def lr_find(
    learner: Any, *, start_lr: float = 1e-7, end_lr: float = 10.0, steps: int = 100, stop_on_divergence: bool = True
) -> LRFind:
    """Train `steps` batches with a rate rising exponentially, then put model, optimizer and random state back.

    The optimizer, the layer groups and the callbacks (precision, layout) are those of training, but for the callbacks
    that schedule, stop, save or write. Raises FastcliError when fewer than a dozen steps gave a finite loss.
    """
    kept_model, kept = copy.deepcopy(learner.model.state_dict()), _snapshot(learner)
    epochs = math.ceil(steps / max(1, len(learner.train_loader)))
    learner.optimizer = None
    search = _Search(start_lr, end_lr, steps, stop_on_divergence)
    rates = exponential(start_lr, end_lr)
    try:
        learner.fit(epochs, callbacks=[_Rate(rates, steps), search])
    finally:
        learner.model.load_state_dict(kept_model)
        vars(learner).update(kept)
    found = search.found
    found.suggestions = suggest(found.lrs, found.smoothed, skip=steps // 10)
    return found


def _snapshot(learner: Any) -> dict[str, Any]:
    names = ("optimizer", "history", "scores", "global_epoch", "global_step", "epoch", "epochs", "step", "iteration")
    kept = {name: getattr(learner, name) for name in names} | {"callbacks": list(learner.callbacks)}
    kept |= {"history": list(learner.history), "done": list(learner.done), "resumed": learner.resumed}
    learner.resumed = None  # what is gone on with is a training
    learner.callbacks = [Recorder() if isinstance(c, Recorder) else c for c in learner.callbacks if c.in_search]
    return kept


class _Rate(Scheduler):
    """The rate by the step of the search, whatever the number of epochs."""

    def __init__(self, rates: Callable[[float], float], steps: int) -> None:
        super().__init__({"lr": rates})
        self.steps = steps

    def before_batch(self, learner: Any) -> None:
        for group in learner.optimizer.param_groups:
            group["lr"] = self.schedules["lr"](learner.iteration / self.steps)  # type: ignore[operator]


class _Search(Callback):
    order = 55

    def __init__(self, start_lr: float, end_lr: float, steps: int, stop: bool) -> None:
        self.steps, self.stop, self.found = steps, stop, LRFind()
        self._average, self._best = 0.0, math.inf

    def after_step(self, learner: Any) -> None:
        loss = float(learner.loss.detach())
        self._average = BETA * self._average + (1 - BETA) * loss
        smooth = self._average / (1 - BETA ** (len(self.found.lrs) + 1))
        self.found.lrs.append(learner.optimizer.param_groups[-1]["lr"])
        self.found.losses.append(loss)
        self.found.smoothed.append(smooth)
        self._best = min(self._best, smooth)
        if self.stop and (not math.isfinite(smooth) or smooth > DIVERGED * self._best):
            raise CancelFit
        if len(self.found.lrs) >= self.steps:
            raise CancelFit

    def before_validate(self, learner: Any) -> None:
        raise CancelValidate


def suggest(lrs: Sequence[float], smoothed: Sequence[float], skip: int | None = None) -> dict[str, float]:
    """The suggested rates by name, from a curve without its first `skip` steps (null: a tenth) and its last five.

    Raises FastcliError when too little of the curve is finite.
    """
    skip = len(lrs) // 10 if skip is None else skip
    rate, loss = np.array(lrs[skip:-SKIP_END]), np.array(smoothed[skip:-SKIP_END])
    finite = int(np.argmin(np.isfinite(loss))) if not np.isfinite(loss).all() else len(loss)
    rate, loss = rate[:finite], loss[:finite]
    if len(rate) < 6:
        raise FastcliError(
            f"the loss diverged or ended after {len(lrs)} steps, too few to suggest a learning rate",
            hint="start lower (--start), or take more steps (--steps)",
        )
    return {name: float(reading(rate, loss)) for name, reading in SUGGESTIONS.items()}


def valley(lrs: Curve, losses: Curve) -> float:
    """The rate in the middle of the longest descent of the curve (ESRI's reading, in fastai)."""
    start, end = longest_descent(losses)
    section = (end - start) / 3
    return float(lrs[start + int(section) + int(section / 2)])


def longest_descent(losses: Curve) -> tuple[int, int]:
    """First and last index of the longest decreasing subsequence.

    >>> longest_descent(np.array([1.0, 3.0, 2.0, 2.5, 1.0]))
    (1, 4)
    """
    n = len(losses)
    length, before = np.ones(n, dtype=int), np.full(n, -1)
    for i in range(1, n):
        lower = np.flatnonzero((losses[:i] > losses[i]) & (length[:i] + 1 > length[i]))
        if len(lower):
            best = lower[np.argmax(length[lower])]
            length[i], before[i] = length[best] + 1, best
    end = start = int(np.argmax(length))
    while before[start] >= 0:
        start = int(before[start])
    return start, end


def slide(lrs: Curve, losses: Curve, width: int = 15, threshold: float = 0.005) -> float:
    """The rate where, sliding back from the end, the slope stops changing over `width` steps (Andrew Chang, 2020)."""
    slopes = np.gradient(losses)
    right, left = len(lrs) - 1, max(0, len(lrs) - 1 - width)
    chosen = lrs[left]
    while left >= 0 and abs(slopes[right] - slopes[left]) > threshold:
        chosen = lrs[left]
        right, left = right - 1, left - 1
    return float(chosen)


def minimum(lrs: Curve, losses: Curve) -> float:
    """A tenth of the rate where the loss is lowest."""
    return float(lrs[int(np.argmin(losses))] / 10)


def steep(lrs: Curve, losses: Curve) -> float:
    """The rate where the loss falls fastest per factor of the rate."""
    return float(lrs[int(np.argmin(np.diff(losses) / np.diff(np.log(lrs))))])


SUGGESTIONS: dict[str, Callable[[Curve, Curve], float]] = {
    "valley": valley,
    "slide": slide,
    "minimum": minimum,
    "steep": steep,
}
