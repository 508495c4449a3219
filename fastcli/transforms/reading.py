"""Opens picture files by Pillow, checked and named in every error, and flattens what is in them; needs no torch."""

from __future__ import annotations

import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Callable
from os import PathLike, fspath
from typing import Any, BinaryIO, TypeVar

import numpy as np
import PIL.Image as Pillow
from numpy.typing import NDArray
from PIL import ExifTags, UnidentifiedImageError

from fastcli.errors import DataError

__all__ = ["MAX_PIXELS", "SIDEWAYS", "flat", "open_regular", "read_header", "read_picture", "turn_of", "upright",
           "upright_size"]  # fmt: skip

Converted = TypeVar("Converted")
MAX_PIXELS = 178_956_970
"""Pillow's own limit, half a gigabyte of RGB."""
DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError,
                 RuntimeError, struct.error, zlib.error)  # fmt: skip
"""What Pillow's plugins raise on broken files."""
TOO_LARGE = "make it smaller, or raise data.max_pixels"
UPRIGHT = {2: Pillow.Transpose.FLIP_LEFT_RIGHT, 3: Pillow.Transpose.ROTATE_180, 4: Pillow.Transpose.FLIP_TOP_BOTTOM,
           5: Pillow.Transpose.TRANSPOSE, 6: Pillow.Transpose.ROTATE_270, 7: Pillow.Transpose.TRANSVERSE,
           8: Pillow.Transpose.ROTATE_90}  # fmt: skip
SIDEWAYS = (UPRIGHT[5], UPRIGHT[6], UPRIGHT[7], UPRIGHT[8])
"""Turns that exchange width and height."""
BITS_PER_SAMPLE = 258
FROM_PILLOW = re.compile(r"PIL\.")


def read_picture(
    source: str | PathLike[str] | BinaryIO,
    convert: Callable[[Pillow.Image], Converted],
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    before: Callable[[Pillow.Image], object] | None = None,
    load: bool = True,
) -> Converted:
    """What `convert` makes of the loaded Pillow picture, with the checks and the errors of `open_image`.

    `before` is shown the picture when its header is read, and may ask for it to be decoded smaller. Without `load`
    the header is all that is read.
    """
    if isinstance(source, str | PathLike):
        shown = name or fspath(source)
        try:
            with open_regular(source) as file:
                return _read(file, shown, convert, max_pixels, before, load)
        except FileNotFoundError:
            raise DataError(f"{shown}: no such file") from None
        except OSError as error:
            raise DataError(f"{shown}: cannot be read: {error.strerror or error}") from None
    return _read(source, name or str(getattr(source, "name", "image")), convert, max_pixels, before, load)


def read_header(path: str | PathLike[str]) -> tuple[tuple[int, int], str]:
    """Width and height of a picture that is turned upright, and its mode, by its header. Raises DataError."""
    return read_picture(path, lambda picture: (upright_size(picture), picture.mode), load=False)


def open_regular(path: str | PathLike[str]) -> BinaryIO:
    """The file, to read its bytes; an OSError for a pipe, which might never say a word, and for other things."""
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - Path.open takes no opener
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError("it is a pipe or a device, not a file")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # regular files do not know the difference


def _read(
    file: BinaryIO, name: str, convert: Callable[[Pillow.Image], Converted], max_pixels: int,
    before: Callable[[Pillow.Image], object] | None, load: bool,
) -> Converted:  # fmt: skip
    _silence_pillow()
    _allow(max_pixels)
    hint = "mend or remove the file, or set data.on_bad_image: skip"
    try:
        with Pillow.open(file) as picture:
            _check_header(picture, name, max_pixels)
            if before is not None:
                before(picture)
            if load:
                picture.load()
            return convert(picture)
    except UnidentifiedImageError:
        reason = "is not a picture that Pillow can read" if file.seek(0, 2) else "the file is empty"
        raise DataError(f"{name}: {reason}", hint=hint) from None
    except Pillow.DecompressionBombError as error:
        raise DataError(f"{name}: too large: {error}", hint=TOO_LARGE) from None
    except DECODE_ERRORS as error:
        raise DataError(f"{name}: corrupt or truncated: {error}", hint=hint) from None


def _check_header(picture: Pillow.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise DataError(
            f"{name}: too large: {width} x {height} pixels, and {max_pixels:,} pixels are allowed", hint=TOO_LARGE
        )
    if width * height == 0:
        raise DataError(f"{name}: the picture has no pixels ({width} x {height})")
    if picture.format == "EPS":
        raise DataError(f"{name}: EPS is a program, not a picture, and is not run", hint="convert it to PNG")


def _allow(max_pixels: int) -> None:
    """Let Pillow itself, which has one limit for the process, take twice `MAX_IMAGE_PIXELS` or as many as these."""
    if max_pixels > MAX_PIXELS and (Pillow.MAX_IMAGE_PIXELS or max_pixels) < max_pixels:
        Pillow.MAX_IMAGE_PIXELS = max_pixels


def _silence_pillow() -> None:
    """Keep Pillow's remarks on odd files off the screen.

    `warnings.catch_warnings` swaps a process-wide list, so it cannot be used in threads; putting one filter at the
    front of that list can. It is looked for each time because others (pytest) put the list back.
    """
    front = warnings.filters[0] if warnings.filters else None
    if front is None or front[0] != "ignore" or front[3] != FROM_PILLOW:
        warnings.filterwarnings("ignore", module=FROM_PILLOW.pattern)


def upright(picture: Pillow.Image) -> Pillow.Image:
    """The picture turned as its EXIF orientation says."""
    turn = turn_of(picture)
    return picture if turn is None else picture.transpose(turn)


def upright_size(picture: Pillow.Image) -> tuple[int, int]:
    """Width and height after `upright`."""
    width, height = picture.size
    return (height, width) if turn_of(picture) in SIDEWAYS else (width, height)


def turn_of(picture: Pillow.Image) -> Pillow.Transpose | None:
    """What its EXIF orientation says must be done to a picture, if anything."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except DECODE_ERRORS:
        return None
    # A tag may hold any type; ImageOps.exif_transpose would also rewrite the EXIF block and stumble over broken ones.
    return UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def flat(picture: Pillow.Image) -> Pillow.Image:
    """`picture` without alpha and with 8 bits per channel."""
    if picture.mode.startswith(("I", "F")):
        return Pillow.fromarray(_eight_bits(picture))
    if not picture.has_transparency_data:
        return picture
    white = Pillow.new("RGBA", picture.size, "white")
    white.alpha_composite(picture.convert("RGBA"))
    return white.convert("RGB")


def _eight_bits(picture: Pillow.Image) -> NDArray[np.uint8]:
    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        # A 12-bit TIFF comes as I;16 with values up to 4095.
        bits = getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
        return _scaled(values, 0, 2**bits - 1)
    full = 65535 if picture.mode == "I" else 1
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    return _scaled(values, 0, full) if low >= 0 and high <= full else _scaled(values, low, high)


def _scaled(values: NDArray[Any], low: Any, high: Any) -> NDArray[np.uint8]:
    """`values` with low..high laid on 0..255; NaN becomes 0, and so does everything when low equals high."""
    span = float(high) - float(low)
    scaled = (values.astype(np.float64) - float(low)) * (255 / span if span else 0.0)
    return np.nan_to_num(scaled, nan=0.0).clip(0, 255).round().astype(np.uint8)
