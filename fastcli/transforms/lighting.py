"""Brightness, contrast and saturation in logit space, where a pixel cannot leave 0..1.

Each is a straight line of the logits, sigmoid(scale * logit(x) + shift), or such a line over the three colours with a
matrix for scale; lines compose to one line, so that however many there are, pixels are read once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.matrices import chance, uniform
from fastcli.transforms.transform import BatchTransform, Probability

__all__ = ["Brightness", "Contrast", "Lighting", "Saturation", "draw_curves", "light"]

Change = Annotated[float, Field(ge=0, lt=1)]
Level = Annotated[float, Field(gt=0, lt=1)]
Factor = Annotated[float, Field(gt=0)]
LOGIT_EPS = 1e-7
GREY = (0.2989, 0.5870, 0.1140)
"""The shares of red, green and blue in grey, as fastai rounds them; they add up to 0.9999."""


class Lighting(BatchTransform):
    """Base: `curve` turns the drawn parameters into a straight line in logit space; training only."""

    mixes: ClassVar[bool] = False
    """Whether the scale is a matrix over red, green and blue. A grey picture has no colours, so it stays as it is."""

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Scale, (n,) or (n, 3, 3) where it mixes, and shift, (n,), of the logits for `params` (n, k)."""
        raise NotImplementedError


def draw_curves(transforms: Sequence[Lighting], n: int, generator: Generator) -> Tensor:
    """All transforms in turn as one line per sample, (n, 2): scale and shift.

    With colours mixed (n, 14): that line without the mixing ones, for grey, then a colour matrix with its shifts as a
    fourth column, by rows.
    """
    scale, shift = torch.ones(n), torch.zeros(n)
    colours = torch.eye(3, 4).expand(n, 3, 4)
    for transform in transforms:
        factor, offset = transform.curve(transform.draw(n, generator))
        if transform.mixes:
            colours = factor @ colours
        else:
            scale, shift = scale * factor, shift * factor + offset
            colours = colours * factor[:, None, None]
        colours = torch.cat([colours[..., :3], colours[..., 3:] + offset[:, None, None]], -1)
    line = torch.stack([scale, shift], 1)
    return torch.cat([line, colours.flatten(1)], 1) if any(transform.mixes for transform in transforms) else line


def light(images: Tensor, curves: Tensor, peak: float) -> Tensor:
    """Float images (n, channels, height, width) in 0..peak, lit by `draw_curves`' lines, in 0..1; may work in place."""
    logits = images.mul_(1 / peak).logit_(LOGIT_EPS)
    channels = logits.shape[1]
    if curves.shape[1] == 2 or channels == 1:
        logits.mul_(curves[:, 0, None, None, None]).add_(curves[:, 1, None, None, None])
    else:
        if channels != 3:
            raise ConfigError(f"saturation needs pictures of 3 channels, or grey ones, not of {channels}")
        colours = curves[:, 2:].view(-1, 3, 4)
        logits = torch.baddbmm(colours[..., 3:], colours[..., :3], logits.flatten(2)).view(logits.shape)
    return logits.sigmoid_()


def _check(max_lighting: float, factor: float | None = None) -> None:
    if not 0 <= max_lighting < 1:
        raise ConfigError(f"max_lighting {max_lighting:g} is not within 0 <= max_lighting < 1")
    if factor is not None and factor <= 0:
        raise ConfigError(f"a factor of {factor:g} is not above 0")


def _draw_factor(n: int, max_lighting: float, p: float, always: float | None, generator: Generator) -> Tensor:
    """Log-uniform factors between 1 - `max_lighting` and its reciprocal, or 1: (n, 1)."""
    most = -math.log(1 - max_lighting)
    power = uniform(n, -most, most, generator, None if always is None else math.log(always))
    return chance(power.exp(), p, 1.0, generator)[:, None]


@batch_transforms(name="brightness")
@dataclass(frozen=True)
class Brightness(Lighting):
    """Moves mid-grey to a level within 0.5 ± 0.5 `max_lighting`, or to `level`, with probability `p`."""

    max_lighting: Change = 0.2
    p: Probability = 0.75
    level: Level | None = None

    def __post_init__(self) -> None:
        _check(self.max_lighting)
        if self.level is not None and not 0 < self.level < 1:
            raise ConfigError(f"a level of {self.level:g} is not within 0 < level < 1")

    def draw(self, n: int, generator: Generator) -> Tensor:
        """What mid-grey becomes: (n, 1)."""
        low, high = 0.5 * (1 - self.max_lighting), 0.5 * (1 + self.max_lighting)
        return chance(uniform(n, low, high, generator, self.level), self.p, 0.5, generator)[:, None]

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """No scale, and the logit of the level as shift."""
        return torch.ones(len(params)), torch.logit(params[:, 0])


@batch_transforms(name="contrast")
@dataclass(frozen=True)
class Contrast(Lighting):
    """Multiplies logits by 1 - `max_lighting` up to its reciprocal, or by `factor`, with probability `p`."""

    max_lighting: Change = 0.2
    p: Probability = 0.75
    factor: Factor | None = None

    def __post_init__(self) -> None:
        _check(self.max_lighting, self.factor)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The factor, log-uniform: (n, 1)."""
        return _draw_factor(n, self.max_lighting, self.p, self.factor, generator)

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """The factor as scale, and no shift."""
        return params[:, 0], torch.zeros(len(params))


@batch_transforms(name="saturation")
@dataclass(frozen=True)
class Saturation(Lighting):
    """Multiplies the distance of logits from their grey by such a factor, or by `factor`, with probability `p`."""

    max_lighting: Change = 0.2
    p: Probability = 0.75
    factor: Factor | None = None
    mixes = True

    def __post_init__(self) -> None:
        _check(self.max_lighting, self.factor)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The factor, log-uniform: (n, 1)."""
        return _draw_factor(n, self.max_lighting, self.p, self.factor, generator)

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """The factor on the diagonal and what it leaves of grey in every colour, and no shift."""
        factor = params[:, :, None]
        return factor * torch.eye(3) + (1 - factor) * torch.tensor(GREY), torch.zeros(len(params))
