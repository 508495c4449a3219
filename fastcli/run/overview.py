"""Many runs at a glance, read from their small files alone: how far each is, its figures, what was asked of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from fastcli.errors import FastcliError
from fastcli.run.directory import Run
from fastcli.run.files import decoded
from fastcli.run.find import runs_under
from fastcli.run.status import RUNNING, Status

STAMPED = re.compile(r"\d{8}-\d{6}-(.+?)(?:-\d+)?$")
NOT_CURVES = ("epoch", "img_per_s", "wait", "time")
"""What an epoch's row has besides the learning rate, losses and metrics."""
NOT_FIGURES = (*NOT_CURVES, "lr")
"""What an epoch's row has besides losses and metrics."""


@dataclass(frozen=True)
class Overview:
    """What the small files of one run tell; each is read when it is asked for."""

    path: Path
    status: Status
    output: Path = Path("runs")

    @property
    def name(self) -> str:
        """EXPERIMENT/STAMP-MODEL, or the path of a run elsewhere: what every command takes for the run."""
        inside = self.path.is_relative_to(self.output)
        return (self.path.relative_to(self.output) if inside else self.path).as_posix()

    @property
    def model(self) -> str | None:
        """The model, by the name of the directory."""
        found = STAMPED.fullmatch(self.path.name)
        return found.group(1) if found else None

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row per epoch; none where they are missing or damaged."""
        try:
            rows = Run(self.path).metrics()
        except (FastcliError, OSError):
            return []
        return [row for row in rows if isinstance(row, dict)]

    @property
    def monitor(self) -> str | None:
        """The name of the figure that decides which epoch is best."""
        name = self._best.get("monitor")
        return str(name) if name else None

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the best figure."""
        epoch = self._best.get("epoch")
        return epoch if isinstance(epoch, int) else None

    @property
    def figures(self) -> dict[str, Any]:
        """Losses and metrics of the best epoch, else of the last."""
        best = [row for row in self.rows if row.get("epoch") == self.best_epoch] or self.rows[-1:]
        return {key: value for row in best for key, value in row.items() if key not in NOT_FIGURES}

    @property
    def best(self) -> float | None:
        """The monitored figure at its best."""
        value = self._best.get("value")
        return float(value) if isinstance(value, int | float) else None

    @property
    def _best(self) -> dict[str, Any]:
        """The status says it, whose file may be damaged."""
        best = self.status.best
        return best if isinstance(best, dict) else {}

    @property
    def curve(self) -> list[float | None]:
        """The monitored figure by epoch, the training loss where none is known."""
        return [row.get(self.monitor or "train_loss") for row in self.rows]

    @cached_property
    def overrides(self) -> list[str]:
        """What was typed after the configuration's name."""
        try:
            return decoded((self.path / "overrides.txt").read_bytes()).splitlines()
        except OSError:
            return []

    @property
    def seconds(self) -> float | None:
        """From start to end, or until now while it runs."""
        try:
            start = datetime.fromisoformat(self.status.started or "")
            end = datetime.fromisoformat(self.status.finished or self._last_sign or "")
            return max(0.0, (end - start).total_seconds())
        except (TypeError, ValueError):
            return None

    @property
    def _last_sign(self) -> str | None:
        if self.status.seen_state == RUNNING:
            return datetime.now().astimezone().isoformat()
        return self.status.updated

    def as_data(self) -> dict[str, Any]:
        """All of it as JSON values."""
        status = self.status
        return {
            "run": self.name,
            "path": str(self.path),
            "state": status.seen_state,
            "error": status.error,
            "smoke": status.smoke,
            "model": self.model,
            "started": status.started,
            "finished": status.finished,
            "seconds": self.seconds,
            "epoch": status.epoch,
            "epochs": status.epochs,
            "best": status.best,
            "figures": self.figures,
            "curve": self.curve,
            "overrides": self.overrides,
        }


def overviews(folder: Path, output: Path) -> list[Overview]:
    """The runs in `folder`, which is `output` or an experiment in it, the newest first."""
    return [Overview(path, status, output) for path, status in runs_under(folder)]


def overview(path: Path, output: Path) -> Overview:
    """One run."""
    return Overview(path, Status.read(path), output)


def size_of(path: Path) -> int:
    """Bytes that deleting the folder frees: a file with several names in it counts once, one with others not at all."""
    seen: dict[tuple[int, int], list[int]] = {}
    for entry in _files(path):
        found = entry.stat(follow_symlinks=False)
        seen.setdefault((found.st_dev, found.st_ino), [found.st_size, found.st_nlink]).append(0)
    return sum(size for size, links, *names in seen.values() if len(names) >= links)


def _files(path: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield entry
