"""Small pictures for a page: what the model saw of an item, as addresses that hold the picture itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import PIL.Image as Pillow
from torch import Tensor

from fastcli.report.interpret import Interpretation
from fastcli.show.kernels import picture
from fastcli.types import Image

AT_ONCE = 32
BUDGET = 3_300_000
"""Bytes of all addresses in a page, which stays below 5 MB with all else."""


def thumbnails(
    found: Interpretation, indices: Sequence[int], side: int = 96, *, budget: int = BUDGET
) -> dict[int, str]:
    """The address of each item's picture, `side` pixels at its longer side, in this order until `budget` is used up."""
    made: dict[int, str] = {}
    for index, pixels in _pictures(found, indices):
        address = address_of(pixels, side)
        budget -= len(address)
        if budget < 0:
            break
        made[index] = address
    return made


def _pictures(found: Interpretation, indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
    for start in range(0, len(indices), AT_ONCE):
        some = indices[start : start + AT_ONCE]
        for index, sample in zip(some, found.samples(some), strict=True):
            yield index, picture(next(element for element, _ in sample if isinstance(element, Image)))


def address_of(pixels: Any, side: int, *, quality: int = 72) -> str:
    """The picture (height, width, 1 or 3), from 0 to 1, as a data URI of a JPEG; very small ones keep their pixels."""
    array = (np.asarray(pixels) * 255).round().astype(np.uint8)
    drawn = Pillow.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    scale = side / max(drawn.size)
    if scale < 1 or scale >= 2:
        width, height = (max(1, round(length * scale)) for length in drawn.size)
        drawn = drawn.resize((width, height), Pillow.Resampling.NEAREST if scale >= 2 else Pillow.Resampling.LANCZOS)
    return as_address(drawn, "JPEG", quality=quality)


def as_address(drawn: Pillow.Image, format: str, **options: Any) -> str:
    """The picture as a data URI."""
    written = io.BytesIO()
    drawn.save(written, format, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(written.getvalue()).decode()}"


def heated(pixels: Any, heat: Tensor) -> Any:
    """The picture (height, width, 1 or 3) under a map (height, width) of heat from 0 to 1: dark is cold, yellow hot."""
    import matplotlib

    warm = heat.numpy()[..., None]
    colours = matplotlib.colormaps["inferno"](heat.numpy())[..., :3]
    shown = np.broadcast_to(np.asarray(pixels), (*heat.shape, 3))
    covered = 0.25 + 0.4 * warm
    return (1 - covered) * shown + covered * colours
