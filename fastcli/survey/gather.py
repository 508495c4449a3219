"""Pictures from many addresses into one folder: checked, each once, and for each that failed the reason."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np

from fastcli import __version__
from fastcli.data.fetch import Redirects, reason_of
from fastcli.data.items import IMAGE_EXTENSIONS
from fastcli.run.files import atomic_write, csv_text, make_directory
from fastcli.survey.examine import Facts, examine, examine_content
from fastcli.survey.image_search import Hit
from fastcli.survey.twins import are_twins

CHUNK = 1 << 16
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp",
            "TIFF": ".tif", "AVIF": ".avif"}  # fmt: skip
"""The formats that are kept, and what their files are called, whatever the address says."""
SOURCES = "sources.csv"


@dataclass(frozen=True)
class Limits:
    """What a picture may cost, and how small it may be."""

    seconds: float = 20.0
    """For the whole of one download."""
    bytes: int = 20 * 2**20
    side: int = 64
    """Pixels of the shorter side."""


@dataclass
class Gathered:
    """The files that were written, and why others were not."""

    files: list[Path] = field(default_factory=list)
    sources: list[tuple[str, str, str]] = field(default_factory=list)
    """File, address and page of each."""
    failed: dict[str, str] = field(default_factory=dict)
    """The reason by address."""
    duplicates: dict[str, str] = field(default_factory=dict)
    """By address the file that it equals."""


class Refused(Exception):  # noqa: N818 - a reason, caught where it is counted
    """A picture is not taken."""


def gather(
    hits: Iterable[Hit], folder: Path, name: str, count: int, *, limits: Limits | None = None, workers: int = 8,
    progress: Callable[[int], None] | None = None,
) -> Gathered:  # fmt: skip
    """Up to `count` pictures in `folder`, called `name` and a digest of their content.

    Pictures that are there already count as seen: what equals one of them is a duplicate. No more is downloaded than
    needed. `progress` hears how many there are.
    """
    limits = limits or Limits()
    make_directory(folder)
    seen = _Seen(folder)
    result = Gathered()
    with ThreadPoolExecutor(workers) as pool:
        for hit, content, outcome in _downloads(pool, hits, limits, lambda: count - len(result.files), workers):
            if isinstance(outcome, str):
                result.failed[hit.url] = outcome
            elif (double := seen.double(outcome)) is not None:
                result.duplicates[hit.url] = double
            elif len(result.files) < count:
                path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}{SUFFIXES[outcome.format]}"
                atomic_write(path, content)
                seen.add(outcome, path.name)
                result.files.append(path)
                result.sources.append((path.name, hit.url, hit.page))
                if progress is not None:
                    progress(len(result.files))
    _write_sources(folder, result.sources)
    return result


def _downloads(
    pool: ThreadPoolExecutor, hits: Iterable[Hit], limits: Limits, wanted: Callable[[], int], workers: int
) -> Iterator[tuple[Hit, bytes, Facts | str]]:
    """Each hit with its content and facts, or the reason why not, as they come; as many at a time as are wanted."""
    waiting: dict[Future[tuple[bytes, Facts | str]], Hit] = {}
    rest = iter(hits)
    while True:
        while len(waiting) < min(workers, wanted()) and (hit := next(rest, None)) is not None:
            waiting[pool.submit(_take, hit.url, limits)] = hit
        if not waiting:
            return
        for done in wait(waiting, return_when=FIRST_COMPLETED).done:
            hit = waiting.pop(done)
            yield (hit, *done.result())


def _take(url: str, limits: Limits) -> tuple[bytes, Facts | str]:
    """The content of an address with its facts, or with the reason why it is not taken."""
    try:
        content = grab(url, limits)
    except Refused as refusal:
        return b"", str(refusal)
    facts = examine_content(content, Path(url))
    if facts.fault:
        return b"", facts.fault
    if facts.format not in SUFFIXES:
        return b"", f"is {facts.format}, which is not kept"
    if min(facts.size) < limits.side:
        return b"", f"is {facts.size[0]} x {facts.size[1]} pixels"
    return content, facts


def grab(url: str, limits: Limits) -> bytes:
    """The content of an address of http or https. Raises Refused with the reason."""
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise Refused("is neither http nor https")
    deadline = time.monotonic() + limits.seconds
    try:
        request = urllib.request.Request(_ascii(url), headers={"User-Agent": f"Mozilla/5.0 (fastcli/{__version__})"})
        with urllib.request.build_opener(Redirects).open(request, timeout=limits.seconds / 2) as response:
            length = response.headers.get("Content-Length") or ""
            if length.isdigit() and int(length) > limits.bytes:
                raise Refused(f"has {int(length):,} bytes, and {limits.bytes:,} are allowed")
            return _read(response, limits, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        raise Refused(f"the server answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refused(reason_of(error)) from None


def _ascii(url: str) -> str:
    """The address with what is not ASCII, and blanks, written in percent.

    >>> _ascii("http://example.org/été 1.jpg?a=%20b")
    'http://example.org/%C3%A9t%C3%A9%201.jpg?a=%20b'
    """
    return quote(url, safe="%:/?#[]@!$&'()*+,;=~")


def _read(response: http.client.HTTPResponse, limits: Limits, deadline: float) -> bytes:
    content = bytearray()
    while chunk := response.read1(CHUNK):
        content += chunk
        if len(content) > limits.bytes:
            raise Refused(f"has more than {limits.bytes:,} bytes")
        if time.monotonic() > deadline:
            raise Refused(f"took more than {limits.seconds:g} seconds")
    expected = response.headers.get("Content-Length") or ""
    if expected.isdigit() and int(expected) != len(content):
        raise Refused(f"the connection broke after {len(content):,} bytes")
    return bytes(content)


class _Seen:
    """The pictures that a folder has, by content and by looks."""

    def __init__(self, folder: Path) -> None:
        self.names: dict[bytes, str] = {}
        self.looks: list[np.ndarray] = []
        self.looked: list[str] = []
        for path in sorted(folder.iterdir()):
            if path.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS and path.is_file():
                self.add(examine(path), path.name)

    def add(self, facts: Facts, name: str) -> None:
        """Remember a picture."""
        self.names.setdefault(facts.digest, name)
        if facts.looks is not None:
            self.looks.append(np.frombuffer(facts.looks, np.uint8))
            self.looked.append(name)

    def double(self, facts: Facts) -> str | None:
        """The name of a picture that is the same; None where it is new."""
        if facts.digest in self.names:
            return self.names[facts.digest]
        if facts.looks is None or not self.looks:
            return None
        same = are_twins(np.frombuffer(facts.looks, np.uint8), np.stack(self.looks))
        return self.looked[int(same.argmax())] if same.any() else None


def _write_sources(folder: Path, sources: list[tuple[str, str, str]]) -> None:
    """Where each picture is from, after those of earlier searches."""
    if not sources:
        return
    path = folder / SOURCES
    before = path.read_text(encoding="utf-8") if path.is_file() else "file,url,page\n"
    atomic_write(path, before + csv_text(sources))
