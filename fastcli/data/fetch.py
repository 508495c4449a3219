"""One file over HTTP: resumed where it broke, tried again where that can help, checked before it counts."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import queue
import re
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

from fastcli import __version__
from fastcli.data.progress import Progress, throttled
from fastcli.errors import DataError

CHUNK = 1 << 20
TRANSIENT_STATUS = {408, 416, 425, 429, 500, 502, 503, 504}
LONGEST_PAUSE = 8.0


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it arrives."""

    size: int | None = None
    md5_first_mib: str | None = None
    sha256: str | None = None

    def mismatch(self, path: Path) -> str | None:
        """What about the file differs from this; None where all is as expected."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"it has {size:,} bytes instead of {self.size:,}"
        with path.open("rb") as file:
            if self.md5_first_mib and _md5(file.read(CHUNK)) != self.md5_first_mib:
                return "its first MiB has another MD5 checksum"
            file.seek(0)
            if self.sha256 and hashlib.file_digest(file, "sha256").hexdigest() != self.sha256:
                return "it has another SHA-256 checksum"
        return None


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try, in seconds."""

    connect: float = 2.5
    """For the first answer of the network, name resolution included."""
    read: float = 30
    retries: int = 5
    """Failures in a row without a single new byte."""
    pause: float = 0.5
    """After the first failure; doubles."""


class Interrupted(Exception):  # noqa: N818 - caught here, shown only inside a DataError
    """The transfer broke in a way that another try may mend."""


def shown_url(url: str) -> str:
    """The URL without what may be secret: user, password and query.

    >>> shown_url("https://me:word@example.org/a.tgz?token=1")
    'https://example.org/a.tgz'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def fetch(
    url: str,
    target: Path,
    *,
    name: str | None = None,
    hint: str | None = None,
    expected: Expected | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Path:
    """`target`, downloaded from `url` through `target`.part, which outlives an interruption and is resumed.

    Raises DataError ("cannot download {name}: …" with `hint`) without a network within `patience.connect` seconds,
    for a refusal of the server, when retries are used up, and for a file that is not as expected.
    """
    download = _Download(url, target, name or shown_url(url), hint, expected or Expected(), patience or Patience())
    return download.run(throttled(progress))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to HTTP only, and never from HTTPS down to HTTP."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request for the new address. Raises HTTPError for one that is not allowed."""
        allowed = ("https",) if urlsplit(req.full_url).scheme == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise urllib.error.HTTPError(req.full_url, code, f"redirects to {shown_url(newurl)}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass
class _Download:
    url: str
    target: Path
    name: str
    hint: str | None
    expected: Expected
    patience: Patience

    def __post_init__(self) -> None:
        self.part = self.target.with_name(self.target.name + ".part")
        self.notes = self.part.with_name(self.part.name + ".json")

    def run(self, progress: Progress) -> Path:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if not self._is_whole():
            self._check_network()
            self._transfer_with_retries(progress)
        if reason := self.expected.mismatch(self.part):
            self._discard()
            raise self._error(f"what came from {shown_url(self.url)} is not the known file: {reason}")
        self.part.replace(self.target)
        self.notes.unlink(missing_ok=True)
        return self.target

    def _error(self, why: str) -> DataError:
        return DataError(f"cannot download {self.name}: {why}", hint=self.hint)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _noted(self) -> dict[str, Any]:
        """What the server said of the file that the part belongs to; {} where there is nothing to go on with."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) and notes.get("url") == self.url and self.part.exists() else {}

    def _is_whole(self) -> bool:
        total = self._noted().get("total")
        return total is not None and self._size() == total

    def _check_network(self) -> None:
        """Raise DataError when the host does not take a connection in time; urllib alone may wait for minutes."""
        answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        address = _first_hop(self.url)

        def connect() -> None:
            try:
                socket.create_connection(address, timeout=self.patience.connect).close()
                answer.put(None)
            except (OSError, UnicodeError) as error:
                answer.put(error)

        threading.Thread(target=connect, daemon=True).start()  # name resolution has no timeout of its own
        try:
            error = answer.get(timeout=self.patience.connect)
        except queue.Empty:
            error = TimeoutError(f"no answer within {self.patience.connect:g} s")
        if error is not None:
            raise self._error(f"no network ({address[0]}: {reason_of(error)})") from error

    def _transfer_with_retries(self, progress: Progress) -> None:
        failures = 0
        while True:
            before = self._size()
            try:
                return self._transfer(progress)
            except Interrupted as error:
                failures = 0 if self._size() > before else failures + 1
                if failures > self.patience.retries:
                    raise self._error(f"{error}, after {failures} tries") from error
                time.sleep(min(self.patience.pause * 2**failures, LONGEST_PAUSE))

    def _transfer(self, progress: Progress) -> None:
        try:
            opener = urllib.request.build_opener(Redirects)
            with opener.open(self._request(), timeout=self.patience.read) as response:
                total = self._begin(response)
                self._receive(response, total, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # the part is no beginning of what is there now
                self._discard()
            if error.code in TRANSIENT_STATUS:
                raise Interrupted(f"the server answered {error.code} {error.reason}") from error
            raise self._error(f"the server answered {error.code} {error.reason} for {shown_url(self.url)}") from error
        except (OSError, http.client.HTTPException) as error:
            if _is_local(error):
                raise
            if _is_hopeless(error):
                raise self._error(reason_of(error)) from error
            raise Interrupted(reason_of(error)) from error

    def _request(self) -> urllib.request.Request:
        headers = {"User-Agent": f"fastcli/{__version__}", "Accept-Encoding": "identity"}
        if (noted := self._noted()) and (start := self._size()):
            headers["Range"] = f"bytes={start}-"
            if validator := noted.get("validator"):
                headers["If-Range"] = validator
        return urllib.request.Request(self.url, headers=headers)

    def _begin(self, response: Any) -> int | None:
        """The file's size as the server says; the part is cut to zero unless the response continues it."""
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        if response.status == 206:
            total = self._continued(response.headers.get("Content-Range", ""))
        else:
            self._discard()
        if self.expected.size is not None and total is not None and total != self.expected.size:
            raise self._error(f"{shown_url(self.url)} offers {total:,} bytes instead of {self.expected.size:,}")
        missing = (total or 0) - self._size()
        if missing > (free := shutil.disk_usage(self.part.parent).free):
            raise self._error(f"it needs {missing:,} bytes, but {self.part.parent} has {free:,} left")
        notes = {"url": self.url, "validator": _validator(response.headers), "total": total}
        self.notes.write_text(json.dumps(notes), encoding="utf-8")
        return total

    def _continued(self, content_range: str) -> int:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", content_range)
        if not found or int(found[1]) != self._size() or int(found[2]) != self._noted().get("total"):
            self._discard()
            raise Interrupted(f"the server continued with {content_range or 'an unknown range'}")
        return int(found[2])

    def _receive(self, response: Any, total: int | None, progress: Progress) -> None:
        with self.part.open("ab") as part:
            _copy(response, part, total, progress)
            done = part.tell()
        if total is not None and done != total:
            raise Interrupted(f"the connection broke after {done:,} of {total:,} bytes")
        progress(done, done)


def _copy(response: Any, part: IO[bytes], total: int | None, progress: Progress) -> None:
    while data := response.read1(CHUNK):
        part.write(data)
        progress(part.tell(), total)


def _validator(headers: Any) -> str | None:
    etag: str | None = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _first_hop(url: str) -> tuple[str, int]:
    """Host and port that the connection goes to: the proxy where one is set."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def reason_of(error: BaseException) -> str:
    """What went wrong, in the words of the system where it has some."""
    inner = getattr(error, "reason", error)
    return str(getattr(inner, "strerror", None) or inner or type(inner).__name__)


def _is_hopeless(error: BaseException) -> bool:
    inner = getattr(error, "reason", error)
    return isinstance(inner, ssl.SSLCertVerificationError) or "Tunnel connection failed" in str(inner)


def _is_local(error: BaseException) -> bool:
    """Whether the error is of this machine's disk, where trying again is of no use."""
    no_room = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return no_room or (isinstance(error, OSError) and error.filename is not None)
