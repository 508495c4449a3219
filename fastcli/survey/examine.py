"""What is to be known of one picture file: read once, decoded to its last pixel."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image as Pillow

from fastcli.data.threads import each
from fastcli.errors import DataError
from fastcli.survey.twins import SIDE, look
from fastcli.transforms.reading import MAX_PIXELS, flat, open_regular, read_picture, turn_of, upright, upright_size

FEW_BYTES = 512
END_OF_JPEG = b"\xff\xd9"
SEVERAL_FRAMES = ("GIF", "TIFF", "WEBP", "PNG")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was found out about a file; without `fault` it can be decoded."""

    path: Path
    fault: str | None = None
    """Why it is no good picture, without its name."""
    n_bytes: int = 0
    digest: bytes = b""
    """Of the file's content."""
    size: tuple[int, int] = (0, 0)
    """Width and height, upright."""
    mode: str = ""
    format: str = ""
    turned: bool = False
    frames: int = 1
    ends: bool = True
    """Whether a JPEG file has the mark of its end."""
    looks: bytes | None = None
    """The picture in grey, 16 x 16 pixels, by which pictures are compared."""


def examine_all(
    paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS, workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Facts]:  # fmt: skip
    """The facts of each file in order, found in threads; `progress` hears how many are done."""
    return each(lambda path: examine(path, max_pixels), paths, workers, progress)


def examine(path: Path, max_pixels: int = MAX_PIXELS) -> Facts:
    """The facts of one file; what is wrong with it is a fact too."""
    try:
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError:
        return Facts(path, "no such file")
    except OSError as error:
        return Facts(path, f"cannot be read: {error.strerror or error}")
    return examine_content(content, path, max_pixels)


def examine_content(content: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> Facts:
    """The facts of what is in a file; `path` is its name."""
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        return read_picture(
            io.BytesIO(content),
            lambda picture: _facts_of(picture, path, content, digest),
            max_pixels=max_pixels,
            name=str(path),
        )
    except DataError as error:
        reason = error.message.removeprefix(f"{path}: ")
        text = _text_in(content)
        return Facts(path, f"is {text}, not a picture" if text else reason, len(content), digest)


def _facts_of(picture: Pillow.Image, path: Path, content: bytes, digest: bytes) -> Facts:
    kind = picture.format or ""
    return Facts(
        path,
        None,
        len(content),
        digest,
        upright_size(picture),
        picture.mode,
        kind,
        turn_of(picture) is not None,
        getattr(picture, "n_frames", 1) if kind in SEVERAL_FRAMES else 1,
        kind != "JPEG" or END_OF_JPEG in content[len(content) // 2 :],
        _looks(picture),
    )


def _looks(picture: Pillow.Image) -> bytes | None:
    """The picture small, grey and upright; None where it is all of one grey, as nothing can be told of it."""
    grey = flat(picture).convert("L").resize((SIDE, SIDE), Pillow.Resampling.BILINEAR, reducing_gap=3.0)
    turned = turn_of(picture)
    return look(np.asarray(grey if turned is None else grey.transpose(turned)))


def _text_in(content: bytes) -> str | None:
    """What kind of text the content is; None where it is none.

    >>> _text_in(b"<!doctype html><p>404"), _text_in(b"Not found"), _text_in(bytes([255, 216, 0]))
    ('an HTML page', 'text', None)
    """
    start = content[:FEW_BYTES].lstrip(b"\xef\xbb\xbf")
    try:
        text = start.decode("utf-8", "strict" if len(content) <= FEW_BYTES else "ignore").strip()
    except UnicodeDecodeError:
        return None
    if not text or not all(c.isprintable() or c in "\r\n\t" for c in text) or len(text.encode()) < len(start) // 2:
        return None
    lowered = text.lower()
    if lowered.startswith("<svg") or "<svg" in lowered:
        return "an SVG drawing"
    return "an HTML page" if lowered.startswith(("<!doctype html", "<html")) else "text"


def thumbnail(path: Path, most: int = 160) -> bytes | None:
    """A small copy as JPEG, for a page; None where the file cannot be decoded."""

    def shrink(picture: Pillow.Image) -> bytes:
        small = flat(upright(picture)).convert("RGB")
        small.thumbnail((most, most), Pillow.Resampling.BOX)
        written = io.BytesIO()
        small.save(written, "JPEG", quality=80)
        return written.getvalue()

    try:
        return read_picture(path, shrink, before=lambda picture: picture.draft(None, (2 * most, 2 * most)))
    except DataError:
        return None
