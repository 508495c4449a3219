"""The recipes `auto` and `fine_tune`, both by default, on five sets and several seeds: which errs less on new pictures.

    python benchmarks/auto_vs_fine_tune.py --data PETS --weights WEIGHTS --rounds 5

A round is a seed, which draws new pictures for training, validation and test, and is the seed of both trainings. The
sets are cat or dog from photographs, from larger ones and from few, 3 or 7 from few handwritten digits, and six drawn
textures. The error is that of each run's best checkpoint on test pictures that neither recipe has seen. Seconds are of
building and training in one process: they mean something only where nothing else runs.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import trainings
from side_by_side import Ratio, arguments, last, settled, table

RECIPES = {"auto": "train={recipe: auto}", "fine_tune": "train={recipe: fine_tune}"}
SPLITS = ("train", "valid", "test")
TEXTURES = 6


@dataclass(frozen=True)
class Set:
    """Where pictures lie, how their class is told, and how many are taken for each split."""

    folder: Path
    kind: Callable[[Path], str]
    sizes: Sequence[int]
    pixels: int

    def linked(self, where: Path, seed: int) -> Path:
        """`where` with links to pictures in SPLIT/CLASS/."""
        paths = sorted(path for path in self.folder.rglob("*") if path.suffix.lower() in trainings.PICTURES)
        random.Random(seed).shuffle(paths)
        for split, n in zip(SPLITS, self.sizes, strict=True):
            taken, paths = paths[:n], paths[n:]
            for kind in sorted({self.kind(path) for path in taken}):
                trainings.link([path for path in taken if self.kind(path) == kind], where / split / kind)
        return where


def main() -> None:
    parser = arguments(__doc__, rounds=5, peers=False)
    parser.add_argument("--data", type=Path, required=True, help="archive named like pets_mini.tgz: NAME/images/*.jpg")
    parser.add_argument("--weights", type=Path, help="of --model in safetensors; without, timm's own")
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--sets", nargs="+", help="all unless it is said")
    parser.add_argument("--first-seed", type=int, default=0)
    given = settled(parser)
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: compared(given, name, one, Path(scratch)) for name, one in sets(given, Path(scratch)).items()
                 if given.sets is None or name in given.sets}  # fmt: skip
    report(found)


def sets(given, scratch: Path) -> dict[str, Set]:
    from fastcli.data.download import resolve_source, untar_data

    textures = scratch / "textures"
    draw_textures(textures, 10 if given.quick else 100)
    if given.quick:
        return {"textures": Set(textures, lambda path: path.parent.name, (32, 12, 16), 32)}
    pets, digits = untar_data(given.data), resolve_source("MNIST_SAMPLE").path
    cat_or_dog = lambda path: "cat" if path.name[0].isupper() else "dog"  # noqa: E731
    return {
        "pets": Set(pets, cat_or_dog, (560, 140, 699), 128),
        "sharp pets": Set(pets, cat_or_dog, (900, 200, 299), 224),
        "few pets": Set(pets, cat_or_dog, (64, 32, 699), 128),
        "digits": Set(digits, lambda path: path.parent.name, (400, 100, 600), 64),
        "textures": Set(textures, lambda path: path.parent.name, (240, 60, 300), 64),
    }


def draw_textures(folder: Path, n: int) -> None:
    """`n` pictures of each texture: waves of one of six kinds in two colours, turned and shifted, under much noise."""
    import numpy as np
    from PIL import Image

    drawn = np.random.default_rng(0)
    down, across = np.mgrid[:64, :64]
    for kind in range(TEXTURES):
        (folder / str(kind)).mkdir(parents=True)
        for i in range(n):
            turn, phase, length = drawn.uniform(0, np.pi), drawn.uniform(0, 6, 2), drawn.uniform(8, 12)
            x = (across * np.cos(turn) + down * np.sin(turn)) * 2 * np.pi / length + phase[0]
            y = (down * np.cos(turn) - across * np.sin(turn)) * 2 * np.pi / length + phase[1]
            waves = (np.sin(x), np.sign(np.sin(x)), np.sin(x) * np.sin(y), np.sign(np.sin(x) * np.sin(y)),
                     np.maximum(np.sin(x), np.sin(y)), np.sin(x + np.sin(y)))[kind]  # fmt: skip
            colours = drawn.uniform(60, 195, (2, 3))
            share = (waves[..., None] + 1) / 2
            pixels = colours[0] * share + colours[1] * (1 - share) + drawn.normal(0, 40, (64, 64, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / str(kind) / f"{kind}_{i}.png")


def compared(given, name: str, one: Set, scratch: Path) -> dict[str, list[tuple[float, float]]]:
    """Error and seconds of each seed, by recipe."""
    found: dict[str, list[tuple[float, float]]] = {recipe: [] for recipe in RECIPES}
    for seed in range(given.first_seed, given.first_seed + given.rounds):
        folder = one.linked(scratch / f"{name} {seed}", seed)
        for recipe in RECIPES if seed % 2 else reversed(RECIPES):
            found[recipe].append(trained(given, one, folder, recipe, seed))
            print(f"{name}, seed {seed}, {recipe}: error {found[recipe][-1][0]:.4f}, {found[recipe][-1][1]:.1f} s",
                  flush=True)  # fmt: skip
    return found


def trained(given, one: Set, folder: Path, recipe: str, seed: int) -> tuple[float, float]:
    """The error of the best checkpoint on the test pictures, and the seconds of the training."""
    from fastcli.config.dump import dump
    from fastcli.config.load import load
    from fastcli.experiment import build
    from fastcli.run.directory import Run

    pretrained = "true" if given.weights is None else given.weights.resolve()
    words = [
        f"data.source={folder}",
        f"data.item_transforms=[{{name: resize, size: {one.pixels}}}]",
        f"data.batch_size={64 if one.sizes[0] > 64 else 16}",
        f"model.name={given.model}",
        f"model.pretrained={pretrained}",
        f"experiment.seed={seed}",
        RECIPES[recipe],
        "metrics=[error_rate]",
    ]
    loaded, began = load(trainings.ROOT / "benchmarks" / "photos.yaml", words), time.perf_counter()
    experiment = build(loaded.config)
    run = Run.create(folder / "runs", recipe, given.model)
    run.write_config(Path(loaded.path).read_text(encoding="utf-8"), dump(experiment.config), words)
    experiment.train(run)
    return error(run, one, folder), time.perf_counter() - began


def error(run, one: Set, folder: Path) -> float:
    """The share of test pictures whose class is not the predicted one."""
    from fastcli.deploy.predictor import Predictor

    predictor = Predictor(run)
    paths = sorted(path for path in (folder / "test").rglob("*") if path.suffix.lower() in trainings.PICTURES)
    said = [predictor.classes[int(found.decision)] for found in predictor.predict(paths)]
    return mean(kind != path.parent.name for kind, path in zip(said, paths, strict=True))


def report(found: dict[str, dict[str, list[tuple[float, float]]]]) -> None:
    rows, ratios, means = [], [], []
    for name, sides in found.items():
        ours, theirs = ([error for error, _ in sides[recipe]] for recipe in RECIPES)
        wins = sum(a < b for a, b in zip(ours, theirs, strict=True))
        ties = sum(a == b for a, b in zip(ours, theirs, strict=True))
        seconds = [f"{mean(seconds for _, seconds in sides[recipe]):.1f}" for recipe in RECIPES]
        rows.append(
            [name, f"{mean(ours):.4f}", f"{mean(theirs):.4f}", f"{wins} of {len(ours)}, {ties} equal", *seconds]
        )
        means.append((mean(ours), mean(theirs)))
        ratios.append(mean(ours) / max(mean(theirs), 1e-4))
    table(["mean error", "auto", "fine_tune", "auto is better", "auto, s", "fine_tune, s"], rows)
    print(f"auto errs less on {sum(a < b for a, b in means)} of {len(means)} sets")
    last(Ratio.of(ratios, [1.0] * len(ratios)), "mean error of auto over that of fine_tune, median of the sets")


if __name__ == "__main__":
    main()
