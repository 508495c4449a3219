"""Extraction of an archive that a stranger made: all of it, in its place at once, or nothing."""

from __future__ import annotations

import json
import lzma
import os
import secrets
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastcli.data.progress import Progress, throttled
from fastcli.data.safe_folder import DEFAULT_LIMITS, ExtractionLimits, SafeFolder, refusal
from fastcli.data.tar import decompressed, unpack_tar
from fastcli.errors import DataError

ARCHIVE_SUFFIXES = (".tgz", ".tar.gz", ".tar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
MARKER = ".fastcli-complete.json"
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
           EOFError, ValueError, NotImplementedError, RecursionError)  # fmt: skip
ENCRYPTED = 0x1


def archive_stem(name: str) -> str | None:
    """The name without its archive suffix, None where it has none.

    >>> archive_stem("oxford-iiit-pet.tar.gz"), archive_stem("photos.v2.ZIP"), archive_stem("labels.csv")
    ('oxford-iiit-pet', 'photos.v2', None)
    """
    suffixes = [suffix for suffix in ARCHIVE_SUFFIXES if name.lower().endswith(suffix)]
    return name[: -max(map(len, suffixes))] if suffixes else None


def is_complete(folder: Path) -> bool:
    """Whether `extract_archive` made `folder`, and so to its end."""
    return (folder / MARKER).is_file()


def extract_archive(
    archive: Path,
    target: Path,
    *,
    limits: ExtractionLimits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    source: str | None = None,
    replace: bool = False,
) -> Path:
    """`target`, holding the archive's files; where all of them are in one top folder, `target` is that folder.

    Unpacked beside `target` and moved there when complete, with a marker file that names `source`. Permissions and
    owners are not taken over. Raises DataError, leaving nothing behind, for a member that is no regular file or
    folder or that would leave `target`, for a damaged archive, and for one beyond `limits`.
    """
    if target.exists() and not replace:
        raise DataError(f"{target} exists already")
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with _explained(archive):
            temporary.mkdir(parents=True)
            folder = SafeFolder(temporary, archive, limits)
            _unpack(folder, throttled(progress))
            top = _top_folder(temporary, archive)
            _mark(top, folder, source)
            _move(top, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Turn what reading or writing can raise into a DataError that names the archive."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report bad bytes so
            raise DataError(f"{archive}: the archive is damaged: {error}", hint="fetch it again") from error
        place = f" ({error.filename})" if error.filename and str(error.filename) != str(archive) else ""
        raise DataError(f"{archive}: cannot extract: {error.strerror}{place}") from error
    except DAMAGED as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{archive}: the archive is damaged or cut off: {reason}", hint="fetch it again") from error


def _unpack(folder: SafeFolder, progress: Progress) -> None:
    size = folder.archive.stat().st_size
    with folder.archive.open("rb") as raw:
        start = raw.read(256)
        raw.seek(0)
        _refuse_text(folder.archive, start)
        if start.startswith(b"PK"):
            _unpack_zip(folder, lambda done: progress(done, size))
        else:
            with decompressed(raw) as stream:
                unpack_tar(stream, folder, lambda: progress(raw.tell(), size))
    progress(size, size)


def _refuse_text(archive: Path, start: bytes) -> None:
    if start.lstrip()[:1] in (b"<", b"{"):
        shown = start.decode("utf-8", "replace").strip().splitlines()[0][:40]
        raise DataError(f"{archive} is not an archive: it begins with {shown!r}", hint="a web page was saved instead?")


def _unpack_zip(folder: SafeFolder, tell: Callable[[int], None]) -> None:
    done = 0
    with zipfile.ZipFile(folder.archive) as packed:
        folder.expect(sum(member.file_size for member in packed.infolist()))
        for member in packed.infolist():
            name = member.orig_filename  # `filename` ends at a NUL
            _check_zip_member(folder.archive, member, name)
            if name.endswith(("/", "\\")):
                folder.add_folder(name)
            else:
                with packed.open(member) as data:
                    folder.add_file(name, member.file_size, data.read)
            done += member.compress_size
            tell(done)


def _check_zip_member(archive: Path, member: zipfile.ZipInfo, name: str) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refusal(archive, name, "is a link or a device; only regular files and folders are extracted")
    if member.flag_bits & ENCRYPTED:
        raise refusal(archive, name, "is encrypted")


def _top_folder(temporary: Path, archive: Path) -> Path:
    entries = [entry for entry in temporary.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
    if not entries:
        raise DataError(f"{archive} holds no files")
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else temporary


def _mark(top: Path, folder: SafeFolder, source: str | None) -> None:
    record = {"source": source or str(folder.archive), "archive": folder.archive.name,
              "archive_bytes": folder.archive.stat().st_size, "files": folder.files, "bytes": folder.bytes}  # fmt: skip
    (top / MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _move(top: Path, target: Path) -> None:
    """Put `top` in the place of `target`, whose old content is deleted only after that."""
    old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old.tmp")
    if target.exists():
        target.rename(old)
    top.rename(target)
    shutil.rmtree(old, ignore_errors=True)
