"""One item for prediction, in whatever form it comes, as the encoder of its block makes it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import PIL.Image as Pillow
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcli.data.encoders import OpenImage
from fastcli.data.items import Row
from fastcli.errors import DataError

__all__ = ["opened"]

FILES = (str, os.PathLike, Row, Pillow.Image)
"""What the encoder of pictures opens itself."""


def opened(item: Any, encoder: Any) -> Any:
    """The element of an item: a file or Row, a Pillow image, an array or a tensor, with channels last or first.

    Numbers are bytes, or from 0 to 1. Raises DataError for what is no picture.
    """
    if isinstance(encoder, OpenImage) and not isinstance(item, FILES):
        item = Pillow.fromarray(_bytes(item))
    return encoder.encode(item)


def _bytes(item: Any) -> NDArray[np.uint8]:
    """Pixels (height, width) or (height, width, 3 or 4) as bytes."""
    if isinstance(item, Tensor):
        plain = item.detach().as_subclass(Tensor).cpu()
        item = (plain.float() if plain.dtype in (torch.float16, torch.bfloat16) else plain).numpy()
        item = item.transpose(1, 2, 0) if item.ndim == 3 else item
    pixels = np.asarray(item)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    if (
        pixels.dtype.kind not in "buif"
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4))
    ):
        shape = f"of shape {pixels.shape}" if pixels.dtype.kind in "buif" else f"of type {type(item).__name__}"
        hint = "give a file, a Pillow image, an array (height, width, 3) or a tensor (3, height, width)"
        raise DataError(f"an item {shape} is no picture", hint=hint)
    if pixels.dtype.kind == "f":
        pixels = (np.nan_to_num(pixels).clip(0, 1) * 255).round()
    return np.ascontiguousarray(pixels.clip(0, 255) if pixels.dtype != bool else pixels * 255, dtype=np.uint8)
