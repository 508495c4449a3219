"""Brightness and contrast in logit space, where a pixel cannot leave 0..1: sigmoid(scale * logit(x) + shift)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.matrices import chance, uniform
from fastcli.transforms.transform import BatchTransform, Probability

__all__ = ["Brightness", "Contrast", "Lighting"]

Change = Annotated[float, Field(ge=0, lt=1)]


class Lighting(BatchTransform):
    """Base: `curve` turns the drawn parameters into a straight line in logit space; training only."""

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift of the logits, each (n,), for `params` (n, k)."""
        raise NotImplementedError


def _check(max_lighting: float) -> None:
    if not 0 <= max_lighting < 1:
        raise ConfigError(f"max_lighting {max_lighting:g} is not within 0 <= max_lighting < 1")


@batch_transforms(name="brightness")
@dataclass(frozen=True)
class Brightness(Lighting):
    """Moves mid-grey to a level within 0.5 ± 0.5 `max_lighting`, with probability `p`."""

    max_lighting: Change = 0.2
    p: Probability = 0.75

    def __post_init__(self) -> None:
        _check(self.max_lighting)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """What mid-grey becomes: (n, 1)."""
        level = uniform(n, 0.5 * (1 - self.max_lighting), 0.5 * (1 + self.max_lighting), generator)
        return chance(level, self.p, 0.5, generator)[:, None]

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """No scale, and the logit of the level as shift."""
        return torch.ones(len(params)), torch.logit(params[:, 0])


@batch_transforms(name="contrast")
@dataclass(frozen=True)
class Contrast(Lighting):
    """Multiplies logits by a factor between 1 - `max_lighting` and its reciprocal, with probability `p`."""

    max_lighting: Change = 0.2
    p: Probability = 0.75

    def __post_init__(self) -> None:
        _check(self.max_lighting)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The factor, log-uniform: (n, 1)."""
        most = -math.log(1 - self.max_lighting)
        return chance(uniform(n, -most, most, generator).exp(), self.p, 1.0, generator)[:, None]

    def curve(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """The factor as scale, and no shift."""
        return params[:, 0], torch.zeros(len(params))
