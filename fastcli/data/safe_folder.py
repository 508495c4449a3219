"""Where an archive of a stranger may write: below one fresh folder, regular files and folders only, within limits."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastcli.errors import DataError

CHUNK = 1 << 20
MAX_DEPTH = 64
MAX_NAME = 255
"""Bytes in the name of one file or folder, as most file systems have it."""
CONTROL = re.compile(r"[\x01-\x1f\x7f-\x9f]")
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class ExtractionLimits:
    """What an archive may cost; far above any honest data set and far below what a bomb wants."""

    members: int = 4_000_000
    total_bytes: int = 512 << 30
    member_bytes: int = 64 << 30
    ratio: float = 200
    """Bytes out for each byte in, once `ratio_from` bytes are out."""
    ratio_from: int = 256 << 20
    header_bytes: int = 1 << 20
    """Headers of one member: a path of gigabytes is a bomb too."""


DEFAULT_LIMITS = ExtractionLimits()


def refusal(archive: Path, member: str, why: str) -> DataError:
    """The error that names the archive, the member and what is wrong with it."""
    shown = repr(member if len(member) <= 160 else member[:159] + "…")
    return DataError(f"{archive}: {shown} {why}", hint="nothing was extracted; get the archive from its maker again")


def safe_parts(name: str, *, windows: bool = os.name == "nt") -> tuple[str, ...]:
    r"""The components of a member's name, () for the top itself. Raises ValueError (the reason) where it is not safe.

    A backslash separates as `/` does: Windows takes it so, and careless packers write it.

    >>> safe_parts("./pets\\images/cat 1.jpg")
    ('pets', 'images', 'cat 1.jpg')
    >>> safe_parts("pets/../../.bashrc")
    Traceback (most recent call last):
    ...
    ValueError: leads out of the target folder
    """
    name = name.replace("\\", "/")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if "\0" in name:
        raise ValueError("has a NUL in its name")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise ValueError("has an absolute path")
    if ".." in parts:
        raise ValueError("leads out of the target folder")
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"is more than {MAX_DEPTH} folders deep")
    try:
        longest = max((len(part.encode()) for part in parts), default=0)
    except UnicodeEncodeError:
        raise ValueError("has a name that is not UTF-8") from None
    if longest > MAX_NAME:
        raise ValueError(f"has a name of {longest:,} bytes, and {MAX_NAME} are allowed")
    if CONTROL.search(name):
        raise ValueError("has a control character in its name")
    if windows and any(":" in part or part[-1] in ". " or WINDOWS_DEVICE.fullmatch(part) for part in parts):
        raise ValueError("has a name that Windows gives another meaning")
    return parts


def _folded(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


class SafeFolder:
    """Creates the members of `archive` below `root`, an empty folder; each refusal is a DataError."""

    def __init__(self, root: Path, archive: Path, limits: ExtractionLimits) -> None:
        self.archive, self.limits = archive, limits
        self.files = 0
        self.bytes = 0
        self._packed = archive.stat().st_size
        self._members = 0
        self._root = os.path.realpath(root)
        self._room = shutil.disk_usage(self._root).free
        self._folders = {"": self._root}
        self._taken: dict[str, str] = {}

    def add_folder(self, name: str) -> None:
        """Create the folder `name` and those above it."""
        self._folder(self._parts(name), name)

    def add_file(self, name: str, size: int, read: Callable[[int], bytes]) -> None:
        """Create the file `name` of exactly `size` bytes that `read(n)` gives, at most n at a time."""
        parts = self._parts(name)
        if not parts or size < 0:
            raise refusal(self.archive, name, "has no valid name or size")
        if size > self.limits.member_bytes:
            raise refusal(self.archive, name, f"is larger than the limit of {self.limits.member_bytes:,} bytes")
        folder = self._folder(parts[:-1], name)
        self._claim("/".join(parts), name)
        descriptor = os.open(os.path.join(folder, parts[-1]), NEW_FILE, 0o666)  # noqa: PTH118 - half the time of Path
        try:
            self._copy(descriptor, name, size, read)
        finally:
            os.close(descriptor)
        self.files += 1

    def expect(self, n_bytes: int, name: str = "") -> None:
        """Refuse an archive that says itself that it will not fit on the disk; `name` is the member too many."""
        if n_bytes > self._room:
            with_it = f"with {name!r} it" if name else "it"
            raise DataError(
                f"{self.archive}: {with_it} takes {n_bytes:,} bytes unpacked, and {self._room:,} are free",
                hint="free some space, or set FASTCLI_HOME to a folder on a larger disk",
            )

    def spend(self, n_bytes: int, name: str = "header") -> None:
        """Count unpacked bytes against the limits."""
        self.bytes += n_bytes
        if self.bytes > self.limits.total_bytes:
            raise refusal(self.archive, name, f"exceeds the limit of {self.limits.total_bytes:,} bytes in all")
        self.expect(self.bytes, name)
        if self.bytes > max(self.limits.ratio_from, self.limits.ratio * self._packed):
            raise refusal(self.archive, name, f"unpacks to over {self.limits.ratio:g} times the archive's size: a bomb")

    def _copy(self, descriptor: int, name: str, size: int, read: Callable[[int], bytes]) -> None:
        left = size
        while left:
            chunk = read(min(left, CHUNK))
            if not chunk:
                raise refusal(self.archive, name, f"ends {left:,} bytes early: the archive is cut off")
            left -= len(chunk)
            self.spend(len(chunk), name)
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]

    def _parts(self, name: str) -> tuple[str, ...]:
        self._members += 1
        if self._members > self.limits.members:
            raise refusal(self.archive, name, f"exceeds the limit of {self.limits.members:,} members")
        try:
            return safe_parts(name)
        except ValueError as error:
            raise refusal(self.archive, name, str(error)) from None

    def _folder(self, parts: tuple[str, ...], member: str) -> str:
        name = "/".join(parts)
        if name in self._folders:
            return self._folders[name]
        path = os.path.join(self._folder(parts[:-1], member), parts[-1])  # noqa: PTH118
        self._claim(name, member)
        os.mkdir(path)  # noqa: PTH102
        if not os.path.realpath(path).startswith(self._root + os.sep):
            raise refusal(self.archive, member, "leads out of the target folder")
        self._folders[name] = path
        return path

    def _claim(self, name: str, member: str) -> None:
        key = _folded(name)
        if (other := self._taken.get(key)) is not None:
            clash = "is there twice" if other == name else f"is the same as {other!r} but for upper and lower case"
            raise refusal(self.archive, member, clash)
        self._taken[key] = name
