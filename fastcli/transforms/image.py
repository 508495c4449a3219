"""Opens picture files as uint8 tensors, upright, with every mode of Pillow converted on purpose.

| in the file                       | becomes                                                            |
|-----------------------------------|--------------------------------------------------------------------|
| EXIF orientation                  | pixels turned upright; a broken EXIF block counts as absent        |
| palette, 1 bit, YCbCr, CMYK       | their colours (CMYK by Pillow's formula, Adobe's inversion undone) |
| alpha, or one transparent colour  | laid on white, as a browser shows it (fastai drops alpha)          |
| 16-bit grey                       | full range to 0..255, not clipped                                  |
| 32-bit integers                   | as 16-bit where all lie in 0..65535, else min..max found to 0..255 |
| 32-bit floats                     | 0..1 where all lie in it, else min..max found, to 0..255           |
| several frames                    | the first                                                          |
"""

from __future__ import annotations

from os import PathLike
from typing import BinaryIO, Literal

import numpy as np
import PIL.Image as Pillow
import torch

from fastcli.transforms.reading import MAX_PIXELS, flat, read_picture, upright
from fastcli.types import Image, ImageBW, typed

__all__ = ["MAX_PIXELS", "from_pillow", "open_image"]

ColourMode = Literal["RGB", "L"]


def open_image(
    source: str | PathLike[str] | BinaryIO,
    *,
    mode: ColourMode = "RGB",
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Image | ImageBW:
    """The picture as uint8, (3, height, width) for RGB and (1, height, width) for L, with channels last in memory.

    `source` is a path or a binary file; `name` stands for it in messages. A `max_pixels` above Pillow's own limit
    raises that for the whole process. Raises DataError, naming the file and the reason, for what is missing, empty,
    no picture, too large (before it is decoded), truncated or corrupt. Safe in threads.
    """
    return read_picture(source, lambda picture: from_pillow(picture, mode), max_pixels=max_pixels, name=name)


def from_pillow(picture: Pillow.Image, mode: ColourMode = "RGB") -> Image | ImageBW:
    """A Pillow picture as `open_image` gives it: upright, flattened, 8 bits.

    >>> from_pillow(Pillow.new("LA", (4, 2), (0, 0))).unique().tolist()
    [255]
    """
    picture = flat(upright(picture))
    if picture.mode != mode:  # or else `convert` copies
        picture = picture.convert(mode)
    pixels = torch.from_numpy(np.array(picture))
    if mode == "L":
        return typed(pixels[None], ImageBW)
    return typed(pixels.permute(2, 0, 1), Image)
