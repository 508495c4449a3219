"""The lock of a run: one process alone writes into it, and one that dies lets go."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastcli.errors import UsageError
from fastcli.run.files import writing

LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems say that know no locks: there nobody is kept out."""


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the run in `directory`. Raises UsageError where another process writes into it.

    The file stays, with the id of the last process: removing it would let two hold two different files of one name.
    """
    path = directory / LOCK
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _free(descriptor):
            owner = os.read(descriptor, 20).decode(errors="replace").strip()
            raise UsageError(
                f"{directory} is being written by another process" + (f", of id {owner}" if owner else ""),
                hint="wait for it, or stop it: Ctrl-C, kill, or a file STOP in the run",
            )
        with writing(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _free(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return True
        raise


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30
    """The byte that is locked: others may read those before it."""

    def try_lock(descriptor: int) -> bool:
        """Whether the lock of this open file was free and is held now, until the file is closed."""
        here = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, here, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Whether the lock of this open file was free and is held now, until the file is closed."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
