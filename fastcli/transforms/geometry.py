"""Geometric batch transforms: each draws parameters per sample and gives the matrix they stand for.

A matrix maps output coordinates to input coordinates, (x, y, 1) with x and y in [-1, 1] from edge to edge, so a
sequence of transforms is a product of matrices and pixels are read once. Conventions are fastai's: angles,
zoom centres, warp corners, and the order of composition: warp, then the affine ones as listed, then the crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.boxes import Box, box_matrix, central_box, check_box_range, draw_boxes, random_boxes
from fastcli.transforms.matrices import DIHEDRAL, chance, matrix_of, uniform
from fastcli.transforms.transform import BatchTransform, Fraction, Interpolation, PadMode, Probability, Size, pair

__all__ = ["BatchResize", "DeterministicDihedral", "DeterministicFlip", "Dihedral", "Flip", "Geometric",
           "RandomResizedCropBatch", "Rotate", "Warp", "Zoom"]  # fmt: skip

MOST_WARP = 0.7
"""Beyond this both corners of a side can meet, and the homography degenerates."""
Tilt = Annotated[float, Field(ge=-MOST_WARP, le=MOST_WARP)]


class Geometric(BatchTransform):
    """Base: `matrix` turns the drawn parameters into matrices."""

    stage: ClassVar[int] = 1
    """Where the matrix stands in the product: 0 warps, 1 affine ones, 2 crops."""
    mirrors: ClassVar[bool] = False
    """Whether all it does is to mirror left and right, for which no pixel needs to be mixed."""
    fixed: ClassVar[bool] = False
    """Whether it draws nothing, and so acts in validation too."""
    smallest: float = 1.0
    """The least part of the input's side that an output may show: what may be averaged before sampling."""

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Matrices (n, 3, 3) for the drawn `params` (n, k) on an input `aspect` times as wide as high."""
        raise NotImplementedError

    def valid_box(self, aspect: float) -> Box | None:
        """The part of the input that validation sees, or None for all of it."""
        return None


@batch_transforms(name="flip")
@dataclass(frozen=True)
class Flip(Geometric):
    """Mirrors left and right with probability `p`."""

    p: Probability = 0.5
    mirrors = True

    def draw(self, n: int, generator: Generator) -> Tensor:
        """1 for mirrored, else 0: (n, 1)."""
        return chance(torch.ones(n), self.p, 0.0, generator)[:, None]

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Diagonal matrices."""
        return _mirror_matrix(params)


@batch_transforms(name="deterministic_flip")
@dataclass(frozen=True)
class DeterministicFlip(Geometric):
    """Shows view `n`, 0 plain and 1 mirrored, or else view i of sample i; in validation too, for test-time views."""

    n: int | None = None
    mirrors = True
    fixed = True

    def draw(self, n: int, generator: Generator) -> Tensor:
        """1 for mirrored, else 0: (n, 1)."""
        return _views(n, self.n, 2)

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Diagonal matrices."""
        return _mirror_matrix(params)


@batch_transforms(name="dihedral")
@dataclass(frozen=True)
class Dihedral(Geometric):
    """Applies one of the eight flips and quarter turns with probability `p`; a turned oblong keeps its aspect."""

    p: Probability = 0.5

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The number of the symmetry: (n, 1)."""
        which = (8 * torch.rand(n, generator=generator)).floor()
        return chance(which, self.p, 0.0, generator)[:, None]

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Signed permutations, corrected for the aspect."""
        return _dihedral_matrix(params, aspect)


@batch_transforms(name="deterministic_dihedral")
@dataclass(frozen=True)
class DeterministicDihedral(Geometric):
    """Shows view `n` of the eight flips and turns, or else view i of sample i; in validation too, as the flip."""

    n: int | None = None
    fixed = True

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The number of the symmetry: (n, 1)."""
        return _views(n, self.n, len(DIHEDRAL))

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Signed permutations, corrected for the aspect."""
        return _dihedral_matrix(params, aspect)


def _views(n: int, view: int | None, many: int) -> Tensor:
    """Which of `many` views each of `n` samples shows, in turn unless one `view` is given: (n, 1)."""
    which = torch.arange(n) if view is None else torch.full((n,), view)
    return (which % many).float()[:, None]


def _mirror_matrix(params: Tensor) -> Tensor:
    return matrix_of(1 - 2 * params[:, 0], 0, 0, 0, 1, 0, 0, 0, 1)


def _dihedral_matrix(params: Tensor, aspect: float) -> Tensor:
    xx, xy, yx, yy = torch.tensor(DIHEDRAL, dtype=torch.float32)[params[:, 0].long()].unbind(1)
    return matrix_of(xx, xy / aspect, 0, yx * aspect, yy, 0, 0, 0, 1)


@batch_transforms(name="rotate")
@dataclass(frozen=True)
class Rotate(Geometric):
    """Rotates about the centre by up to `max_deg` degrees either way, or by `degrees`, with probability `p`."""

    max_deg: Annotated[float, Field(ge=0, le=180)] = 10.0
    p: Probability = 0.5
    degrees: float | None = None

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Degrees clockwise: (n, 1)."""
        return chance(uniform(n, -self.max_deg, self.max_deg, generator, self.degrees), self.p, 0.0, generator)[:, None]

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Rotations in pixels, corrected for the aspect."""
        angle = params[:, 0] * (math.pi / 180)
        cos, sin = angle.cos(), angle.sin()
        return matrix_of(cos, sin / aspect, 0, -sin * aspect, cos, 0, 0, 0, 1)


@batch_transforms(name="zoom")
@dataclass(frozen=True)
class Zoom(Geometric):
    """Enlarges by `min_zoom` to `max_zoom`, or by `factor`, about a random point, with probability `p`.

    `across` and `down` in 0..1 say where the centre lies instead.
    """

    min_zoom: Annotated[float, Field(gt=0)] = 1.0
    max_zoom: Annotated[float, Field(gt=0)] = 1.1
    p: Probability = 0.5
    factor: Annotated[float, Field(gt=0)] | None = None
    across: Probability | None = None
    down: Probability | None = None

    def __post_init__(self) -> None:
        if self.factor is not None and self.factor <= 0:
            raise ConfigError(f"a zoom by {self.factor:g} is not above 0")
        if not 0 < self.min_zoom <= self.max_zoom:
            raise ConfigError(f"min_zoom {self.min_zoom} must be above 0 and at most max_zoom {self.max_zoom}")

    @property
    def smallest(self) -> float:  # type: ignore[override]
        """The part that the largest zoom shows."""
        return 1 / max(1.0, self.max_zoom if self.factor is None else self.factor)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The factor, and where the centre lies across and down in 0..1: (n, 3)."""
        factor = chance(uniform(n, self.min_zoom, self.max_zoom, generator, self.factor), self.p, 1.0, generator)
        centre = torch.rand(n, 2, generator=generator)
        for axis, always in enumerate((self.across, self.down)):
            if always is not None:
                centre[:, axis] = always
        return torch.cat([factor[:, None], centre], 1)

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Scalings with a shift that keeps the view inside the input."""
        scale = 1 / params[:, 0]
        across, down = ((1 - scale[:, None]) * (2 * params[:, 1:] - 1)).unbind(1)
        return matrix_of(scale, 0, across, 0, scale, down, 0, 0, 1)


@batch_transforms(name="warp")
@dataclass(frozen=True)
class Warp(Geometric):
    """Tilts as if seen from another place, by up to `magnitude` in x and in y, each with probability `p`.

    `x` and `y` give the tilts instead.
    """

    magnitude: Annotated[float, Field(ge=0, le=MOST_WARP)] = 0.2
    p: Probability = 0.5
    x: Tilt | None = None
    y: Tilt | None = None
    stage = 0

    def __post_init__(self) -> None:
        for tilt in (self.magnitude, abs(self.x or 0.0), abs(self.y or 0.0)):
            if not 0 <= tilt <= MOST_WARP:
                raise ConfigError(f"a warp of {tilt:g} is not within 0..{MOST_WARP}")

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The tilts in x and y: (n, 2)."""
        tilts = [uniform(n, -self.magnitude, self.magnitude, generator, always) for always in (self.x, self.y)]
        return torch.stack([chance(tilt, self.p, 0.0, generator) for tilt in tilts], 1)

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """The homographies that take the corners (-1-y, -1-x), (-1+y, 1+x), (1+y, -1+x), (1-y, 1-x) to the square's.

        The square-to-quadrilateral map of these corners is [[1-y², -xy, x], [-xy, 1-x², y], [x, y, 1]]; this is
        its inverse.
        """
        x, y = params.unbind(1)
        k = 1 - x * x - y * y
        side, right, bottom = 2 * x * y / k, -x * (1 + y * y - x * x) / k, -y * (1 + x * x - y * y) / k
        return matrix_of(1, side, right, side, 1, bottom, right, bottom, 1)


@batch_transforms(name="random_resized_crop")
@dataclass(frozen=True)
class RandomResizedCropBatch(Geometric):
    """Shows a box of random area, shape and position of each sample at `size`; fastai draws one for the whole batch.

    Validation shows the central box of an allowed shape, its sides times `valid_scale`.
    """

    size: Size
    min_scale: Fraction = 0.08
    max_scale: Fraction = 1.0
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    valid_scale: Fraction = 1.0
    stage = 2

    def __post_init__(self) -> None:
        check_box_range((self.min_scale, self.max_scale), self.ratio)

    @property
    def smallest(self) -> float:  # type: ignore[override]
        """The side of the smallest box."""
        return math.sqrt(self.min_scale)

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """`size` as height and width."""
        return pair(self.size)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Area, shape and position of the attempts: (n, 22)."""
        return draw_boxes(n, generator)

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Scalings and shifts onto the boxes."""
        return box_matrix(random_boxes(params, aspect, (self.min_scale, self.max_scale), self.ratio))

    def valid_box(self, aspect: float) -> Box:
        """The central box."""
        return central_box(aspect, self.ratio, self.valid_scale)


@batch_transforms(name="resize")
@dataclass(frozen=True)
class BatchResize(Geometric):
    """Gives the output its size, the whole input on it, and says how pixels are read for all geometric transforms."""

    size: Size | None = None
    mode: Interpolation = "bilinear"
    pad_mode: PadMode = "reflection"

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """`size` as height and width, or the input's."""
        return size if self.size is None else pair(self.size)

    def matrix(self, params: Tensor, aspect: float) -> Tensor:
        """Identities: coordinates go from edge to edge at every size."""
        return torch.eye(3).expand(len(params), 3, 3)
