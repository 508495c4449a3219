"""Batch transforms that need the pixels themselves: what is neither a matrix of places nor a line of logits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.matrices import chance, to_device, uniform
from fastcli.transforms.transform import BatchTransform, Fraction, Probability

__all__ = ["Hue", "PixelTransform", "RandomErasing", "shift_hue"]


class PixelTransform(BatchTransform):
    """Base: `apply` changes the pictures of a training batch by the drawn parameters; masks and points stay."""

    normalized: ClassVar[bool] = False
    """Whether it works on normalised pixels, which is after all others, or on pixels in 0..1."""

    def apply(self, images: Tensor, params: Tensor, generator: Generator) -> Tensor:
        """Images (n, channels, height, width) changed by `params` (n, k); may work in place.

        `params` lie on the CPU, so that reading them does not stop the device. `generator` lies on the images'
        device, for noise.
        """
        raise NotImplementedError


@batch_transforms(name="hue")
@dataclass(frozen=True)
class Hue(PixelTransform):
    """Turns the colour circle by a share of up to `max_hue` either way, or by `shift`, with probability `p`."""

    max_hue: Annotated[float, Field(ge=0, lt=1)] = 0.1
    p: Probability = 0.75
    shift: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_hue < 1:
            raise ConfigError(f"max_hue {self.max_hue:g} is not within 0 <= max_hue < 1")

    def draw(self, n: int, generator: Generator) -> Tensor:
        """What is added to the hue, log-uniform about 1 (a full turn) as fastai has it: (n, 1)."""
        if self.shift is not None:
            return chance(torch.full((n,), float(self.shift)), self.p, 0.0, generator)[:, None]
        most = -math.log(1 - self.max_hue)
        return chance(uniform(n, -most, most, generator).exp(), self.p, 0.0, generator)[:, None]

    def apply(self, images: Tensor, params: Tensor, generator: Generator) -> Tensor:
        """Turned colours; a grey picture has none and stays as it is."""
        if images.shape[1] == 1:
            return images
        if images.shape[1] != 3:
            raise ConfigError(f"hue needs pictures of 3 channels, or grey ones, not of {images.shape[1]}")
        return shift_hue(images, to_device(params[:, 0], images.device))


def shift_hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Images (n, 3, height, width) in 0..1 with `shifts` (n,) added to their hue in HSV, where 1 is a full turn.

    >>> shift_hue(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), torch.tensor([1 / 3])).flatten().round().tolist()
    [0.0, 1.0, 0.0]
    """
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    divisor = torch.where(chroma == 0, 1.0, chroma)
    others = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixths = torch.where(value == red, (green - blue) / divisor, others) + 6 * shifts[:, None, None]
    channels = []
    for start in (5, 3, 1):
        distance = (sixths + start).remainder(6)
        channels.append(value - chroma * torch.minimum(distance, 4 - distance).clamp(0, 1))
    return torch.stack(channels, 1)


@batch_transforms(name="random_erasing")
@dataclass(frozen=True)
class RandomErasing(PixelTransform):
    """Fills up to `max_count` boxes of each sample with noise, with probability `p`; fastai draws them once per batch.

    The boxes of a sample share an area between `min_area` and `max_area` of the picture; their height over width is
    log-uniform between `min_aspect` and its reciprocal (Zhong et al. 2017).
    """

    p: Probability = 0.5
    min_area: Probability = 0.0
    max_area: Probability = 0.3
    min_aspect: Fraction = 0.3
    max_count: Annotated[int, Field(ge=1)] = 1
    normalized = True

    def __post_init__(self) -> None:
        if not 0 <= self.min_area <= self.max_area <= 1:
            raise ConfigError(
                f"min_area {self.min_area:g} and max_area {self.max_area:g} must be shares, 0 <= min <= max <= 1"
            )
        if not 0 < self.min_aspect <= 1 or self.max_count < 1:
            raise ConfigError("random_erasing needs 0 < min_aspect <= 1 and max_count >= 1")

    def draw(self, n: int, generator: Generator) -> Tensor:
        """How many boxes, and for each its area, aspect, and position down and across in 0..1: (n, 1 + 4 max_count)."""
        counts = 1 + (self.max_count * torch.rand(n, generator=generator)).floor()
        boxes = torch.rand(n, 4 * self.max_count, generator=generator)
        return torch.cat([chance(counts, self.p, 0.0, generator)[:, None], boxes], 1)

    def apply(self, images: Tensor, params: Tensor, generator: Generator) -> Tensor:
        """Images with N(0, 1) in the boxes, which is noise of the deviation that normalised pixels have."""
        size = images.shape[-2], images.shape[-1]
        for image, row in zip(images, params.tolist(), strict=True):
            for top, left, height, width in self.boxes(row, size):
                image[:, top : top + height, left : left + width].normal_(generator=generator)
        return images

    def boxes(self, row: list[float], size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """Top, left, height and width in pixels of one sample's boxes on a picture of `size`."""
        count, found = int(row[0]), []
        for i in range(count):
            share, shape, down, across = row[1 + 4 * i : 5 + 4 * i]
            area = (self.min_area + (self.max_area - self.min_area) * share) * size[0] * size[1] / count
            aspect = math.exp((2 * shape - 1) * math.log(1 / self.min_aspect))
            height = min(size[0], round(math.sqrt(area * aspect)))
            width = min(size[1], round(math.sqrt(area / aspect)))
            found.append((int(down * (size[0] - height + 1)), int(across * (size[1] - width + 1)), height, width))
        return found
