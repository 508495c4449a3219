"""How near a training comes to what its machine can do: the real loop and bare steps, in turn.

The limit is what is left when all but model, loss and optimizer is taken away: steps on one batch that stays on the
device, in the training's own precision and memory layout.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastcli.callbacks.precision import MixedPrecision, autocast
from fastcli.callbacks.timing import Timer
from fastcli.data.seeding import own_random_state
from fastcli.events import Callback, CancelFit
from fastcli.learner.recipes import fit_one_cycle

RATE = 1e-9
"""The learning rate meanwhile: the weights stay where they are, so that no step overflows."""
WARM_UP = 3
"""Bare steps before any is timed."""
PATIENCE = 30.0
"""Seconds for decoding what later epochs will not decode again."""


@dataclass(frozen=True)
class Speed:
    """One phase of a training beside its limit; speeds are in images per second, medians over the blocks."""

    phase: str
    batch_size: int
    steps: int
    """Of each block."""
    limit: float
    training: float
    ratio: float
    """Of training to limit: the median of the blocks'."""
    ratios: tuple[float, ...]
    """Of every block, of which one is a block of bare steps and one of training."""
    wait: float
    """The share of training that was waiting for data."""
    first: float
    """Training speed the first time through, when pictures are decoded."""
    memory: int | None
    """The most bytes used so far: of the GPU, or else of the process."""


def measure(learner: Any, phase: str = "", *, steps: int = 20, blocks: int = 5) -> Speed:
    """How fast `learner` trains as it is now, and how fast its bare steps are.

    The training sees the same `steps` batches, or as many as an epoch has, in every block. Weights, norms and the
    optimizer's state are no longer good for training afterwards.
    """
    steps = min(steps, len(learner.train_loader))
    with _alone(learner), own_random_state(learner.device):
        first = _train(learner, steps)
        decode(learner.train_loader)
        bare = _Bare(learner, first)
        bare.rate(WARM_UP)
        limits, trained = [], list[_Block]()
        for block in range(blocks):
            if block % 2:  # whatever a change of sides costs, both pay it
                trained.append(_train(learner, steps))
            limits.append(bare.rate(steps))
            if not block % 2:
                trained.append(_train(learner, steps))
    ratios = [block.rate / limit for block, limit in zip(trained, limits, strict=True)]
    rates, waits = [block.rate for block in trained], [block.wait for block in trained]
    middle = statistics.median
    return Speed(phase, bare.n, steps, middle(limits), middle(rates), middle(ratios), tuple(ratios), middle(waits),
                 first.rate, peak_memory(learner.device))  # fmt: skip


def decode(loader: Any, seconds: float = PATIENCE) -> bool:
    """Have the pictures of `loader` decoded that are kept; True if that took no more than `seconds`."""
    ends = time.perf_counter() + seconds
    for store in getattr(loader, "stores", ()):
        for start in range(0, store.n, 64):
            if store.complete or store.tier == "off":
                break
            if time.perf_counter() > ends:
                return False
            store.read(range(start, min(start + 64, store.n)))
    return True


def peak_memory(device: torch.device) -> int | None:
    """The most bytes used so far, of a GPU by torch or else of this process; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@contextlib.contextmanager
def _alone(learner: Any) -> Iterator[None]:
    """Inside, nothing is validated, and what callbacks write is thrown away."""
    kept = learner.valid_loader, learner.directory
    with tempfile.TemporaryDirectory() as folder:
        learner.valid_loader, learner.directory = None, Path(folder)
        try:
            yield
        finally:
            learner.valid_loader, learner.directory = kept


class _Block(Callback):
    """Ends the fit after `steps` batches, and keeps how fast they were and the first of them."""

    orders = {"after_loss": 200, "after_batch": 200, "after_train": -200}  # next to the timer
    only_looks = True

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def after_loss(self, learner: Any) -> None:
        """Keep what the model and the loss were given."""
        if learner.batch_index == 0:
            self.batch = learner.inputs, learner.targets

    def after_batch(self, learner: Any) -> None:
        """End the fit at the last batch."""
        if learner.batch_index + 1 >= self.steps:
            raise CancelFit

    def after_train(self, learner: Any) -> None:
        """Note the speed, and end the fit where the loader ended before."""
        synchronize(learner.device)
        timer = learner.callback(Timer)
        self.rate, self.wait = timer.images / timer.seconds, timer.waited / timer.seconds
        raise CancelFit


def _train(learner: Any, steps: int) -> _Block:
    """A block of the real loop, whose epoch does not count: the next one trains on the same batches."""
    block = _Block(steps)
    learner.callbacks.append(block)
    try:
        fit_one_cycle(learner, 1, RATE)
    finally:
        learner.callbacks.remove(block)
    return block


class _Bare:
    """The bare loop on the batch that `block` began with."""

    def __init__(self, learner: Any, block: _Block) -> None:
        self.learner, (self.inputs, self.targets) = learner, block.batch
        self.n = len(self.inputs[0])
        mixed = learner.callback(MixedPrecision)
        self.precision = "fp32" if mixed is None else mixed.precision
        self.scaler = torch.amp.GradScaler(learner.device.type) if self.precision == "fp16" else None

    def rate(self, steps: int) -> float:
        """Images per second over so many steps."""
        synchronize(self.learner.device)
        started = time.perf_counter()
        for _ in range(steps):
            self._step()
        synchronize(self.learner.device)
        return steps * self.n / (time.perf_counter() - started)

    def _step(self) -> None:
        learner, scaler = self.learner, self.scaler
        with autocast(learner.device, self.precision) if self.precision != "fp32" else contextlib.nullcontext():
            loss = learner.loss_fn(learner.model(*self.inputs), self.targets)
        if scaler is None:
            loss.backward()
            learner.optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(learner.optimizer)
            scaler.update()
        learner.optimizer.zero_grad()


def synchronize(device: torch.device) -> None:
    """Wait for all work of a device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
