"""Members of a tar archive, read once from front to end, with every header budgeted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from fastcli.data.safe_folder import CHUNK, SafeFolder, refusal
from fastcli.errors import DataError

BLOCK = tarfile.BLOCKSIZE
_OPEN: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


def decompressed(raw: BinaryIO) -> IO[bytes] | BinaryIO:
    """The tar stream inside `raw`, whatever compression its first bytes show."""
    start = raw.read(6)
    raw.seek(0)
    for magic, open_ in _OPEN.items():
        if start.startswith(magic):
            stream: IO[bytes] = open_(raw, "rb")
            return stream
    return raw


def unpack_tar(stream: IO[bytes] | BinaryIO, folder: SafeFolder, tell: Callable[[], None]) -> None:
    """Write the members of the tar `stream` into `folder`; `tell` is called after each."""
    headers = _Headers(stream, folder)
    with tarfile.TarFile(fileobj=headers, mode="r", encoding="utf-8") as tar:  # type: ignore[arg-type]
        while (member := headers.next_of(tar)) is not None:
            _add(member, folder, headers)
            tar.members.clear()  # type: ignore[attr-defined]  # else millions of them stay in memory
            tell()
    if headers.last != bytes(BLOCK):
        raise DataError(f"{folder.archive}: the archive is cut off or damaged after member {folder.files:,}")
    while left := stream.read(CHUNK):  # to the end, where gzip and xz keep their checksums
        folder.spend(len(left))


def _add(member: tarfile.TarInfo, folder: SafeFolder, headers: _Headers) -> None:
    if member.isdir():
        folder.add_folder(member.name)
    elif member.isreg() and not member.issparse():
        folder.expect(folder.bytes + member.size, member.name)
        folder.add_file(member.name, member.size, headers.read_data)
        headers.read(-member.size % BLOCK)
    else:
        kinds = {tarfile.LNKTYPE: "a hard link", tarfile.SYMTYPE: "a symbolic link", tarfile.FIFOTYPE: "a pipe",
                 tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device"}  # fmt: skip
        kind = kinds.get(member.type, f"of type {member.type!r}")
        raise refusal(folder.archive, member.name, f"is {kind}; only regular files and folders are extracted")


class _Headers:
    """The file that `tarfile` reads headers from: forward only, and no header larger than the limit."""

    def __init__(self, stream: IO[bytes] | BinaryIO, folder: SafeFolder) -> None:
        self._stream, self._folder = stream, folder
        self._position = 0
        self._left = folder.limits.header_bytes
        self.last = b""

    def next_of(self, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next member, read with a fresh budget."""
        self._left = self._folder.limits.header_bytes
        return tar.next()

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise DataError(f"{self._folder.archive}: a header points back")
        self.read(position - self._position)

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            limit = self._folder.limits.header_bytes
            raise DataError(f"{self._folder.archive}: a header is larger than the limit of {limit:,} bytes")
        self._folder.spend(size)
        self.last = self.read_data(size)
        return self.last

    def read_data(self, size: int) -> bytes:
        """Bytes of a member, whose size is budgeted elsewhere."""
        data = self._stream.read(size)
        self._position += len(data)
        return data
