"""Run: one training's directory, and everything that is written into it.

runs/pets/latest -> 20261124-101500-resnet34
runs/pets/20261124-101500-resnet34/
config.yaml  config.resolved.yaml  overrides.txt  environment.json  status.json  classes.json  split.csv
metrics.jsonl  metrics.csv  train.log  checkpoints/  plots/  eval/  README.md
and where it was extended or forked  recipes.json  parent.json
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fastcli.errors import FastcliError
from fastcli.run.environment import environment
from fastcli.run.files import (
    atomic_write,
    csv_text,
    decoded,
    encoded,
    finite,
    json_line,
    make_directory,
    read_json,
    sweep_temporaries,
    write_json,
    writing,
)
from fastcli.run.find import find_run, follow_latest, make_new, point_latest, refuse_used, safe_name
from fastcli.run.lock import held
from fastcli.run.status import FINISHED, RUNNING, Status

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Run:
    """The directory of one training; the only place where the names of its files are written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] | None = None
        self._is_held = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def create(
        cls, output: Path, experiment: str, model: str, *, directory: Path | None = None, again: bool = False,
        now: datetime | None = None,
    ) -> Run:  # fmt: skip
        """A new run in `output/experiment/<stamp>-<model>/`, or in `directory`, which must be new or empty.

        With `again` it may hold a run that was ended before its configuration was written.

        Raises UsageError where `directory` holds something, FastcliError where it cannot be made.
        """
        folder = output / safe_name(experiment)
        if directory is None:
            stamp = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
            path = make_new(make_directory(folder), f"{stamp}-{safe_name(model)}")
        else:
            refuse_used(directory, but_begun=again)
            path = make_directory(directory)
        run = cls(path)
        run.update_status(state=RUNNING)
        if path.parent.resolve() == folder.resolve():
            point_latest(path)
        return run

    @classmethod
    def open(cls, name: str | Path = "latest", output: Path = Path("runs"), *, finished: bool = True) -> Run:
        """The run that `name` means: a directory, a name below `output`, an experiment, or `latest`.

        An experiment and `latest` mean their newest finished run, with `finished=False` their newest.
        Raises UsageError with the nearest name and the newest runs.
        """
        return cls(find_run(name, output, finished=finished))

    @property
    def name(self) -> str:
        """The stamp and the model: the last part of the path."""
        return self.path.name

    @property
    def shown(self) -> str:
        """The path for people: from the working directory, by `latest` where that leads here."""
        latest = self.path.parent / "latest"
        path = latest if follow_latest(latest) == self.path else self.path
        absolute, here = path.absolute(), Path.cwd()
        return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)

    @property
    def config(self) -> Path:
        """The resolved configuration, which runs again by itself."""
        return self.path / "config.resolved.yaml"

    @property
    def split(self) -> Path:
        """The table of which item was in which split: path, label, split."""
        return self.path / "split.csv"

    @property
    def checkpoints(self) -> Path:
        """The directory for `Checkpoints`."""
        return self.path / "checkpoints"

    @property
    def plots(self) -> Path:
        """The directory of the pictures."""
        return self.path / "plots"

    def evaluation(self, name: str = "valid") -> Path:
        """The directory of the report on the data called `name`."""
        return self.path / "eval" / safe_name(name)

    def write_config(self, given: str, resolved: str, overrides: Sequence[str] = ()) -> None:
        """Keep the configuration as given, with every value, and the overrides of the command line, one a line."""
        self._write("config.yaml", given)
        self._write("config.resolved.yaml", resolved)
        self._write("overrides.txt", "".join(f"{override}\n" for override in overrides))

    def write_resolved(self, resolved: str) -> None:
        """Keep every value anew, after some were chosen while the training ran."""
        self._write("config.resolved.yaml", resolved)

    def note_overrides(self, overrides: Sequence[str], resolved: str) -> None:
        """Keep what a resumed run was given besides, and every value with it."""
        path = self.path / "overrides.txt"
        before = decoded(path.read_bytes()) if path.is_file() else ""
        self._write("overrides.txt", before + "".join(f"{override}\n" for override in overrides))
        self.write_resolved(resolved)

    def write_environment(self, device: str | None = None, plugins: Mapping[str, str] | None = None) -> None:
        """Keep what this process runs on: `device` a torch device such as `cuda:0`, `plugins` files and SHA-256."""
        self._write_json("environment.json", environment(device, plugins))

    def read_environment(self) -> dict[str, Any]:
        """What `write_environment` kept; empty where nothing was."""
        path = self.path / "environment.json"
        return read_json(path) if path.is_file() else {}

    def write_classes(self, classes: Sequence[str]) -> None:
        """Keep the names of the classes in the order of the model's outputs."""
        self._write_json("classes.json", list(classes))

    def read_classes(self) -> list[str]:
        """The names of the classes in the order of the model's outputs. Raises FastcliError where there are none."""
        classes = read_json(self.path / "classes.json")
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise FastcliError(f"{self.path / 'classes.json'} is damaged: it is not a list of names")
        return classes

    def write_split(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Keep which item was in which split: rows of path, label and split."""
        self._write("split.csv", csv_text([("path", "label", "split"), *rows]))

    def write_card(self, text: str) -> None:
        """Keep the model's card."""
        self._write("README.md", text)

    @property
    def status(self) -> Status:
        """How far the run is, read from its file."""
        return Status.read(self.path)

    def update_status(self, **changes: Any) -> None:
        """Change fields of the status; `state="running"` makes this process its owner, another state its end."""
        self._write_json("status.json", vars(self.status.changed(**changes)))

    def finish(self, **changes: Any) -> None:
        """Mark the run as finished, exit code 0."""
        self.update_status(state=FINISHED, exit_code=0, **changes)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one epoch to metrics.jsonl and metrics.csv, in place of rows of this or a later epoch.

        So a resumed run leaves no row twice. NaN and infinities are null in the one and nan in the other, a value
        that a row does not have is empty in the CSV, whose columns are those of all rows.
        """
        kept = [old for old in self.metrics() if "epoch" not in row or old.get("epoch", -1) < row["epoch"]]
        self._rows = [*kept, finite(row)]
        self._write_metrics()

    def cut_metrics(self, epochs: int) -> None:
        """Keep the rows of the first `epochs` alone, which a resumed training begins with."""
        kept = [row for row in self.metrics() if row.get("epoch", -1) < epochs]
        if len(kept) < len(self.metrics()):
            self._rows = kept
            self._write_metrics()

    def _write_metrics(self) -> None:
        assert self._rows is not None
        self._write("metrics.jsonl", "".join(f"{json_line(each)}\n" for each in self._rows))
        columns = list(dict.fromkeys(itertools.chain.from_iterable(self._rows)))
        cells = [[_cell(each[key]) if key in each else "" for key in columns] for each in self._rows]
        self._write("metrics.csv", csv_text([columns, *cells]))

    def metrics(self) -> list[dict[str, Any]]:
        """One row per epoch done, as in metrics.jsonl."""
        if self._rows is None:
            path = self.path / "metrics.jsonl"
            lines = decoded(path.read_bytes()).splitlines() if path.is_file() else []
            try:
                self._rows = [json.loads(line) for line in lines]
            except ValueError as error:
                raise FastcliError(f"{path} is damaged: {error}") from error
        return self._rows

    @contextmanager
    def held(self) -> Iterator[None]:
        """This process alone writes into the run inside. Raises UsageError where another does."""
        with contextlib.nullcontext() if self._is_held else held(self.path):
            kept, self._is_held = self._is_held, True
            try:
                yield
            finally:
                self._is_held = kept

    def log(self, text: str) -> None:
        """Add text to train.log after the time, further lines indented; colours are dropped."""
        stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        first, *rest = COLOURS.sub("", text).splitlines() or [""]
        self._append(
            "train.log", "".join(f"{line}\n" for line in (f"{stamp} {first}", *(f"  {line}" for line in rest)))
        )

    def draw(self, name: str, draw: Callable[[Path], object]) -> None:
        """Let `draw` make the picture plots/`name`: it is called with the path."""
        make_directory(self.plots)
        draw(self.plots / name)

    def sweep(self) -> list[Path]:
        """The temporary files of dead processes in this run, now deleted; for the one process that writes here."""
        folders = (self.path, self.checkpoints, self.plots)
        return [path for folder in folders for path in sweep_temporaries(folder)]

    def _write(self, name: str, text: str) -> None:
        atomic_write(self.path / name, text)

    def _write_json(self, name: str, value: Any) -> None:
        write_json(self.path / name, value)

    def _append(self, name: str, text: str) -> None:
        with writing(self.path / name), (self.path / name).open("ab") as file:
            file.write(encoded(text))


class NullRun(Run):
    """A run that keeps nothing, for a library's user who asked for no directory; nobody needs to ask `if run`."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))  # whoever writes below this path by himself gets an error, and no stray file
        self._rows = []
        self._status = Status()
        self._is_held = True

    @property
    def status(self) -> Status:
        """How far the training is, from memory."""
        return self._status

    def update_status(self, **changes: Any) -> None:
        """Change fields of the status in memory."""
        self._status = self._status.changed(**changes)

    def draw(self, name: str, draw: Callable[[Path], object]) -> None:
        """Draw nothing."""

    def sweep(self) -> list[Path]:
        """No files."""
        return []

    def _write(self, name: str, text: str) -> None: ...

    def _write_json(self, name: str, value: Any) -> None: ...

    def _append(self, name: str, text: str) -> None: ...


def _cell(value: Any) -> Any:
    return "nan" if value is None else value
