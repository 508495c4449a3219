"""A bar for downloads and extraction: shown on a terminal alone, and only when it takes long enough to matter."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fastcli.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int | None], None]


@contextlib.contextmanager
def show_progress(words: str = "fetching data") -> Iterator[Progress]:
    """A function of (bytes done, bytes in all or None) that draws a bar on stderr while the block runs."""
    rich = None if console.state.quiet else console.rich_console()
    if rich is None:
        yield _plain(words)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(words), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=rich, transient=True)
    task: list[Any] = []

    def update(done: int, total: int | None) -> None:
        if not task:
            bar.start()
            task.append(bar.add_task("", total=total))
        bar.update(task[0], completed=done, total=total)

    try:
        yield update
    finally:
        bar.stop()


def _plain(words: str) -> Progress:
    """One line when it begins, if it is large."""
    told: list[int] = []

    def update(done: int, total: int | None) -> None:
        if not told and (total or 0) > 50 * 2**20:
            told.append(done)
            console.say(f"{words}: {(total or 0) / 2**20:,.0f} MiB")

    return update
