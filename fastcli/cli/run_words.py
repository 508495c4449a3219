"""How runs, times and sizes are said, and where runs are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastcli.run.status import Status

RUNS = Path("runs")
Folder = Annotated[Path, typer.Option("--folder", help="The folder of the runs.")]
STYLES = {"running": "cyan", "interrupted": "yellow", "failed": "bold red", "died": "bold red", "unknown": "dim"}


def state_style(state: str) -> str:
    """Rich's style of a state."""
    return STYLES.get(state, "")


def figure(value: float | None) -> str:
    """A figure with four decimals.

    >>> figure(0.99314), figure(3.2e-5), figure(None)
    ('0.9931', '3.2e-05', '')
    """
    from fastcli.callbacks.table import figure

    return "" if value is None else figure(value)


def of_epochs(status: Status) -> str:
    """Epochs done of those asked for."""
    return f"{status.epoch}/{status.epochs}" if status.epochs else str(status.epoch)


def duration(seconds: float | None) -> str:
    """A time in words."""
    from fastcli.callbacks.screen import duration

    return "" if seconds is None else duration(seconds)


def size(n_bytes: float) -> str:
    """Bytes in the unit that fits.

    >>> size(0), size(1500), size(3.2e9)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while n_bytes >= 1000 and len(units) > 1:
        n_bytes, units = n_bytes / 1024, units[1:]
    return f"{n_bytes:.0f} {units[0]}" if units[0] == "B" or n_bytes >= 100 else f"{n_bytes:.1f} {units[0]}"


def count(n: int, word: str) -> str:
    """A number of things.

    >>> count(1, "run"), count(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{n:,} {word}{'' if n == 1 else 's'}"
