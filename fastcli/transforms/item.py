"""Item transforms that give every picture one size, and the pipeline that runs them.

Each scales the whole picture first (`prepare`, kept in the store) and cuts this view's part afterwards
(`finish`), so that a training run scales a picture once and not once per epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from fastcli.registry import item_transforms
from fastcli.transforms.boxes import Box, check_box_range, draw_boxes, pixel_box, random_boxes
from fastcli.transforms.spatial import canvas, crop, pad, resize_to
from fastcli.transforms.transform import Fraction, Interpolation, ItemTransform, PadMode, Scaling, Size, pair

__all__ = ["ItemPipeline", "RandomResizedCrop", "Resize"]

MOST_OUTPUTS = 8
"""Outputs' worth of pixels up to which a small but long picture is enlarged before it is kept."""
WORTHWHILE = 0.8
"""Pictures are reduced for keeping when their sides shrink at least to this share."""


@item_transforms(name="resize")
@dataclass(frozen=True)
class Resize(ItemTransform):
    """Gives pictures one size: by cutting what is too long, by padding what is too short, or by squishing.

    With `crop` and `pad` the aspect is kept; the position is random in training and central in validation. fastai
    cuts and then scales; this scales once and then cuts, equal within a pixel. A thin strip that would become larger
    than eight outputs when enlarged is cut first here too.
    """

    size: Size
    method: Literal["crop", "pad", "squish"] = "crop"
    pad_mode: PadMode = "reflection"
    interpolation: Interpolation = "bilinear"

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether there is a position to draw."""
        return self.method != "squish"

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """`size` as height and width."""
        return pair(self.size)

    def prepare(self, element: Any) -> Any:
        """The whole element, scaled so that the output fits into it (crop) or it fits into the output (pad)."""
        size = canvas(element)
        scaling = None if size is None else self.scaling(size)
        return element if scaling is None else resize_to(element, *scaling)

    def scaling(self, size: tuple[int, int]) -> Scaling | None:
        """What a picture of `size` is scaled to; None for a thin strip, which is cut first."""
        wanted = pair(self.size) if self.method == "squish" else self._scaled(size)
        too_large = math.prod(wanted) > max(math.prod(size), MOST_OUTPUTS * math.prod(pair(self.size)))
        return None if too_large else Scaling(wanted, self.interpolation)

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        scales = [wanted / have for wanted, have in zip(pair(self.size), size, strict=True)]
        scale = max(scales) if self.method == "crop" else min(scales)
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    def draw(self, n: int, generator: Generator) -> Tensor | None:
        """The position across and down, in 0..1: (n, 2)."""
        return torch.rand(n, 2, generator=generator) if self.random else None

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The element cut or padded at this view's position."""
        size = canvas(element)
        if size is None or not self.random:
            return element
        height, width = pair(self.size)
        scale = (min if self.method == "crop" else max)(size[0] / height, size[1] / width)
        box = max(1, int(scale * height)), max(1, int(scale * width))
        across, down = (0.5, 0.5) if row is None else row.tolist()
        top, left = int(down * (size[0] - box[0])), int(across * (size[1] - box[1]))
        if self.method == "crop":
            element = crop(element, top, left, box)
        else:
            element = pad(element, -top, -left, box, self.pad_mode)
        return resize_to(element, (height, width), self.interpolation)


@item_transforms(name="random_resized_crop")
@dataclass(frozen=True)
class RandomResizedCrop(ItemTransform):
    """Cuts a box of random area, shape and position in training and scales it to `size`.

    Validation scales the short side to `size` plus `valid_extra` of it (up to the next 8 pixels) and cuts the middle,
    so the aspect is kept; fastai squishes the whole picture there. Pictures larger than the smallest box
    needs are kept reduced.
    """

    size: Size
    min_scale: Fraction = 0.08
    max_scale: Fraction = 1.0
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    valid_extra: float = 0.14
    interpolation: Interpolation = "bilinear"
    random = True

    def __post_init__(self) -> None:
        check_box_range((self.min_scale, self.max_scale), self.ratio)

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """`size` as height and width."""
        return pair(self.size)

    def prepare(self, element: Any) -> Any:
        """The whole element, no larger than it must be for the smallest box to have `size` pixels."""
        size = canvas(element)
        scaling = None if size is None else self.scaling(size)
        return element if scaling is None else resize_to(element, *scaling)

    def scaling(self, size: tuple[int, int]) -> Scaling | None:
        """What a picture of `size` is reduced to; None for one that is not much larger."""
        height, width = pair(self.size)
        area = max(width**2 / self.ratio[0], height**2 * self.ratio[1]) / self.min_scale
        scale = max(math.sqrt(area / math.prod(size)), self._valid_scale(size))
        if scale > WORTHWHILE:
            return None
        return Scaling((math.ceil(size[0] * scale), math.ceil(size[1] * scale)), self.interpolation)

    def _valid_scale(self, size: tuple[int, int]) -> float:
        height, width = pair(self.size)
        extra = math.ceil(max(height, width) * self.valid_extra / 8) * 8
        return max((height + extra) / size[0], (width + extra) / size[1])

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Area, shape and position of the attempts: (n, 22)."""
        return draw_boxes(n, generator)

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """This view's box of the element, scaled to `size`."""
        size = canvas(element)
        if size is None:
            return element
        top, left, height, width = pixel_box(self._box(size, row), size)
        return resize_to(crop(element, top, left, (height, width)), pair(self.size), self.interpolation)

    def _box(self, size: tuple[int, int], row: Tensor | None) -> Box:
        if row is not None:
            scale = self.min_scale, self.max_scale
            top, left, height, width = random_boxes(row[None], size[1] / size[0], scale, self.ratio)[0].tolist()
            return top, left, height, width
        scaled = self._valid_scale(size)
        height, width = (part / scaled / whole for part, whole in zip(pair(self.size), size, strict=True))
        return (1 - height) / 2, (1 - width) / 2, height, width


class ItemPipeline:
    """Item transforms in order, split where what may be kept ends: after the first random transform's `prepare`."""

    def __init__(self, transforms: Iterable[ItemTransform] = ()) -> None:
        self.transforms = list(transforms)
        randoms = [i for i, transform in enumerate(self.transforms) if transform.random]
        self._first_random = randoms[0] if randoms else len(self.transforms)

    def __repr__(self) -> str:
        return f"ItemPipeline({self.transforms})"

    @property
    def random(self) -> bool:
        """Whether views of one element differ; if not, `prepare` does everything."""
        return self._first_random < len(self.transforms)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of every output, or None where they differ from element to element."""
        size = None
        for transform in self.transforms:
            size = transform.output_size(size)
        return size

    def prepare(self, element: Any) -> Any:
        """The part that is done once per element, and may be kept."""
        for transform in self._preparing:
            element = transform.prepare(element)
        return element

    @property
    def _preparing(self) -> list[ItemTransform]:
        """The transforms that do something in `prepare`."""
        prepared = self.transforms[: self._first_random + 1]
        return [transform for transform in prepared if type(transform).prepare is not ItemTransform.prepare]

    def scaling(self, size: tuple[int, int]) -> Scaling | None:
        """How `prepare` scales a whole picture of `size` before all else, if it begins so."""
        return self._preparing[0].scaling(size) if self._preparing else None

    def signature(self) -> str | None:
        """All that the result of `prepare` depends on besides the element; None where one of them does not say it."""
        signatures = [transform.signature() for transform in self._preparing]
        return None if None in signatures else repr(signatures)

    def draw(self, n: int, generator: Generator) -> list[Tensor | None]:
        """For each transform, random numbers for `n` samples (n, …), or None."""
        return [transform.draw(n, generator) for transform in self.transforms]

    def finish(self, element: Any, row: Sequence[Tensor | None] | None) -> Any:
        """One view of a prepared element. `row` has this sample's draw of each transform; None in validation."""
        for i in range(self._first_random, len(self.transforms)):
            if i > self._first_random:
                element = self.transforms[i].prepare(element)
            element = self.transforms[i].finish(element, None if row is None else row[i])
        return element

    def __call__(self, element: Any) -> Any:
        """The validation view of a fresh element."""
        return self.finish(self.prepare(element), None)
