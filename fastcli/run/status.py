"""How far a run has come, and whether it still runs: `status.json`."""

from __future__ import annotations

import dataclasses
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastcli.errors import FastcliError
from fastcli.run.files import process_lives, read_json

RUNNING = "running"
FINISHED = "finished"
INTERRUPTED = "interrupted"
FAILED = "failed"
DIED = "died"
UNKNOWN = "unknown"


def now_text() -> str:
    """The time of day with its zone, to the millisecond."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Status:
    """One moment of a run, as other processes see it."""

    state: str = UNKNOWN
    """`running`, `finished`, `interrupted` (Ctrl-C, SIGTERM) or `failed`; `unknown` where the file tells nothing."""
    started: str | None = None
    updated: str | None = None
    finished: str | None = None
    """When it ended, whatever way."""
    epoch: int = 0
    """Epochs done."""
    epochs: int | None = None
    """Epochs asked for."""
    best: dict[str, Any] | None = None
    """The monitored metric at its best: monitor, value, epoch."""
    error: str | None = None
    exit_code: int | None = None
    smoke: bool = False
    """Whether it was only a trial of two batches."""
    pid: int | None = None
    host: str | None = None

    @classmethod
    def read(cls, directory: Path) -> Status:
        """The status of the run in `directory`; an unknown one where the file is missing, damaged or not ours."""
        try:
            given = read_json(directory / "status.json")
        except FastcliError:
            return cls()
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in given.items() if key in known}) if isinstance(given, dict) else cls()

    def changed(self, **changes: Any) -> Status:
        """This status with `changes` and the time; a run that starts again forgets how it ended before."""
        now = now_text()
        state = changes.get("state", self.state)
        if state == RUNNING:
            this = {"pid": os.getpid(), "host": platform.node(), "started": self.started or now}
            changes = {**this, "finished": None, "error": None, "exit_code": None, **changes}
        elif "state" in changes:
            changes = {"finished": now, **changes}
        return dataclasses.replace(self, updated=now, **changes)

    @property
    def seen_state(self) -> str:
        """The state, or `died` for a run of this machine that says it runs and whose process is gone."""
        if self.state != RUNNING or self.host != platform.node() or self.pid is None:
            return self.state
        return RUNNING if process_lives(self.pid) else DIED

    @property
    def time(self) -> datetime:
        """When it ended, or started: the order of runs."""
        try:
            time = datetime.fromisoformat(self.finished or self.started or "")
        except (TypeError, ValueError):
            return datetime.min.replace(tzinfo=UTC)
        return time if time.tzinfo else time.astimezone()
