"""JPEG's artefacts as an item transform. torchvision's own `JPEG` rests on coders that it is about to drop."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import PIL.Image as Pillow
import torch
from pydantic import Field
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.registry import item_transforms
from fastcli.transforms.image import from_pillow
from fastcli.transforms.spatial import canvas
from fastcli.transforms.transform import ItemTransform
from fastcli.types import Image

__all__ = ["Jpeg"]

Quality = Annotated[int, Field(ge=1, le=100)]


@item_transforms(name="jpeg")
@dataclass(frozen=True)
class Jpeg(ItemTransform):
    """Shows pictures as JPEG keeps them at `quality`, or at a random one of a range, in training."""

    quality: Quality | tuple[Quality, Quality]
    random = True

    def __post_init__(self) -> None:
        low, high = self._range
        if not 1 <= low <= high <= 100:
            raise ConfigError(f"jpeg's quality {self.quality} must lie in 1..100, the smaller number first")

    @property
    def _range(self) -> tuple[int, int]:
        return (self.quality, self.quality) if isinstance(self.quality, int) else self.quality

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The quality: int64 (n,)."""
        low, high = self._range
        return torch.randint(low, high + 1, (n,), generator=generator)

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The picture coded and decoded; masks, points and boxes stay."""
        if canvas(element) is None or row is None or not isinstance(element, Image):
            return element
        pixels = element.as_subclass(Tensor)
        if pixels.dtype != torch.uint8 or pixels.shape[0] not in (1, 3):
            raise TypeError(f"jpeg needs uint8 pictures of 1 or 3 channels, not {pixels.dtype} of {pixels.shape[0]}")
        array = np.ascontiguousarray(pixels.cpu().permute(1, 2, 0).numpy())
        coded = io.BytesIO()
        Pillow.fromarray(array if array.shape[2] == 3 else array[..., 0]).save(coded, "JPEG", quality=int(row))
        with Pillow.open(coded) as picture:
            seen = from_pillow(picture, "RGB" if array.shape[2] == 3 else "L")
        return seen.as_subclass(Tensor).to(pixels.device).as_subclass(type(element))
