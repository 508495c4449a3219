"""The contracts of item transforms and of batch transforms, and the types of their parameters."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Generator, Tensor

__all__ = ["BatchTransform", "Fraction", "Interpolation", "ItemTransform", "PadMode", "Probability", "Scaling",
           "Size", "pair"]  # fmt: skip

Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Size = Annotated[int, Field(gt=0)] | tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""Pixels: the side of a square, or height and width."""
Interpolation = Literal["bilinear", "bicubic", "nearest"]
PadMode = Literal["reflection", "border", "zeros"]


class Scaling(NamedTuple):
    """A new height and width, and how the pixels between are found."""

    size: tuple[int, int]
    interpolation: Interpolation


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width.

    >>> pair(224), pair((100, 150))
    ((224, 224), (100, 150))
    """
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class ItemTransform:
    """Works on one element (an `Image`, `Mask`, … tensor before collation), in two halves.

    `prepare` is the same for every view, so its result may be kept in the data store. `finish` is what differs
    from view to view; all elements of one sample get the same row of `draw`, so an image and its mask move together.
    A transform without randomness implements `prepare` alone.
    """

    random = False
    """Whether `finish` does anything; what stands after a random transform is not kept in the store either."""

    def prepare(self, element: Any) -> Any:
        """The part that is done once per element."""
        return element

    def draw(self, n: int, generator: Generator) -> Tensor | None:
        """Random numbers for `n` training samples, a row each (n, …), from the CPU `generator`; None if not random."""
        return None

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The part that is done for every view. `row` is this sample's draw, or None in validation."""
        return element

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """Height and width of the result for an input of `size`; None where they differ from element to element."""
        return size

    def scaling(self, size: tuple[int, int]) -> Scaling | None:
        """How `prepare` scales a whole picture of `size`, if it does that and nothing else."""
        return None

    def signature(self) -> str | None:
        """All that the result of `prepare` depends on besides the element; None where nobody has said it.

        What is prepared is kept between runs under this, so a class of your own says here what it is and its version.
        """
        ours = type(self).__module__.startswith("fastcli.") and is_dataclass(self)
        return repr(self) if ours else None


class BatchTransform:
    """Works on a collated batch, on its device: base of `Geometric`, `Lighting` and `PixelTransform`."""

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Parameters for `n` samples, (n, k) float32 on the CPU: every device gets the same numbers."""
        return torch.empty(n, 0)

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """Height and width of the result for an input of `size`."""
        return size
