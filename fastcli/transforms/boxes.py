"""Random boxes for cropping, as fractions of the canvas: the same for one item and for a batch."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.transforms.matrices import matrix_of

__all__ = ["WHOLE", "Box", "box_matrix", "central_box", "check_box_range", "draw_boxes", "pixel_box", "random_boxes"]

Box = tuple[float, float, float, float]
"""Top, left, height and width; the whole canvas is (0, 0, 1, 1)."""
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
ATTEMPTS = 10


def draw_boxes(n: int, generator: Generator) -> Tensor:
    """What `random_boxes` needs for `n` samples: area and shape of each attempt, and the position, all in 0..1."""
    return torch.rand(n, 2 * ATTEMPTS + 2, generator=generator)


def random_boxes(draws: Tensor, aspect: float, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Boxes (n, 4) as top, left, height and width, on a canvas `aspect` times as wide as high.

    The first of ten attempts that fits, with an area uniform in `scale` and a width over height log-uniform in
    `ratio`; where none fits, the central box (Szegedy et al. 2014, as fastai and torchvision have it).
    """
    area = scale[0] + (scale[1] - scale[0]) * draws[:, :ATTEMPTS]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = torch.exp(low + (high - low) * draws[:, ATTEMPTS : 2 * ATTEMPTS]) / aspect
    sizes = torch.stack([(area / shape).sqrt(), (area * shape).sqrt()], -1)
    fits = (sizes <= 1 + 1e-6).all(-1)
    first = fits.int().argmax(1)
    found = fits.any(1, keepdim=True)
    size = torch.where(found, sizes[torch.arange(len(draws)), first], torch.tensor(central_box(aspect, ratio)[2:]))
    position = torch.where(found, draws[:, -2:], 0.5)
    return torch.cat([position * (1 - size), size], 1)


def central_box(aspect: float, ratio: tuple[float, float], share: float = 1.0) -> Box:
    """The largest box in the middle whose width over height lies in `ratio`, with its sides times `share`.

    >>> central_box(2.0, (3 / 4, 1.0))
    (0.0, 0.25, 1.0, 0.5)
    """
    height, width = share * min(1.0, aspect / ratio[0]), share * min(1.0, ratio[1] / aspect)
    return (1 - height) / 2, (1 - width) / 2, height, width


def pixel_box(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width in whole pixels of a canvas of `size`.

    >>> pixel_box((0.0, 0.25, 1.0, 0.5), (100, 200))
    (0, 50, 100, 100)
    """
    height, width = (max(1, round(part * whole)) for part, whole in zip(box[2:], size, strict=True))
    return min(round(box[0] * size[0]), size[0] - height), min(round(box[1] * size[1]), size[1] - width), height, width


def box_matrix(boxes: Tensor) -> Tensor:
    """Matrices (n, 3, 3) from output to input coordinates in [-1, 1], for outputs that show the boxes (n, 4).

    >>> box_matrix(torch.tensor([[0.0, 0.5, 1.0, 0.5]]))[0].tolist()
    [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    top, left, height, width = boxes.unbind(1)
    return matrix_of(width, 0, 2 * left + width - 1, 0, height, 2 * top + height - 1, 0, 0, 1)


def check_box_range(scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    """Raise ConfigError unless both ranges are positive and go upwards, and no area is above 1."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ConfigError(
            f"min_scale {scale[0]} and max_scale {scale[1]} must be shares of the area, 0 < min <= max <= 1"
        )
    if not 0 < ratio[0] <= ratio[1]:
        raise ConfigError(f"ratio {ratio} must be two positive numbers, the smaller first")
