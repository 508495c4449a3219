"""A lock between processes, held by a file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastcli.run.lock import try_lock as _try_lock

WAIT = 0.05
"""Seconds between two tries."""


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, waiting for whoever has it; a process that dies lets go of it.

    The file stays, empty: removing it would let two waiters hold two different files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while not _try_lock(descriptor):
            time.sleep(WAIT)
        yield
    finally:
        os.close(descriptor)
