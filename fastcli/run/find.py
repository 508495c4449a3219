"""The names of runs: how a new one gets its directory, and how one is found by its name."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from contextlib import suppress
from pathlib import Path

from fastcli.errors import UsageError
from fastcli.run.files import atomic_write, decoded, temporary, writing
from fastcli.run.status import FINISHED, Status

LATEST = "latest"
MARKS = ("status.json", "config.resolved.yaml")
"""A directory with one of these is a run."""
BEGUN = ("status.json", "config.yaml", ".lock")
"""The files that a run has before its resolved configuration."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|latest)(\..*)?", re.IGNORECASE)


def safe_name(text: str, *, limit: int = 100) -> str:
    """`text` as one name that every file system takes, at most `limit` bytes; letters of all scripts stay.

    >>> safe_name("timm/resnet18.a1"), safe_name("my pets"), safe_name("Katzen & Hündchen"), safe_name("../..")
    ('timm-resnet18.a1', 'my_pets', 'Katzen_&_Hündchen', 'unnamed')
    """
    text = re.sub(r"\s+", "_", unicodedata.normalize("NFC", text).strip())
    text = "".join("-" if c in '<>:"/\\|?*' or unicodedata.category(c)[0] == "C" else c for c in text)
    text = text.lstrip(".-").encode()[:limit].decode(errors="ignore").rstrip(".-")
    return f"{text}_" if RESERVED.fullmatch(text) else text or "unnamed"


def refuse_used(directory: Path, *, but_begun: bool = False) -> None:
    """Raise UsageError where `directory` holds something; `but_begun` allows for what a run begins with."""
    found = list(directory.iterdir()) if directory.is_dir() else []
    if any(not but_begun or (path.name not in BEGUN and path.suffix != ".tmp") for path in found):
        raise UsageError(f"{directory} is not empty, and a run is never overwritten", hint="choose another --run-dir")


def make_new(folder: Path, name: str) -> Path:
    """A new directory in `folder`, called `name`, with a number after it where that is taken."""
    for number in itertools.count(1):
        path = folder / (name if number == 1 else f"{name}-{number}")
        with writing(path):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    raise AssertionError("the numbers do not end")


def is_run(path: Path) -> bool:
    """Whether `path` is the directory of a run."""
    return any((path / mark).is_file() for mark in MARKS)


def point_latest(run: Path) -> None:
    """Let `latest` beside `run` lead to it: a link, or a file with the name where links cannot be."""
    link = run.parent / LATEST
    unfinished = temporary(link)
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(run.name, target_is_directory=True)
    except (OSError, NotImplementedError):
        atomic_write(link, run.name + "\n")
        return
    try:
        with writing(link):
            unfinished.replace(link)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def follow_latest(path: Path) -> Path:
    """The run that `path` leads to when it is a `latest`; any other path as it is."""
    if path.name != LATEST:
        return path
    with suppress(OSError):
        if path.is_symlink():
            return path.parent / path.readlink()
        if path.is_file():
            return path.parent / decoded(path.read_bytes()).strip()
    return path


def runs_under(output: Path) -> list[tuple[Path, Status]]:
    """The runs in `output` and in its experiments with their status, the newest first."""
    marked = {file.parent for depth in ("*", "*/*") for mark in MARKS for file in output.glob(f"{depth}/{mark}")}
    runs = [(path, Status.read(path)) for path in marked if path.name != LATEST]
    return sorted(runs, key=lambda run: (run[1].time, run[0].name), reverse=True)


def find_run(name: str | Path, output: Path, *, finished: bool = True) -> Path:
    """The directory of the run `name`: a directory, a name below `output`, an experiment, or `latest`.

    An experiment and `latest` mean their newest finished run (a smoke run only where there is no other), with
    `finished=False` their newest.
    Raises UsageError with the nearest name and the newest runs.
    """
    if str(name) == LATEST:
        return _newest(output, finished)
    safe = Path(*(part if part == LATEST else safe_name(part) for part in Path(name).parts))
    for path in map(follow_latest, (Path(name).expanduser(), output / name, output / safe)):
        if is_run(path):
            return path
        if path.is_dir() and runs_under(path):
            return _newest(path, finished)
    runs = runs_under(output)
    named = [path for path, _ in runs if path.name == str(name)]
    if len(named) == 1:
        return named[0]
    raise UsageError(f"there is no run {str(name)!r} in {output}", hint=_hint(Path(name), output, runs))


def _newest(folder: Path, finished: bool) -> Path:
    runs = runs_under(folder)
    if not runs:
        raise UsageError(f"there is no run in {folder}", hint="train one: fastcli train CONFIG")
    chosen = [(path, status) for path, status in runs if status.state == FINISHED or not finished]
    if chosen:
        return next((path for path, status in chosen if finished and not status.smoke), chosen[0][0])
    newest = ", ".join(f"{path} ({status.seen_state})" for path, status in runs[:3])
    raise UsageError(f"there is no finished run in {folder}", hint=f"name one to use it as it is: {newest}")


def _hint(given: Path, output: Path, runs: list[tuple[Path, Status]]) -> str:
    inside = [parent for parent in given.parents if is_run(parent)]
    if inside:
        return f"a run is named by its directory: {inside[0]}"
    if not runs:
        return "train one: fastcli train CONFIG"
    names = [path.relative_to(output).as_posix() for path, _ in runs]
    experiments = [name.split("/")[0] for name in names if "/" in name]
    stamps = {path.name: name for (path, _), name in zip(runs, names, strict=True)}
    close = difflib.get_close_matches(str(given), [*experiments, *names, *stamps], 1, 0.6)
    meant = f"did you mean {stamps.get(close[0], close[0])!r}? " if close else ""
    return f"{meant}newest runs: {', '.join(names[:5])}"
