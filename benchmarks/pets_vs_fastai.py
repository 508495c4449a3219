"""Cat or dog, side by side: fastcli and fastai on the same photographs, weights, split and machine.

    python benchmarks/pets_vs_fastai.py --data pets.tgz --weights tf_efficientnet_lite0.safetensors \
        --fastai-python PYTHON --seeds 0 1 2

fastai runs `fine_tune(1)`, fastcli the same and its recipe `auto`; each run is a process of its own, the sides take
turns, and a round is a seed. fastcli starts each run as on a new machine, unless --warm: precision is probed anew and
every picture is decoded. Memory is that of a process and its children, what they share counted once.
"""

import sys
import tempfile
from pathlib import Path

import trainings
from side_by_side import arguments, bar, in_turn, last, settled

ARCHITECTURE = "tf_efficientnet_lite0"
RECIPES = {"fine_tune": "train={recipe: fine_tune, epochs: 1, lr: 2e-3}", "auto": "train={recipe: auto}"}


def main() -> None:
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz: NAME/images/*.jpg")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--skip-fastai", action="store_true")
    parser.add_argument("--warm", action="store_true", help="let fastcli use what it remembers of earlier runs")
    given = settled(parser)
    from fastcli.data.download import untar_data

    with tempfile.TemporaryDirectory() as scratch:
        folder = untar_data(given.data)
        if given.quick:
            folder, given.seeds = trainings.few(folder, Path(scratch) / "few", 96), given.seeds[:1]
        found: dict[str, list[trainings.Training]] = {}
        for seed in given.seeds:
            sides = {f"fastcli, {name}": lambda name=name, seed=seed: ours(given, folder, seed, name)
                     for name in given.recipes}  # fmt: skip
            if not given.skip_fastai:
                words = (folder, given.weights.resolve(), seed, scratch)
                sides["fastai"] = lambda words=words: trainings.peer(
                    given.fastai_python, "peer_fastai.py", "pets", *words
                )
            for name, one in in_turn(sides, 1).items():
                found.setdefault(name, []).extend(one)
    report(found)


def ours(given, folder: Path, seed: int, recipe: str) -> trainings.Training:
    words = [f"data.source={folder}", f"model.name={ARCHITECTURE}", f"model.pretrained={given.weights.resolve()}"]
    return trainings.train("pets.yaml", *words, RECIPES[recipe], figure="error_rate", seed=seed, warm=given.warm)


def report(found: dict[str, list[trainings.Training]]) -> None:
    trainings.show(found, "error_rate")
    if "fastai" not in found:
        sys.exit()
    for name, least in (("fastcli, auto", 10.0), ("fastcli, fine_tune", 4.5)):
        if name in found:
            bar(f"time of fastai / {name}", trainings.times(found, "fastai", name), least=least)
            bar(f"memory of {name} / fastai", trainings.memory(found, name, "fastai"), most=0.6)
    first = next(name for name in ("fastcli, fine_tune", "fastcli, auto") if name in found)
    last(trainings.times(found, "fastai", first), f"seconds of fastai over those of {first}, whole process")


if __name__ == "__main__":
    main()
