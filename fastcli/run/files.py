"""Writing that leaves the old file or the new one, never a half."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastcli.errors import FastcliError

ELSEWHERE = "choose another place with experiment.output or --run-dir"
HINTS = {
    errno.ENOSPC: f"the disk is full: free some space, or {ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up: free some space, or {ELSEWHERE}",
    errno.EFBIG: "the file would be larger than the limit of this system or shell (ulimit -f)",
    errno.EACCES: f"no permission to write there: {ELSEWHERE}",
    errno.EPERM: f"no permission to write there: {ELSEWHERE}",
    errno.EROFS: f"the file system is read-only: {ELSEWHERE}",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter experiment.name or experiment.output",
}


def write_error(path: Path, error: OSError) -> FastcliError:
    """The error that says which path could not be written, why, and what to do.

    >>> write_error(Path("runs/a.json"), OSError(errno.ENOSPC, "No space left on device")).message
    'cannot write runs/a.json: No space left on device'
    """
    return FastcliError(f"cannot write {path}: {error.strerror or error}", hint=HINTS.get(error.errno or 0))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block in which an OSError becomes the FastcliError that names `path`."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def make_directory(path: Path) -> Path:
    """`path`, made with its parents where it was missing."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def temporary(path: Path) -> Path:
    """The name under which this process writes the content of `path` before it is complete."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path to write to, in the same directory; it becomes `path` when the block ends without an error."""
    unfinished = temporary(path)
    try:
        with writing(path):
            yield unfinished
            sync_file(unfinished)
            unfinished.replace(path)
            sync_directory(path.parent)
    finally:
        with suppress(OSError):  # the first error is the one to tell
            unfinished.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write `content`, text as UTF-8: whoever reads `path` finds the old content or all of the new."""
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(encoded(content) if isinstance(content, str) else content)


def encoded(text: str) -> bytes:
    """`text` as UTF-8; bytes of file names that are no UTF-8 come out as they went in."""
    return text.encode("utf-8", "surrogateescape")


def decoded(content: bytes) -> str:
    """The inverse of `encoded`."""
    return content.decode("utf-8", "surrogateescape")


def sync_file(path: Path) -> None:
    """Return when the content of `path` is on the disk and not only in memory."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the names in `path` are on the disk; Windows opens no directories and needs none of this."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def sweep_temporaries(directory: Path) -> list[Path]:
    """The temporary files and folders that dead processes left in `directory`, now deleted.

    Call it before writing there: a file with this process's own id counts as an old one, because in a container
    every process may have the same id.
    """
    swept = []
    for path in sorted(directory.glob(".*.tmp")):
        owner = path.name.split(".")[-2]
        if owner.isdigit() and (int(owner) == os.getpid() or not process_lives(int(owner))):
            with suppress(OSError):  # Windows refuses to delete what a live process has open
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                swept.append(path)
    return swept


def process_lives(pid: int) -> bool:
    """Whether a process of this machine has the id `pid`; False on Windows, where asking would end it."""
    if os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def finite(value: Any) -> Any:
    """`value` with NaN and infinities as None, all the way down: what JSON can say.

    >>> finite({"loss": float("nan"), "lr": [0.1, float("inf")]})
    {'loss': None, 'lr': [0.1, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [finite(item) for item in value]
    return value


def json_line(value: Any) -> str:
    """`value` as JSON on one line, without its end.

    >>> json_line({"epoch": 0, "valid_loss": float("nan")})
    '{"epoch": 0, "valid_loss": null}'
    """
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV.

    >>> csv_text([("path", "label"), ("a, b.png", "cat")])
    'path,label\\n"a, b.png",cat\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinities become null."""
    atomic_write(path, json.dumps(finite(value), ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises FastcliError where it cannot be read or is not JSON."""
    try:
        return json.loads(decoded(path.read_bytes()))
    except OSError as error:
        raise FastcliError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FastcliError(f"{path} is damaged: {error}") from error
