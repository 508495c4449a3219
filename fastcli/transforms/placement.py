"""Item transforms that only move whole pixels or scale to a side: flips, turns, crops and pads of a given size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Generator, Tensor

from fastcli.registry import item_transforms
from fastcli.transforms.matrices import DIHEDRAL, chance
from fastcli.transforms.spatial import canvas, place, resize_to, turn
from fastcli.transforms.transform import Interpolation, ItemTransform, PadMode, Probability, Scaling, Size, pair

__all__ = ["CropPad", "DihedralItem", "FlipItem", "RandomCrop", "RatioResize"]


@item_transforms(name="flip_item")
@dataclass(frozen=True)
class FlipItem(ItemTransform):
    """Mirrors left and right with probability `p`, in training."""

    p: Probability = 0.5
    random = True

    def draw(self, n: int, generator: Generator) -> Tensor:
        """1 for mirrored, else 0: (n,)."""
        return chance(torch.ones(n), self.p, 0.0, generator)

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The element, mirrored if this sample's coin says so."""
        return turn(element, 0 if row is None else int(row))


@item_transforms(name="dihedral_item")
@dataclass(frozen=True)
class DihedralItem(ItemTransform):
    """Applies one of the eight flips and quarter turns with probability `p`, in training; height and width may swap."""

    p: Probability = 1.0
    random = True

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The number of the symmetry: (n,)."""
        which = (len(DIHEDRAL) * torch.rand(n, generator=generator)).floor()
        return chance(which, self.p, 0.0, generator)

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """Known for squares only."""
        return size if size is not None and size[0] == size[1] else None

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The element under this sample's symmetry."""
        return turn(element, 0 if row is None else int(row))


@item_transforms(name="crop_pad")
@dataclass(frozen=True)
class CropPad(ItemTransform):
    """Cuts the middle to `size` where the picture is larger and pads it where it is smaller; nothing is scaled."""

    size: Size
    pad_mode: PadMode = "zeros"

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """`size` as height and width."""
        return pair(self.size)

    def prepare(self, element: Any) -> Any:
        """The middle of the element."""
        have, wanted = canvas(element), pair(self.size)
        if have is None:
            return element
        return place(element, (have[0] - wanted[0]) // 2, (have[1] - wanted[1]) // 2, wanted, self.pad_mode)


@item_transforms(name="random_crop")
@dataclass(frozen=True)
class RandomCrop(ItemTransform):
    """Cuts `size` at a random position in training and in the middle in validation; what is smaller is padded."""

    size: Size
    pad_mode: PadMode = "zeros"
    random = True

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """`size` as height and width."""
        return pair(self.size)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """The position down and across, in 0..1: (n, 2)."""
        return torch.rand(n, 2, generator=generator)

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """This view's part of the element."""
        have, wanted = canvas(element), pair(self.size)
        if have is None:
            return element
        room = have[0] - wanted[0], have[1] - wanted[1]
        if row is None:
            return place(element, room[0] // 2, room[1] // 2, wanted, self.pad_mode)
        top, left = (_within(part, length) for part, length in zip(row.tolist(), room, strict=True))
        return place(element, top, left, wanted, self.pad_mode)


def _within(part: float, room: int) -> int:
    """One of the whole numbers from 0 to `room`, all equally likely for `part` uniform in 0..1.

    >>> _within(0.99, 2), _within(0.99, -2)
    (2, -2)
    """
    return int(part * (room + 1)) if room >= 0 else -int(part * (1 - room))


@item_transforms(name="ratio_resize")
@dataclass(frozen=True)
class RatioResize(ItemTransform):
    """Scales the longer side to `max_size`, the aspect kept; sizes still differ from picture to picture."""

    max_size: Annotated[int, Field(gt=0)]
    interpolation: Interpolation = "bilinear"

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """The scaled size, where the input's is known."""
        if size is None:
            return None
        height, width = (max(1, side * self.max_size // max(size)) for side in size)
        return height, width

    def prepare(self, element: Any) -> Any:
        """The whole element, scaled."""
        size = canvas(element)
        scaling = None if size is None else self.scaling(size)
        return element if scaling is None else resize_to(element, *scaling)

    def scaling(self, size: tuple[int, int]) -> Scaling | None:
        """The scaled size."""
        scaled = self.output_size(size)
        return None if scaled is None else Scaling(scaled, self.interpolation)
