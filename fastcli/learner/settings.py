"""How a training runs on its device: torch's settings for a GPU, and what is chosen before it begins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.shapes import StaticShapes
from fastcli.data.seeding import own_random_state
from fastcli.events import Callback
from fastcli.learner.compiling import Task, choose_compile
from fastcli.learner.graph import StepGraph, choose_graph
from fastcli.learner.probe import Choice, choose_precision

Auto = bool | Literal["auto"]


@contextlib.contextmanager
def gpu_settings(device: torch.device, *, benchmark: bool) -> Iterator[None]:
    """Inside, fp32 products on a GPU are made of TF32 numbers, and cuDNN's algorithms are timed with `benchmark`.

    TF32 keeps 10 bits of each factor and sums in fp32; torch's convolutions do so anyway, its matrix products do not.
    cuDNN times its algorithms anew for each shape that it meets, and may choose others in another run. On other devices
    nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    products, timed = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    # Not `torch.backends.cuda.matmul.fp32_precision`: with that alone, torch and its compiler refuse to tell the
    # precision through this older function.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = benchmark
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.benchmark = timed


@dataclass(frozen=True)
class Running:
    """How a model is to train on its device: what was configured, with every `auto` resolved."""

    choice: Choice
    compiled: bool = False
    graph: bool = False
    notes: tuple[str, ...] = ()
    """What to tell of that."""

    @property
    def resolved(self) -> dict[str, Any]:
        """The values by their keys in a configuration."""
        return {
            "runtime.precision": self.choice.precision,
            "runtime.channels_last": self.choice.channels_last,
            "runtime.compile": self.compiled,
            "runtime.graph": self.graph,
        }

    def callbacks(self, device: torch.device) -> list[Callback]:
        """What makes a learner train so, and in one shape where a new one costs time."""
        made: list[Callback] = [ChannelsLast()] if self.choice.channels_last else []
        if self.choice.precision != "fp32":
            made.append(MixedPrecision(self.choice.precision))
        if self.compiled or device.type == "cuda":
            made.append(StaticShapes(compiled=self.compiled))
        return [*made, StepGraph()] if self.graph else made


def choose_running(
    model: nn.Module,
    batch: tuple[Tensor, ...],
    loss_fn: Callable[..., Tensor],
    *,
    name: str,
    precision: str = "auto",
    channels_last: Auto = "auto",
    compile: Auto = "auto",
    graph: Auto = "auto",
    benchmark: bool = True,
    steps: int | None = None,
    phases: int = 1,
    memory: Path | None = None,
) -> Running:
    """How `model` trains on batches like this one, on whose device it is; it is compiled then, if that was chosen.

    `name` says what model it is, `steps` how many are to come, in so many `phases`; `benchmark` whether cuDNN is to
    time its algorithms. What is measured is kept in the file `memory`. Random state stays as it was.
    """
    *inputs, targets = batch
    device = inputs[0].device
    with own_random_state(device), gpu_settings(device, benchmark=benchmark):
        choice = choose_precision(model, inputs[0], targets, loss_fn, device=device, precision=precision,
                                  channels_last=channels_last, name=name, memory=memory)  # fmt: skip
        task = Task(model, batch, loss_fn, choice, name, steps, phases)
        compiled, told = choose_compile(compile, task, memory)
        whole, told_too = choose_graph(graph, task, compiled=compiled)
    coarse = device.type == "cuda" and choice.precision == "fp32"
    notes = (told, told_too, "fp32 products are made of TF32 numbers" if coarse else "")
    return Running(choice, compiled, whole, tuple(filter(None, notes)))
