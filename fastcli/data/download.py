"""Where data comes from: a known name, a URL, an archive, a folder or a CSV, made into files on this machine."""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from fastcli.data.archive import ARCHIVE_SUFFIXES, archive_stem, extract_archive, is_complete
from fastcli.data.catalog import KNOWN, KnownDataset, find_known
from fastcli.data.fetch import Expected, fetch, shown_url
from fastcli.data.locks import file_lock
from fastcli.data.progress import Progress
from fastcli.errors import DataError

CSV_SUFFIXES = (".csv", ".tsv")
BUNDLED = Path(__file__).parent / "bundled"
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True)
class Source:
    """Data that is on this machine: a folder, or a CSV file."""

    path: Path
    kind: Literal["folder", "csv"]

    @property
    def folder(self) -> Path:
        """The folder that it is, or in which the CSV file lies."""
        return self.path if self.kind == "folder" else self.path.parent

    @property
    def default_items(self) -> str:
        """The name of what finds its items, where none is chosen."""
        return "csv_rows" if self.kind == "csv" else "image_files"


def home() -> Path:
    """The folder for data and archives: FASTCLI_HOME, or ~/.fastcli."""
    return Path(os.environ.get("FASTCLI_HOME") or "~/.fastcli").expanduser().absolute()


def resolve_source(source: str | Path, *, progress: Progress | None = None) -> Source:
    """The folder or CSV that `source` stands for, downloaded and extracted where needed.

    Raises DataError for what is neither a known name, URL, archive, folder nor CSV, with the nearest name.
    """
    path = _path(source)
    if path.suffix.lower() in CSV_SUFFIXES and not URL.match(str(source)):
        if not path.is_file():
            raise _missing(path)
        return Source(path.absolute(), "csv")
    return Source(untar_data(source, progress=progress), "folder")


def untar_data(source: str | Path, *, force: bool = False, progress: Progress | None = None) -> Path:
    """The folder with the data of a known name, URL or archive; a folder is given back as it is.

    Data is kept in `home()`/data and extracted only once. `force` downloads and extracts it anew. `progress` hears of
    the download's bytes, then of the archive's bytes as they are extracted. Raises DataError.
    """
    text, path = str(source).strip(), _path(source)
    if isinstance(source, str) and (known := _named(text, path)):
        return _known_data(known, force, progress)
    if isinstance(source, str) and URL.match(text):
        return _url_data(text, force, progress)
    if not text or not path.exists():
        raise _missing(path)
    if path.is_dir():
        return path.absolute()
    if archive_stem(path.name) is None:
        kinds = ", ".join((*ARCHIVE_SUFFIXES, *CSV_SUFFIXES))
        raise DataError(f"{path} is neither a folder nor one of {kinds}")
    if not path.is_file():  # opening a pipe would wait for ever
        raise DataError(f"{path} is a pipe or a device, not an archive")
    return _local_data(path, force, progress)


def _path(source: str | Path) -> Path:
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path.expanduser raises for an unknown user


def _named(text: str, path: Path) -> KnownDataset | None:
    """The known data set; a file or folder of that name goes before a name in other case."""
    if text in KNOWN or URL.match(text):
        return find_known(text)
    return None if path.exists() else find_known(text)


def folder_of(known: KnownDataset) -> Path:
    """Where a known data set is extracted to."""
    return home() / "data" / known.folder


def _known_data(known: KnownDataset, force: bool, progress: Progress | None) -> Path:
    archive = home() / "archive" / PurePosixPath(known.url).name
    hint = (
        f"give a local copy with data.source=path/to/{archive.name}, "
        f"or put {known.url}, fetched on another machine, into {archive.parent}"
    )
    expected = Expected(known.size, known.md5_first_mib, known.sha256)

    def obtain() -> Path:
        if known.bundled and (BUNDLED / known.bundled).is_file():
            return BUNDLED / known.bundled
        if archive.exists() and not force:
            return _checked(archive, known.name, expected)
        return fetch(known.url, archive, name=known.name, hint=hint, expected=expected, progress=progress)

    return _extracted(folder_of(known), obtain, known.url, force, progress)


def _checked(archive: Path, name: str, expected: Expected) -> Path:
    if reason := expected.mismatch(archive):
        hint = f"delete it to download it anew, or use it as it is with data.source={archive}"
        raise DataError(f"{archive} is not the known archive of {name}: {reason}", hint=hint)
    return archive


def _url_data(url: str, force: bool, progress: Progress | None) -> Path:
    if (scheme := urlsplit(url).scheme.lower()) not in ("http", "https"):
        raise DataError(f"cannot download {shown_url(url)}: {scheme} is not supported", hint="give http or https")
    name = re.sub(r"[^\w.-]", "_", unquote(PurePosixPath(urlsplit(url).path).name))[-80:].lstrip(".") or "data"
    stem = archive_stem(name) or name
    folder = f"{stem}-{_short_hash(url)}"
    archive = home() / "archive" / (folder + name[len(stem) :])
    hint = "check the address and the network, or give a local copy with data.source=path/to/archive"

    def obtain() -> Path:
        if archive.exists() and not force:
            return archive
        return fetch(url, archive, hint=hint, progress=progress)

    return _extracted(home() / "data" / folder, obtain, shown_url(url), force, progress)


def _local_data(path: Path, force: bool, progress: Progress | None) -> Path:
    archive = path.resolve()
    state = archive.stat()
    key = _short_hash(f"{archive}|{state.st_size}|{state.st_mtime_ns}")  # a changed archive is another one
    target = home() / "data" / "local" / f"{archive_stem(path.name)}-{key}"
    return _extracted(target, lambda: archive, str(archive), force, progress)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _extracted(target: Path, obtain: Callable[[], Path], source: str, force: bool, progress: Progress | None) -> Path:
    if is_complete(target) and not force:
        return target
    try:
        with file_lock(home() / "locks" / f"{target.name}.lock"):
            if is_complete(target) and not force:  # another process was quicker
                return target
            if target.exists() and not is_complete(target):
                hint = f"use it as it is with data.source={target}, or move it away"
                raise DataError(f"{target} is there, but was not completed by fastcli", hint=hint)
            for left_over in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
                shutil.rmtree(left_over, ignore_errors=True)
            return _extract(obtain(), target, source, force, progress)
    except OSError as error:
        hint = "set FASTCLI_HOME to a folder with room that you may write to"
        raise DataError(f"cannot keep data in {home()}: {error.strerror or error}", hint=hint) from error


def _extract(archive: Path, target: Path, source: str, force: bool, progress: Progress | None) -> Path:
    try:
        return extract_archive(archive, target, source=source, replace=force, progress=progress)
    except DataError as error:
        if archive.parent == home() / "archive":
            error.hint = f"delete {archive} to download it anew"
        raise


def _missing(path: Path) -> DataError:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    lowered = {name.lower(): name for name in (*KNOWN, *siblings)}
    close = difflib.get_close_matches(path.name.lower(), lowered, 1, 0.6)
    if close:
        return DataError(f"no data at {path}", hint=f"did you mean {lowered[close[0]]!r}?")
    if path.parent != Path() and not path.parent.is_dir():
        return DataError(f"no data at {path}", hint=f"the folder {path.parent} does not exist")
    known = f"one of {len(KNOWN)} known names such as PETS"
    return DataError(f"no data at {path}", hint=f"give a folder, an archive, a CSV, a URL or {known}")
