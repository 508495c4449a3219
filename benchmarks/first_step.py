"""Time to the first step of `fastcli train`, against a bare script with the same imports.

    python benchmarks/first_step.py --data pets.tgz

Both import torch, torchvision and timm, find the pictures, make the network, decode a first batch with two threads and
take one step in fp32. fastcli also checks its configuration, lists and splits the data, decodes up to a thousand
pictures for their mean and deviation (which it keeps for the first epoch), and writes its run directory, whose plot of
the batch is drawn after the first step. Precision is given, so that no probe is timed; the clock ends after that step.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import trainings
from side_by_side import HERE, Ratio, arguments, bar, in_turn, last, process, settled, table


def main() -> None:
    parser = arguments(__doc__, rounds=9, quick_rounds=2, peers=False)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz, with photographs")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    given = settled(parser)
    if given.quick:
        given.model, given.size, given.batch_size = "test_resnet", 64, 16
    from fastcli.data.download import untar_data

    with tempfile.TemporaryDirectory() as scratch:
        folder = trainings.by_class(untar_data(given.data), Path(scratch) / "photos", 80 if given.quick else None)
        sides = {"fastcli train": lambda: ours(given, folder), "bare script": lambda: bare(given, folder)}
        in_turn(sides, 1, say=False)  # files come from the disk
        found = in_turn(sides, given.rounds)
    rows = [[name, f"{median(times):.2f}", f"{min(times):.2f}–{max(times):.2f}"] for name, times in found.items()]
    table(["to the first step", "seconds", ""], rows)
    ratio = Ratio.of(found["fastcli train"], found["bare script"])
    bar("fastcli / bare", ratio, most=1.25)
    last(ratio, "seconds to the first step of fastcli over those of the bare script")


def ours(given, folder: Path) -> float:
    words = [f"data.source={folder}", f"data.item_transforms=[{{name: resize, size: {given.size}}}]",
             f"data.batch_size={given.batch_size}", f"model.name={given.model}", "runtime.precision=fp32",
             "runtime.channels_last=false", "callbacks=[tell_first_step]",
             f"plugins=[{HERE / 'first_step_part.py'}]"]  # fmt: skip
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        done = trainings.fastcli("train", HERE / "photos.yaml", *words, "--run-dir", Path(scratch) / "run")
    return done.find(r"FIRST (\S+)")[0] - started


def bare(given, folder: Path) -> float:
    started = time.monotonic()
    done = process([sys.executable, HERE / "bare_step.py", folder / "train", given.model, given.size, given.batch_size])
    return done.find(r"FIRST (\S+)")[0] - started


if __name__ == "__main__":
    main()
