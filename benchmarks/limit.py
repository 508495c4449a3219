"""How near training comes to its limit: `fastcli bench` on photographs, for two networks and two sizes.

    python benchmarks/limit.py --data pets.tgz

The limit is bare forward, backward and optimizer steps on one batch that stays on the device, at the same precision and
memory layout; blocks of them and of the real training take turns. Every row is a process of its own. With augmentation
the loop has to resample every picture on the same cores, which the bare steps do not; those rows count for nothing.
"""

import json
import tempfile
from pathlib import Path

import trainings
from side_by_side import HERE, Ratio, arguments, bar, last, settled, table

MODELS = ("resnet18", "tf_efficientnet_lite0")
SIZES = (128, 224)
AUGMENTED = "data.batch_transforms=[{name: aug_transforms, size: %d}]"


def main() -> None:
    parser = arguments(__doc__, rounds=7, peers=False)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz, with photographs")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="of a block")
    given = settled(parser)
    if given.quick:
        given.models, given.sizes, given.batch_size, given.steps = ["test_resnet"], [64], 8, 3
    from fastcli.data.download import untar_data

    rows, plain = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = trainings.by_class(untar_data(given.data), Path(scratch) / "photos", 80 if given.quick else None)
        for model in given.models:
            for size in given.sizes:
                for augmented in (False, True):
                    speed, precision = measure(given, folder, model, size, augmented)
                    rows.append(row(model, size, augmented, precision, speed))
                    plain += [] if augmented else [Ratio.of(speed["ratios"], [1.0] * len(speed["ratios"]))]
    table(["", "px", "augmented", "precision", "limit", "training", "ratio", "", "wait", "first pass"], rows)
    worst = min(plain, key=lambda ratio: ratio.middle)
    bar("training / limit, the worst row without augmentation", worst, least=0.95)
    last(worst, "images per second of training over those of bare steps")


def measure(given, folder, model, size, augmented):
    words = [f"data.source={folder}", f"data.item_transforms=[{{name: resize, size: {size}}}]", f"model.name={model}",
             f"data.batch_size={given.batch_size}", *([AUGMENTED % size] if augmented else [])]  # fmt: skip
    options = ["--steps", given.steps, "--blocks", given.rounds, "--json"]
    output = trainings.fastcli("bench", HERE / "photos.yaml", *words, *options).output
    found = json.loads(output[output.index("\n{") :])
    runtime = found["config"]["runtime"]
    layout = " NHWC" if runtime["channels_last"] is True else ""
    return found["phases"][-1], runtime["precision"] + layout


def row(model, size, augmented, precision, speed):
    spread = f"{min(speed['ratios']):.2f}–{max(speed['ratios']):.2f}"
    speeds = [f"{speed[name]:.1f}" for name in ("limit", "training")]
    return [model, size, "yes" if augmented else "no", precision, *speeds, f"{speed['ratio']:.2f}", spread,
            f"{speed['wait']:.0%}", f"{speed['first']:.1f}"]  # fmt: skip


if __name__ == "__main__":
    main()
