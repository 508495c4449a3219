"""Opens mask files: each pixel's value is the code of a class, never a colour."""

from __future__ import annotations

from os import PathLike, fspath
from typing import BinaryIO

import numpy as np
import PIL.Image as Pillow
import torch

from fastcli.errors import DataError
from fastcli.transforms.reading import read_picture, upright
from fastcli.types import Mask, typed

__all__ = ["mask_from_pillow", "open_mask"]


def open_mask(source: str | PathLike[str] | BinaryIO) -> Mask:
    """The codes of a mask file as uint8 (1, height, width): indices of a palette, grey values, or 0 and 1.

    Raises DataError as `open_image` does, and for a mask in colours or with codes above 255.
    """
    name = fspath(source) if isinstance(source, str | PathLike) else str(getattr(source, "name", "mask"))
    return read_picture(source, lambda picture: mask_from_pillow(picture, name))


def mask_from_pillow(picture: Pillow.Image, name: str = "mask") -> Mask:
    """A Pillow picture's codes as `open_mask` gives them; `name` stands for it in errors.

    >>> mask_from_pillow(Pillow.new("P", (2, 1), 3)).tolist()
    [[[3, 3]]]
    """
    codes = np.array(upright(picture))
    if codes.ndim == 3:
        colours = codes[..., : len(picture.getbands()) - picture.mode.endswith(("A", "a"))]
        if (colours != colours[..., :1]).any():
            hint = "save it with one value per class: grey values 0, 1, 2, …, or a palette"
            raise DataError(f"{name}: the mask is in colours ({picture.mode})", hint=hint)
        codes = colours[..., 0]
    if codes.dtype.kind == "f" or codes.min() < 0 or codes.max() > 255:
        raise DataError(f"{name}: a mask has whole numbers from 0 to 255, this one has {codes.min()} to {codes.max()}")
    return typed(torch.from_numpy(codes.astype(np.uint8))[None], Mask)
