"""What benchmarks of whole trainings share: fastcli's command as a side, folders of few pictures, rows of results."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from side_by_side import ROOT, Done, Ratio, gib, process, table

PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Training:
    """A training that has ended: the last row's figure, the seconds of its epochs, and the process."""

    figure: float
    fit: float
    done: Done

    @property
    def seconds(self) -> float:
        """Of the whole process."""
        return self.done.seconds

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s in all, {self.fit:.1f} s of epochs, figure {self.figure:.4f}"


def fastcli(*words: object, warm: bool = False) -> Done:
    """Run fastcli's command to its end; unless `warm` it remembers neither pixels nor probes of earlier runs."""
    with tempfile.TemporaryDirectory() as home:
        environment = {} if warm else {"FASTCLI_HOME": home}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        return process([sys.executable, "-m", "fastcli", *words], environment={**environment, "PYTHONPATH": path})


def train(
    config: str | Path, *overrides: str, figure: str, seed: int = 0, warm: bool = False, first_epoch: bool = True
) -> Training:
    """Train a configuration, a shipped one by its name, with fastcli; `figure` is the column that counts.

    Without `first_epoch` that one, in which pictures are read, counts for as much as the second.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        words = ["train", ROOT / "configs" / config, *overrides, "--seed", seed, "--run-dir", run]
        done = fastcli(*words, warm=warm)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    times = [row["time"] for row in rows]
    return Training(rows[-1][figure], sum(times) if first_epoch else sum(times[1:]) + times[1], done)


def peer(python: str | Path, script: str, *words: object) -> Training:
    """Train with another library, whose script prints RESULT, the figure and the seconds of its epochs."""
    done = process([python, ROOT / "benchmarks" / script, *words])
    figure, fit = done.find(r"RESULT (\S+) (\S+)")
    return Training(figure, fit, done)


def show(found: dict[str, list[Training]], figure: str) -> None:
    """Print a row for every side."""
    rows = [
        [
            name,
            f"{mean(one.figure for one in runs):.4f}",
            f"{median(one.fit for one in runs):.1f}",
            f"{median(one.seconds for one in runs):.1f}",
            f"{min(one.seconds for one in runs):.1f}–{max(one.seconds for one in runs):.1f}",
            gib(median(one.done.memory for one in runs)),
        ]
        for name, runs in found.items()
    ]
    table([f"{len(next(iter(found.values())))} rounds", f"mean {figure}", "epochs, s", "in all, s", "", "memory"], rows)


def times(found: dict[str, list[Training]], above: str, below: str, what: str = "seconds") -> Ratio:
    """One side's seconds over another's: of the whole process, or with `fit` of the epochs alone."""
    return Ratio.of([getattr(one, what) for one in found[above]], [getattr(one, what) for one in found[below]])


def memory(found: dict[str, list[Training]], above: str, below: str) -> Ratio:
    """The peak memory of one side's processes over that of the other's."""
    return Ratio.of([one.done.memory for one in found[above]], [max(1, one.done.memory) for one in found[below]])


def few(folder: Path, where: Path, n: int) -> Path:
    """`where` with links to `n` pictures of every folder below `folder`, evenly taken from their names in order."""
    for parent in sorted({path.parent for path in folder.rglob("*") if path.suffix.lower() in PICTURES}):
        names = sorted(path for path in parent.iterdir() if path.suffix.lower() in PICTURES)
        link(names[:: max(1, len(names) // n)][:n], where / parent.relative_to(folder))
    return where


def link(paths: Sequence[Path], where: Path) -> None:
    """A folder of links to files."""
    where.mkdir(parents=True, exist_ok=True)
    for path in paths:
        (where / path.name).symlink_to(path.resolve())


def by_class(folder: Path, where: Path, n: int | None = None) -> Path:
    """`where` with links to photographs NAME_1.jpg of `folder`, each fifth in valid/KIND, the others in train/KIND.

    The kind is told by the case of the first letter, as in Oxford's pets; `n` of them all, evenly taken.
    """
    names = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    names = names if n is None else names[:: max(1, len(names) // n)][:n]
    for split, chosen in (("valid", names[::5]), ("train", [name for i, name in enumerate(names) if i % 5])):
        for kind, is_kind in (("cat", str.isupper), ("dog", str.islower)):
            link([path for path in chosen if is_kind(path.name[0])], where / split / kind)
    return where


def photographs(folder: Path, n: int) -> Path:
    """`n` JPEGs of about 500 x 375 pixels in two classes, smooth with some grain, as photographs are."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(n):
        where = folder / ("valid" if i % 5 == 0 else "train") / ("light" if i % 2 else "dark")
        where.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(random.integers(0, 160, (9, 12, 3), dtype=np.uint8) + np.uint8(80 * (i % 2)))
        pixels = np.asarray(rough.resize((500, 375), Image.Resampling.BICUBIC)).astype(np.int16)
        grain = random.integers(-12, 13, pixels.shape, dtype=np.int16)
        Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(where / f"{i}.jpg", quality=90)
    return folder
