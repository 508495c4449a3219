"""Whole trainings on photographs: fastcli against Lightning and a loop in the style of timm's train.py.

    python benchmarks/peers.py --data pets.tgz --lightning-python PYTHON

The same networks from scratch, sizes, batches, epochs, optimizer and schedule, with validation after every epoch. The
others read by torch's DataLoader with as many worker processes as there are cores, and torchvision's transforms.
fastcli runs once at their precision, fp32 in the default layout, and once as it would by itself; it starts each run as
on a new machine, so it probes precision and decodes every picture.
"""

import os
import sys
import tempfile
from pathlib import Path

import trainings
from side_by_side import HERE, arguments, bar, in_turn, last, settled

MODELS = ("resnet18", "tf_efficientnet_lite0")
SIZES = (128, 224)
FP32 = ("runtime.precision=fp32", "runtime.channels_last=false")


def main() -> None:
    parser = arguments(__doc__, rounds=3, peers=False)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz, with photographs")
    parser.add_argument("--lightning-python", default=sys.executable, help="a Python that has lightning; else this one")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of the others' loaders")
    given = settled(parser)
    if given.quick:
        given.models, given.sizes, given.batch_size = ["test_resnet"], [64], 8
    from fastcli.data.download import untar_data

    equal, default = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = trainings.by_class(untar_data(given.data), Path(scratch) / "photos", 80 if given.quick else None)
        for model in given.models:
            for size in given.sizes:
                print(f"{model}, {size} px, {given.epochs} epochs")
                found = in_turn(sides(given, folder, model, size), given.rounds)
                trainings.show(found, "accuracy")
                equal += [trainings.times(found, name, "fastcli, fp32") for name in ("lightning", "timm")]
                default += [trainings.times(found, name, "fastcli") for name in ("lightning", "timm")]
    worst = lambda ratios: min(ratios, key=lambda ratio: ratio.middle)  # noqa: E731
    bar("at equal precision, the worst row", worst(equal), least=1.15)
    bar("as each runs by itself, the worst row", worst(default), least=2.0)
    last(worst(default), "seconds of the others over those of fastcli, whole process")


def sides(given, folder: Path, model: str, size: int) -> dict[str, object]:
    config = HERE / "photos.yaml"
    ours = (f"data.source={folder}", f"data.item_transforms=[{{name: resize, size: {size}}}]", f"model.name={model}",
            f"data.batch_size={given.batch_size}", f"train.epochs={given.epochs}")  # fmt: skip
    theirs = (folder, model, size, given.batch_size, given.epochs, given.workers)
    return {
        "fastcli": lambda: trainings.train(config, *ours, figure="accuracy"),
        "fastcli, fp32": lambda: trainings.train(config, *ours, *FP32, figure="accuracy"),
        "lightning": lambda: trainings.peer(given.lightning_python, "peer_lightning.py", *theirs),
        "timm": lambda: trainings.peer(sys.executable, "peer_timm.py", *theirs),
    }


if __name__ == "__main__":
    main()
