"""Which runs may be deleted, and their deletion: never a running one, never the newest finished of an experiment."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastcli.errors import FastcliError
from fastcli.run.files import temporary, writing
from fastcli.run.find import LATEST, follow_latest, is_run, point_latest, runs_under
from fastcli.run.overview import Overview, overview, size_of
from fastcli.run.status import DIED, FAILED, FINISHED, INTERRUPTED, RUNNING, Status

USELESS = (FAILED, DIED)
ENDED = (FINISHED, INTERRUPTED, FAILED, DIED)


@dataclass(frozen=True)
class Deletion:
    """A run to delete, why, and how many bytes that frees."""

    run: Overview
    why: str
    bytes: int


def protected(runs: Sequence[Overview]) -> dict[Path, str]:
    """The runs that are never deleted, with the reason: those that run, and each experiment's newest finished one."""
    kept = {run.path: "it is running" for run in runs if run.status.seen_state == RUNNING}
    for experiment in {run.path.parent for run in runs}:
        finished = [run for run in runs if run.path.parent == experiment and run.status.state == FINISHED]
        newest = [run for run in finished if not run.status.smoke] or finished
        if newest:
            kept[max(newest, key=lambda run: run.status.time).path] = "it is the newest finished run of its experiment"
    return kept


def useless(runs: Sequence[Overview]) -> list[tuple[Overview, str]]:
    """Smoke runs, then those that failed or whose process died, with the reason; the newest first."""
    smoke = [(run, "smoke run") for run in runs if run.status.smoke and run.status.seen_state in ENDED]
    failed = [(run, run.status.seen_state) for run in runs if not run.status.smoke and run.status.seen_state in USELESS]
    return [*smoke, *failed]


def surplus(runs: Sequence[Overview], keep: int | None, days: float | None) -> list[tuple[Overview, str]]:
    """Ended runs beyond the newest `keep` of their experiment, and those that ended more than `days` ago."""
    found, counts = [], dict.fromkeys((run.path.parent for run in runs), 0)
    oldest = datetime.now(UTC) - timedelta(days=days) if days is not None else None
    for run in sorted(runs, key=lambda run: run.status.time, reverse=True):
        if run.status.seen_state not in ENDED:
            continue
        counts[run.path.parent] += not run.status.smoke
        if keep is not None and counts[run.path.parent] > keep:
            found.append((run, f"not among the newest {keep}"))
        elif oldest is not None and run.status.time < oldest:
            found.append((run, f"older than {days:g} days"))
    return found


def planned(runs: Sequence[Overview], *, keep: int | None = None, days: float | None = None) -> list[Deletion]:
    """What to delete of `runs`: the useless ones first, then the surplus; never a protected one."""
    safe = protected(runs)
    chosen: dict[Path, tuple[Overview, str]] = {}
    for run, why in [*useless(runs), *surplus(runs, keep, days)]:
        if run.path not in safe:
            chosen.setdefault(run.path, (run, why))
    return [Deletion(run, why, size_of(run.path)) for run, why in chosen.values()]


def delete(deletion: Deletion) -> None:
    """Delete the run's folder, and let `latest` lead to the newest run that is left.

    Raises FastcliError, with nothing deleted, where it has begun to run meanwhile, is no run or cannot be deleted.
    """
    path = deletion.run.path
    if path.is_symlink() or not is_run(path):
        raise FastcliError(f"{path} is no run any more; it was left alone")
    if Status.read(path).seen_state == RUNNING:
        raise FastcliError(f"{path} is running; it was left alone")
    latest = path.parent / LATEST
    leads_here = follow_latest(latest) == path
    doomed = temporary(path)
    with writing(path):
        path.rename(doomed)  # one step: nobody finds half a run
        shutil.rmtree(doomed)
    if leads_here:
        _point_anew(latest)


def _point_anew(latest: Path) -> None:
    left = [path for path, _ in runs_under(latest.parent) if path.parent == latest.parent]
    if left:
        point_latest(max(left, key=lambda path: path.name))
    else:
        with suppress(OSError):
            latest.unlink()
            latest.parent.rmdir()  # an experiment without runs is an empty folder


def named(paths: Sequence[Path], output: Path, others: Sequence[Overview]) -> tuple[list[Deletion], dict[str, str]]:
    """What to delete of the runs that were named, and the names of those that are protected, with the reason."""
    safe = protected(others)
    kept: dict[str, str] = {}
    found = []
    for path in dict.fromkeys(paths):
        run = overview(path, output)
        reason = safe.get(path) or ("it is running" if run.status.seen_state == RUNNING else None)
        if reason is not None:
            kept[run.name] = reason
        else:
            found.append(Deletion(run, "named", size_of(path)))
    return found, kept
