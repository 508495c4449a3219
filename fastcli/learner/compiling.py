"""Whether a model is compiled: what that costs in seconds against what it saves over the steps to come.

Both are estimated, by what an earlier run found here or else by experience. Where it seems to pay, the model is
compiled on a real batch, and stays so if its numbers are right and its steps faster.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastcli.callbacks.precision import autocast
from fastcli.errors import ConfigError
from fastcli.learner.limit import synchronize
from fastcli.learner.memory import key_of, recall, remember
from fastcli.learner.probe import COSINE, IMAGES, LOSS_SCALE, Choice, label
from fastcli.models.hooks import evaluating, kept_modes, tensors_in

BACKEND = "inductor"
COSTS = {"cuda": 60.0, "cpu": 180.0}
"""Seconds of compiling one phase of a training, from experience; other devices have no compiler."""
SPEEDUPS = {"resnet": 1.3, "convnext": 1.3, "efficientnet": 1.2, "mobilenet": 1.2}
"""By how much steps on a GPU are faster, by a part of the architecture's name."""
OTHERS, ON_CPU = 1.15, 1.1
MARGIN = 1.5
"""What is saved must be so many times what compiling costs."""
FASTER = 1.02
"""A compiled model is kept from this speed-up on: what it took is spent by then."""
SLOWEST = 1.0
"""Seconds that no image of a step takes; where compiling would not pay even then, nothing is measured."""
REPEATS = 3


@dataclass(frozen=True)
class Compiled:
    """What compiling a model was found to cost and to give."""

    seconds: float
    """Of compiling one phase."""
    speedup: float
    agrees: bool = True
    """Whether logits and gradients were those of the model as it is written."""


@dataclass(frozen=True)
class Task:
    """A training in which a model may be compiled."""

    model: nn.Module
    batch: tuple[Tensor, ...]
    """One of its batches: inputs and targets."""
    loss_fn: Callable[[Any, Tensor], Tensor]
    choice: Choice
    """Its precision and layout."""
    name: str
    """Of the model."""
    steps: int | None = None
    """None where the recipe decides that while it runs."""
    phases: int = 1
    """How often it is compiled: to try it, and anew whenever other layers are frozen than then."""

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return self.batch[0].device

    def first(self, n: int) -> Task:
        """The same with the first `n` samples alone."""
        return replace(self, batch=tuple(part[:n] for part in self.batch))

    def laid_out(self) -> Task:
        """The same with batch and model in the memory layout of its training, which else is the loaders' own."""
        if not self.choice.channels_last:
            return self
        layout = torch.channels_last
        self.model.to(memory_format=layout)
        return replace(self, batch=tuple(p.contiguous(memory_format=layout) if p.ndim == 4 else p for p in self.batch))

    def step(self) -> None:
        """Forward and back; the gradients stay with the parameters."""
        self.model.zero_grad()
        *inputs, targets = self.batch
        with autocast(self.device, self.choice.precision):
            loss = self.loss_fn(self.model(*inputs), targets)
        (loss * LOSS_SCALE[self.choice.precision]).backward()  # type: ignore[no-untyped-call]


def choose_compile(setting: bool | Literal["auto"], task: Task, memory: Path | None = None) -> tuple[bool, str]:
    """Whether the model of `task` is to be compiled, which is done then, and why.

    What was found is kept in the file `memory`. Raises ConfigError where compiling was asked for and fails.
    """
    choice = task.choice
    key = key_of(task.device, f"compile {task.name}", [*task.batch[0].shape, choice.precision, choice.channels_last])
    reason = "" if setting is False else None
    if setting == "auto":
        reason = _obstacle(task) or _loss(task, _expected(task, recall(memory, key)))
    if reason is not None:
        return False, f"not compiled: {reason}" if reason else ""
    try:
        found = compiled(task)
    except Exception as error:  # whatever a compiler may raise
        if setting is True:
            raise ConfigError(f"the model cannot be compiled: {first_line(error)}", key="runtime.compile",
                              hint="set runtime.compile: false") from error  # fmt: skip
        found = Compiled(0.0, 1.0, agrees=False)
        return _as_written(task, f"compiling failed ({first_line(error)})", memory, key, found)
    faster = f"{found.speedup:.2f} times as fast as not compiled"
    if setting == "auto" and not (found.agrees and found.speedup >= FASTER):
        return _as_written(task, faster if found.agrees else "its numbers were wrong", memory, key, found)
    remember(memory, key, asdict(found))
    wrong = "" if found.agrees else "; its numbers are NOT those of the model as written"
    return True, f"compiled in {found.seconds:.0f} s: {faster}{wrong}"


def pays(seconds: float, speedup: float, cost: float) -> bool:
    """Whether compiling, at `cost` seconds, pays in a training that takes `seconds` without it.

    >>> pays(3600, 1.3, 60), pays(60, 1.3, 60), pays(3600, 1.0, 60)
    (True, False, False)
    """
    return seconds * (1 - 1 / speedup) > MARGIN * cost


def compiled(task: Task) -> Compiled:
    """Compile the model, and see what that took, how fast it is and whether it is right; weights stay as they are."""
    task = task.laid_out()
    with kept(task.model):
        written = [_run(task) for _ in range(REPEATS)]
        logits = _logits(task)
        task.model.compile(backend=BACKEND, dynamic=False)
        with kept_buffers(task.model):  # else batch norms would say something else afterwards
            first, *others = [_run(task) for _ in range(REPEATS)]
        agrees = _alike("logits", logits, _logits(task))
        if torch.equal(written[0][1], written[1][1]):  # else it draws random numbers, and a compiler draws others
            agrees = agrees and _alike("gradient", written[0][1], others[0][1])
    usual, fast = (min(seconds for seconds, _ in runs) for runs in (written, others))
    return Compiled(round(first[0] - fast, 2), round(usual / fast, 3), agrees)


def _obstacle(task: Task) -> str | None:
    """Why compiling is not even considered."""
    if task.device.type not in COSTS:
        return f"there is no compiler for {task.device.type}"
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++", "cl")):
        return "there is no C++ compiler"
    return "the recipe decides while it runs how long it trains" if task.steps is None else None


def _loss(task: Task, expected: Compiled) -> str | None:
    """Why compiling would cost more than it saves; None where it seems to pay."""
    assert task.steps is not None  # else there is an obstacle
    cost = expected.seconds * task.phases
    if expected.speedup < FASTER:
        return "that was tried here before, and was not faster or not right"
    if not pays(task.steps * len(task.batch[0]) * SLOWEST, expected.speedup, cost):
        return "too few steps for it to pay"
    seconds = task.steps * _step(task)
    if pays(seconds, expected.speedup, cost):
        return None
    return f"that would take {cost:.0f} s to save {seconds * (1 - 1 / expected.speedup):.0f} of {seconds:.0f} s"


def _step(task: Task) -> float:
    """Seconds of a step as it is written; on a CPU, which takes its time in proportion, by those on a few images."""
    n = len(task.batch[0])
    if task.device.type != "cpu":
        with kept(task.model):
            return min(_run(task)[0] for _ in range(REPEATS))
    few = min(n, IMAGES)
    seconds = task.choice.measured.get(label(task.choice.precision, task.choice.channels_last))
    if seconds is None:
        with kept(task.model):
            seconds = min(_run(task.first(few))[0] for _ in range(REPEATS))
    return seconds * n / few


def _expected(task: Task, known: dict[str, Any]) -> Compiled:
    """What was found before, or what experience says."""
    with contextlib.suppress(TypeError):
        found = Compiled(**known)
        return found if found.agrees else Compiled(found.seconds, 1.0)
    if task.device.type == "cpu":
        return Compiled(COSTS["cpu"], ON_CPU)
    return Compiled(COSTS["cuda"], next((s for part, s in SPEEDUPS.items() if part in task.name), OTHERS))


def _as_written(task: Task, reason: str, memory: Path | None, key: str, found: Compiled) -> tuple[bool, str]:
    vars(task.model).pop("_compiled_call_impl", None)  # there is no other way to undo `Module.compile`
    remember(memory, key, asdict(found))
    return False, f"not compiled: {reason}"


def _run(task: Task) -> tuple[float, Tensor]:
    """Seconds of a forward and backward pass, and the gradient."""
    synchronize(task.device)
    started = time.perf_counter()
    task.step()
    synchronize(task.device)
    seconds = time.perf_counter() - started
    return seconds, torch.cat([p.grad.float().flatten() for p in task.model.parameters() if p.grad is not None])


def _logits(task: Task) -> Any:
    """What the model says, as in validation."""
    *inputs, _ = task.batch
    with evaluating(task.model), torch.no_grad(), autocast(task.device, task.choice.precision):
        return task.model(*inputs)


def _alike(what: str, ours: Any, theirs: Any) -> bool:
    """Whether two outputs or gradients are as alike as low precision leaves them."""
    one, other = (torch.cat([t.float().flatten() for t in tensors_in(value)]) for value in (ours, theirs))
    return bool(functional.cosine_similarity(one, other, dim=0) >= COSINE[what])  # not so where they are not finite


@contextlib.contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """Inside it trains; then its buffers and modes are as before, and there are no gradients."""
    with kept_modes(model), kept_buffers(model):
        model.train()
        try:
            yield
        finally:
            model.zero_grad()


@contextlib.contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """What batch norms and others note inside is forgotten."""
    before = [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.data.copy_(value)


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
