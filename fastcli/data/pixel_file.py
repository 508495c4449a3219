"""Prepared pixels in a file that is mapped into memory: for one run, or kept under a key for the runs to come.

A kept file has the pixels one after the other, then an index (int64, a row per item: where its pixels begin, their
height, width and channels, height and width of the picture as it was decoded; -1 for an item that is not there), then
the trailer: magic and version, number of items, begin of the index, sha-256 of all that but the pixels. It has its name
only when every item that can be decoded is in it and is on the disk; until then the name ends in `.tmp` and the writer
holds a lock on it. Two processes that make the same file at once both make it, and the later one takes its place.

Checked when a file is opened: its length, the checksum of the index, and that every item lies within the file. Not
checked: the pixels themselves, which would cost as much as reading them all.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import mmap
import os
import struct
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcli.data.memory import free_disk
from fastcli.data.shelf import Shelf
from fastcli.run.lock import try_lock

ENDING = ".pixels"
KEPT = 200 * 2**30
"""Bytes that kept files may take together; a single larger one may be there alone."""
MAPPED = 2**30
"""Bytes that are mapped at a time for pictures of several sizes; only what is written takes room."""
TRAILER = struct.Struct("<8sQQ32s")
MAGIC = b"FCPIXEL1"
COLUMNS = 6


def room_on_disk(folder: Path) -> int:
    """Bytes that one file may have: half of what would be free without the files kept in `folder`."""
    return (free_disk(folder) + sum(size for _, size, _ in _kept(folder))) // 2


def make_room(folder: Path, n_bytes: int) -> None:
    """Delete kept files, those longest unused first, until one of `n_bytes` fits beside the others."""
    files = _kept(folder)
    total = sum(size for _, size, _ in files)
    most = min(room_on_disk(folder), max(KEPT, n_bytes))
    for _, size, path in files:
        if total + n_bytes <= most:
            return
        path.unlink(missing_ok=True)  # a process that has it open keeps it until it ends
        total -= size


def _kept(folder: Path) -> list[tuple[float, int, Path]]:
    """When each kept file was last used, its size, and the file; the longest unused first."""
    found = []
    for path in folder.glob(f"[!.]*{ENDING}"):
        with contextlib.suppress(FileNotFoundError):  # another process made room just now
            about = path.stat()
            found.append((about.st_mtime, about.st_size, path))
    return sorted(found)


class PixelFile(Shelf):
    """A shelf in a new file in `folder`; with a `key` it is kept when it is complete, else it goes with the process.

    Raises OSError where the folder cannot be written to.
    """

    def __init__(
        self,
        n: int,
        folder: Path,
        key: str | None = None,
        *,
        uniform: bool,
        name_of: Callable[[int], str] = str,
        budget: int | None = None,
    ) -> None:
        super().__init__(n, uniform=uniform, name_of=name_of, budget=budget)
        folder.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(folder)
        self.path = None if key is None else folder / f"{key}{ENDING}"
        self._file, self._temporary = _new_file(folder)
        self._named = [self._temporary]
        weakref.finalize(self, _close, self._file, self._named)
        if key is None:
            self._unname()
        self._rows = np.full((n, COLUMNS), -1, np.int64)
        self._chunks: list[Tensor] = []
        self._starts: list[int] = []
        self._end = 0
        self._closed = False

    def get(self, index: int) -> Tensor | None:
        """The pixels of an item, or None if they are not here."""
        begin, height, width, channels = self._rows[index, :4].tolist()
        if begin < 0:
            return None
        chunk = bisect.bisect_right(self._starts, begin) - 1
        begin -= self._starts[chunk]
        return self._chunks[chunk][begin : begin + height * width * channels].view(height, width, channels)

    def put(self, index: int, pixels: Tensor) -> Tensor | None:
        """The kept copy of these pixels, or None where the disk is full; the first copy of an item stays."""
        with self._lock:
            if self._closed or self.get(index) is not None:
                return self.get(index)
            begin = self._reserve(index, pixels)
        if begin is None or not self._written(begin, pixels):
            return None
        with self._lock:
            # Where it begins comes last, because that is what others look at.
            self._rows[index, 1:4] = pixels.shape
            self._rows[index, 0] = begin
            return self.get(index)

    def _reserve(self, index: int, pixels: Tensor) -> int | None:
        """Where the pixels are to begin in the file."""
        size = pixels.numel()
        if self.uniform:
            if self.array is None:
                if not self._map(self.n * size):
                    return None
                self.array, self._first = self._chunks[0].view(self.n, *pixels.shape), index
                self._end = self.n * size
            self._refuse_other_size(index, pixels)
            return index * size
        if not self._chunks or self._end + size > self._starts[-1] + len(self._chunks[-1]):
            self._end = self._starts[-1] + len(self._chunks[-1]) if self._chunks else 0
            if not self._map(-(-size // MAPPED) * MAPPED):
                return None
        begin, self._end = self._end, self._end + size
        self.taken += size
        return begin if self.budget is None or self.taken <= self.budget else None

    def _map(self, n_bytes: int) -> bool:
        start = self._end
        if self.uniform and self.budget is not None and n_bytes > self.budget:
            return False
        try:
            os.ftruncate(self._file, start + n_bytes)
            mapped = mmap.mmap(self._file, n_bytes, offset=start)
        except OSError:
            return False
        self._chunks.append(torch.frombuffer(mapped, dtype=torch.uint8))
        self._starts.append(start)
        return True

    def _written(self, begin: int, pixels: Tensor) -> bool:
        try:
            _write(self._file, pixels.contiguous().numpy().data.cast("B"), begin)
        except OSError:
            return False
        return True

    def complete(self, sizes: NDArray[np.int64]) -> bool:
        """Whether the file has got its name; `sizes` (n, 2) are those of the pictures as they were decoded."""
        with self._lock:
            if self._closed or self.path is None or not (self._rows[:, 0] >= 0).any():
                return False
            self._closed = True
            self._rows[:, 4:] = sizes
            begin = -(-self._end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
            index = self._rows.tobytes()
        try:
            os.ftruncate(self._file, begin)
            _write(self._file, memoryview(index + _trailer(self.n, begin, index)), begin)
            os.fsync(self._file)
            self._temporary.replace(self.path)
        except OSError:
            self._unname()
            return False
        self._named.clear()
        return True

    def _unname(self) -> None:
        """Let the file go when this process ends, however it ends."""
        for path in self._named:
            path.unlink(missing_ok=True)
        self._named.clear()


class KeptPixels(Shelf):
    """A shelf that an earlier run left; what is put there besides (items that could not be decoded) is not written."""

    def __init__(self, path: Path, n: int, *, uniform: bool, name_of: Callable[[int], str] = str) -> None:
        super().__init__(n, uniform=uniform, name_of=name_of)
        self.path = path
        self._flat, self._rows = _opened(path, n)
        self.taken = len(self._flat)
        there = np.flatnonzero(self._rows[:, 0] >= 0)
        shape = self._rows[there[0], 1:4].tolist()
        if uniform:
            if (self._rows[there, 1:4] != shape).any() or (self._rows[there, 0] != there * np.prod(shape)).any():
                raise DamagedError(f"{path}: the pictures are not in one array")
            self.array, self._first = self._flat[: n * int(np.prod(shape))].view(n, *shape), int(there[0])
        with contextlib.suppress(OSError):
            os.utime(path)  # it was used

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of each picture as it was decoded, (n, 2); -1 where it is not here."""
        sizes: NDArray[np.int64] = self._rows[:, 4:]
        return sizes

    @property
    def here(self) -> NDArray[np.int64]:
        """The items whose pixels are here."""
        return np.flatnonzero(self._rows[:, 0] >= 0)

    def get(self, index: int) -> Tensor | None:
        """The pixels of an item, or None if they are not here."""
        begin, height, width, channels = self._rows[index, :4].tolist()
        if begin < 0:
            return super().get(index)
        return self._flat[begin : begin + height * width * channels].view(height, width, channels)


class DamagedError(Exception):
    """A kept file is not what was written."""


def kept_pixels(
    folder: Path, key: str, n: int, *, uniform: bool, name_of: Callable[[int], str] = str
) -> KeptPixels | None:
    """The kept file of this key, or None where there is none. Raises DamagedError for one that is not whole."""
    path = folder / f"{key}{ENDING}"
    return KeptPixels(path, n, uniform=uniform, name_of=name_of) if path.is_file() else None


def _opened(path: Path, n: int) -> tuple[Tensor, NDArray[np.int64]]:
    """The pixels and the checked index of a kept file."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = size - TRAILER.size - 8 * COLUMNS * n
        if at <= 0:
            raise DamagedError(f"{path} is too short")
        file.seek(at)
        index, trailer = file.read(8 * COLUMNS * n), file.read()
        if trailer != _trailer(n, at, index):
            raise DamagedError(f"{path} is cut off, or its index is damaged")
        # A private map: whoever writes into the pixels by mistake changes them for this process alone.
        mapped = mmap.mmap(file.fileno(), at, access=mmap.ACCESS_COPY)
    rows = np.frombuffer(index, np.int64).reshape(n, COLUMNS)
    here = rows[rows[:, 0] >= 0]
    if not len(here) or (here < 0).any() or (here[:, 0] + here[:, 1:4].prod(1) > at).any():
        raise DamagedError(f"{path}: an item lies outside the file")
    return torch.frombuffer(mapped, dtype=torch.uint8), rows


def _trailer(n: int, begin: int, index: bytes) -> bytes:
    digest = hashlib.sha256(TRAILER.pack(MAGIC, n, begin, b"") + index).digest()
    return TRAILER.pack(MAGIC, n, begin, digest)


def _new_file(folder: Path) -> tuple[int, Path]:
    """A locked file in `folder`: its descriptor and its name."""
    while True:
        file, name = tempfile.mkstemp(prefix=".", suffix=f"{ENDING}.tmp", dir=folder)
        # Between the two calls another process could have taken it for abandoned.
        if try_lock(file) and Path(name).exists():
            return file, Path(name)
        os.close(file)


def _delete_abandoned(folder: Path) -> None:
    """Delete what processes left that were killed: the files that nobody holds a lock on."""
    for path in folder.glob(f".*{ENDING}.tmp"):
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR)
            try:
                if try_lock(file):
                    path.unlink()
            finally:
                os.close(file)


def _close(file: int, named: list[Path]) -> None:
    os.close(file)
    for path in named:
        path.unlink(missing_ok=True)


def _write(file: int, data: memoryview, at: int) -> None:
    """Write all of `data`; through the map, a full disk would kill the process."""
    while data:
        done = os.pwrite(file, data, at)
        data, at = data[done:], at + done
