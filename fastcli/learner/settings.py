"""How a device computes while a training runs: torch's settings for a GPU, and the callbacks that go with a choice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.shapes import StaticShapes
from fastcli.events import Callback
from fastcli.learner.probe import Choice


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


def device_callbacks(choice: Choice, device: torch.device, *, compiled: bool) -> list[Callback]:
    """What makes a learner train in the chosen precision and layout, and in one shape where a new one costs time."""
    made: list[Callback] = [ChannelsLast()] if choice.channels_last else []
    if choice.precision != "fp32":
        made.append(MixedPrecision(choice.precision))
    return [*made, StaticShapes(compiled=compiled)] if compiled or device.type == "cuda" else made
