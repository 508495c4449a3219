"""What a GPU does with fastcli, in one command of less than ten minutes.

    python benchmarks/gpu.py

Prints, with the card's name: the limit of bare steps by network, batch, precision, layout and compilation; batch
augmentation; training from each tier of the data store on generated photographs; an epoch of MNIST_SAMPLE; how often a
training step makes the host wait for the device; and what each thing that fastcli does for a GPU gives, on against off,
and whether losses stay the same. Needs no network. What does not fit into --minutes is a dash.
Without a GPU it says so and exits with 2; `--device cpu --quick` runs a little of every part anywhere.
"""

import argparse
import contextlib
import itertools
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import timm
import torch
from gpu_switches import COMPILING, experiment, switches
from side_by_side import HERE, ROOT, table
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from trainings import photographs

from fastcli.callbacks.epochs import ShortEpoch

MODELS = ("resnet18", "resnet34", "resnet50", "efficientnet_b0", "convnext_tiny", "vit_small_patch16_224")
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
CELL = 0.8
"""Seconds for the steps of one cell, after those that warm up."""
PHOTOGRAPHS = 2000
STEPS = 4
"""Of an epoch in which waits are counted."""


class Clock:
    """What is left of the time."""

    def __init__(self, minutes: float) -> None:
        self.ends = time.perf_counter() + 60 * minutes

    def left(self) -> float:
        """Seconds."""
        return self.ends - time.perf_counter()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work, device: torch.device, most: float = CELL, warm_up: int = 3, blocks: int = 3) -> float:
    """Seconds of one call of `work`: the median of blocks that take `most` seconds together."""
    for _ in range(warm_up):
        work()
    wait(device)
    started = time.perf_counter()
    work()
    wait(device)
    calls = max(1, round(most / blocks / max(time.perf_counter() - started, 1e-6)))
    taken = []
    for _ in range(blocks):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        wait(device)
        taken.append((time.perf_counter() - started) / calls)
    return statistics.median(taken)


def bare_step(name: str, size: int, n: int, precision: str, channels_last: bool, device: torch.device):
    """A function that takes one step of a new model."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = timm.create_model(name, num_classes=37).to(device=device, memory_format=layout)
    images = torch.randn(n, 3, size, size, device=device).contiguous(memory_format=layout)
    targets = torch.arange(n, device=device) % 37
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def step() -> None:
        with torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32"):
            loss = nn.functional.cross_entropy(model(images).float(), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return model, step


def limit(given, clock: Clock) -> None:
    """The table of img/s; compiled cells come last, while there is time."""
    models, batches, size, precisions = MODELS, (64, 256), 224, tuple(DTYPES)
    if given.quick:
        models, batches, size, precisions = ("test_resnet",), (4,), 64, ("fp32",)
    budget = Clock(min(clock.left() / 60, 0.75 * given.minutes))
    keys = list(itertools.product(models, batches, precisions, (False, True), (False, True)))
    found = {}
    for key in sorted(keys, key=lambda key: (key[-1], key[2] != "bf16", not key[3])):
        needed = 0 if given.quick or not key[-1] else COMPILING
        enough = budget.left() > needed
        found[key] = rate(*key[:2], size, *key[2:], given.device, quick=given.quick) if enough else "-"
    columns = list(itertools.product(precisions, (False, True), (False, True)))
    heads = [f"{p} {'NHWC' if last else 'NCHW'}{' compiled' if made else ''}" for p, last, made in columns]
    for at in range(0, len(columns), 4):
        rows = [
            [f"{name} @{size} x{n}", *(found[name, n, *column] for column in columns[at : at + 4])]
            for name, n in itertools.product(models, batches)
        ]
        table(["limit, img/s", *heads[at : at + 4]], rows)


def rate(name, n, size, precision, channels_last, compiled, device, *, quick) -> str:
    """Images per second of bare steps, or why there are none."""
    try:
        model, step = bare_step(name, size, n, precision, channels_last, device)
        if compiled:
            model.compile(backend="eager" if quick else "inductor")
        return f"{n / seconds(step, device, most=0.05 if quick else CELL):.0f}"
    except torch.OutOfMemoryError:
        return "no memory"
    except Exception as error:  # noqa: BLE001 - a compiler that is missing or fails; the table goes on
        return type(error).__name__
    finally:
        torch.compiler.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def augmentation(given, clock: Clock) -> None:
    """Microseconds of a batch from uint8 pictures to normalised, augmented ones."""
    from fastcli.transforms.batch import BatchPipeline, aug_transforms
    from fastcli.transforms.normalize import IMAGENET
    from fastcli.types import Image as ImageType
    from fastcli.types import typed

    source, size, most = (64, 56, 0.05) if given.quick else (256, 224, CELL)
    generator, rows = torch.Generator().manual_seed(0), []
    full = BatchPipeline(aug_transforms(size=size, min_scale=0.75), IMAGENET)
    plain = BatchPipeline([], IMAGENET)
    for n in (4,) if given.quick else (64, 256):
        pixels = torch.randint(0, 256, (n, source, source, 3), dtype=torch.uint8, device=given.device)
        images = typed(pixels.permute(0, 3, 1, 2), ImageType)
        times = [
            seconds(lambda p=p, images=images: p((images,), generator, train=True), given.device, most)
            for p in (full, plain)
        ]
        rows.append([f"{n} x 3 x {source}² to {size}²", *(f"{1e6 * taken:.0f}" for taken in times)])
    table(["augmentation, µs a batch", "aug_transforms", "normalisation alone"], rows)


def tiers(given, clock: Clock) -> None:
    """`fastcli bench` for each place where pixels can be kept."""
    model, size, batch = ("test_resnet", 64, 4) if given.quick else ("resnet34", 224, 64)
    rows, n = [], given.n
    for tier in ("device", "ram", "disk", "off")[2 * given.quick :]:
        if clock.left() < 0:
            rows.append([tier, *"------"])
            continue
        words = [f"data.source={given.folder}", f"data.cache={tier}", f"model.name={model}", f"data.batch_size={batch}",
                 f"data.item_transforms=[{{name: resize, size: {size}}}]"]  # fmt: skip
        built = experiment(given, HERE / "photos.yaml", *words)
        speed = built.speed(steps=2 if given.quick else 20, blocks=1 if given.quick else 5)[-1]
        runtime = built.config.runtime
        rows.append([tier, f"{runtime.precision}{' NHWC' if runtime.channels_last is True else ''}",
                     f"{speed.limit:.0f}", f"{speed.training:.0f}", f"{speed.ratio:.2f}", f"{speed.wait:.0%}",
                     f"{speed.first:.0f}"])  # fmt: skip
    head = [
        f"{n} photographs, {model} @{size} x{batch}",
        "precision",
        "limit",
        "training",
        "ratio",
        "wait",
        "first pass",
    ]
    table(head, rows)


def mnist(given, clock: Clock) -> None:
    """Epochs of a resnet18 and of a small net on the threes and sevens that come with fastcli."""
    rows = []
    for config, epochs in (("mnist_sample.yaml", 3), ("mnist_mlp.yaml", 5))[int(given.quick) :]:
        words = [f"train.epochs={2 if given.quick else epochs}"]
        if given.quick:  # the set of 14,000 digits alone would take seconds to open
            words += [f"data.source={given.folder}", "data.batch_size=8"]
        built = experiment(given, ROOT / "configs" / config, *words)
        built.recipe(built.learner)
        history = built.learner.history
        times = [row["time"] for row in history]
        rows.append([config, f"{times[0]:.2f}", f"{times[-1]:.2f}", f"{history[-1]['img_per_s']:.0f}",
                     f"{history[-1]['accuracy']:.4f}"])  # fmt: skip
    table(["MNIST_SAMPLE", "first epoch, s", "last epoch, s", "img/s", "accuracy"], rows)


class Reads(TorchDispatchMode):
    """Counts how often a number is read from a tensor, which on a GPU waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def told_of_waits(device: torch.device):
    """Inside, torch warns each time the host waits for the device; gives the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield caught
        finally:
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")


def waits(given, clock: Clock) -> None:
    """Waits in a fit of one epoch and in one of two: what the first epoch costs, another one, and a step of that."""
    rows = []
    for name, count in (("numbers read from tensors", count_reads), ("waits that torch warns of", count_warnings)):
        one, two = (count(given, epochs) for epochs in (1, 2))
        rows.append([name, one, two - one, f"{(two - one) / STEPS:.2f}"])
    table(["waits of the host, augmented photographs", "first epoch", "next epoch", "a step"], rows)


def small(given, epochs: int):
    """A small training of some steps an epoch with a run's usual callbacks and its recipe."""
    words = [f"data.source={given.folder}", "model.name=test_resnet", "data.batch_size=4", f"train.epochs={epochs}",
             "data.item_transforms=[{name: resize, size: 64}]", "runtime.precision=fp32", "runtime.channels_last=false",
             "data.batch_transforms=[{name: aug_transforms, size: 56}]"]  # fmt: skip
    built = experiment(given, HERE / "photos.yaml", *words)
    built.learner.callbacks.append(ShortEpoch(STEPS / len(built.loaders.train)))
    return built


def count_reads(given, epochs: int) -> int:
    built = small(given, epochs)
    with Reads() as reads:
        built.recipe(built.learner)
    return reads.n


def count_warnings(given, epochs: int) -> int:
    built = small(given, epochs)
    with told_of_waits(given.device) as caught:
        built.recipe(built.learner)
    places = Counter(f"{one.filename}:{one.lineno}" for one in caught if "synchroniz" in str(one.message))
    for place, n in places.most_common(10) if epochs == 2 else ():
        print(f"  waits {n} times: {place}")
    return sum(places.values())


PARTS = {"augmentation": augmentation, "tiers": tiers, "mnist": mnist, "waits": waits, "switches": switches,
         "limit": limit}  # fmt: skip


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it runs")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no part and no cell is begun")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args(words)
    if given.device.type == "cuda" and not torch.cuda.is_available():
        print("there is no GPU here; --device cpu --quick tries every part without one", file=sys.stderr)
        return 2
    card = torch.cuda.get_device_name(given.device) if given.device.type == "cuda" else platform.machine()
    print(f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda}, timm {timm.__version__}")
    clock, given.n = Clock(given.minutes), 20 if given.quick else PHOTOGRAPHS
    with tempfile.TemporaryDirectory() as scratch:
        given.folder = photographs(Path(scratch), given.n)
        for name in given.parts:
            if clock.left() > 0:
                PARTS[name](given, clock)
            print(f"({name}: {60 * given.minutes - clock.left():.0f} s since the start)\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
