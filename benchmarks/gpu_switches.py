"""What each thing that fastcli does for a GPU gives: one training with it and without, and whether losses agree."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from side_by_side import HERE, table

from fastcli.callbacks.record import Recorder
from fastcli.callbacks.shapes import StaticShapes
from fastcli.data.loader import Loader
from fastcli.learner import compiling
from fastcli.training import settings

COMPILING = 60
"""Seconds that compiling a network may take."""


def experiment(given, config: Path, *words: str):
    """What fastcli trains from this configuration on the device."""
    from fastcli.config.load import load
    from fastcli.experiment import build

    return build(load(config, [*words, f"runtime.device={given.device}"]).config)


@dataclass(frozen=True)
class Switch:
    """Something that fastcli does for a GPU, and a training in which it can be left out."""

    words: tuple[str, ...] = ()
    """What the training is besides `photos.yaml`."""
    off: tuple[str, ...] = ()
    """What leaves it out: words of a configuration."""
    without: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    """Or a context."""
    drop: type | None = None
    """Or a callback that is taken away."""
    exact: bool = True
    """Whether losses must be the same to the last bit but one, and not only nearly so."""


@contextlib.contextmanager
def no_side_stream():
    """Inside, batches are finished when they are asked for, on the stream of the loop, from memory not pinned."""
    kept, Loader._on_gpu = Loader._on_gpu, property(lambda self: False)
    try:
        yield
    finally:
        Loader._on_gpu = kept


@contextlib.contextmanager
def plain_settings():
    """Inside, torch multiplies in full fp32 and takes the first kernel that it finds."""
    kept = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(kept[0])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = kept[1:]


TINY = ("model={name: test_resnet, pretrained: false}", "data.batch_size=8",
        "data.item_transforms=[{name: resize, size: 64}]")  # fmt: skip
AUGMENTED = "data.batch_transforms=[{name: aug_transforms, size: 192}]"
SWITCHES = {
    "TF32, timed kernels": Switch(("runtime.precision=fp32",), without=plain_settings, exact=False),
    "side stream, RAM": Switch(("data.cache=ram", AUGMENTED), without=no_side_stream),
    "side stream, device": Switch(("data.cache=device", AUGMENTED), without=no_side_stream),
    "static shapes": Switch(drop=StaticShapes, exact=False),
    "graph, small step": Switch((*TINY, "runtime.graph=true"), ("runtime.graph=false",)),
    "graph, resnet18 x8": Switch(("data.batch_size=8", "runtime.graph=true"), ("runtime.graph=false",)),
    "compiled": Switch(("runtime.compile=true",), ("runtime.compile=false",), exact=False),
}


def switches(given, clock) -> None:
    """Training with and without each of `SWITCHES`: speed of the last epoch, seconds of its validation, losses.

    What does not begin while the clock's time is not over is a row of dashes.
    """
    rows = []
    if given.quick:
        compiling.BACKEND = "eager"  # a real compiler takes half a minute
    for name, switch in list(SWITCHES.items())[:: 2 if given.quick else 1]:
        if clock.left() < (COMPILING if name == "compiled" and not given.quick else 0):
            rows.append([name, *"-------"])
            continue
        off, on = (trained(given, switch, on=on) for on in (False, True))
        near = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(on[2], off[2], strict=True))
        rows.append([name, f"{off[0]:.0f}", f"{on[0]:.0f}", f"{on[0] / off[0]:.2f}", f"{off[1]:.3f}", f"{on[1]:.3f}",
                     f"{near:.0e}", "equal" if near < (1e-5 if switch.exact else 0.1) else "DIFFERENT"])  # fmt: skip
        for note in on[3]:
            print(f"  {name}: {note}")
    head = ["on against off", "off, img/s", "on, img/s", "ratio", "off, valid s", "on, valid s", "losses differ by", ""]
    table(head, rows)


def trained(given, switch: Switch, *, on: bool) -> tuple[float, float, list[float], list[str]]:
    """Training speed and seconds of validation, in the last epoch; the first losses; what was told."""
    small = (*TINY, "data.batch_transforms=[]", "model={name: linear}") if given.quick else ()
    words = [f"data.source={given.folder}", f"train.epochs={1 if given.quick else 3}", "runtime.graph=false",
             "runtime.compile=false", *switch.words, *small, *(() if on else switch.off)]  # fmt: skip
    built = experiment(given, HERE / "photos.yaml", *words)
    learner = built.learner
    if not on and switch.drop is not None:
        learner.callbacks = [one for one in learner.callbacks if not isinstance(one, switch.drop)]
    # Timed kernels, and those that add in any order, would make losses differ by themselves.
    usual = settings("warn" if switch.exact else "off", given.device, static_shapes=not switch.exact)
    with usual, (contextlib.nullcontext if on else switch.without)():
        built.recipe(learner)
    row, recorder = learner.history[-1], learner.callback(Recorder)
    n, steps = built.loaders.train.n, len(built.loaders.train)
    losses = [*recorder.losses[: min(steps, 10)], learner.history[0]["valid_loss"]]
    return row["img_per_s"], row["time"] - n / row["img_per_s"], losses, learner.notes
