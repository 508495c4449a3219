"""Resizing, cutting and padding of one element before collation, with a kernel for each type.

Sizes are (height, width) in pixels. Pixels keep their memory layout: `open_image` gives channels last, in which
torch's uint8 resize is two to five times as fast as Pillow's and equal to it within 1 level (2 for bicubic).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import BoundingBoxFormat, wrap

from fastcli.transforms.matrices import DIHEDRAL
from fastcli.transforms.transform import Interpolation, PadMode
from fastcli.types import BoundingBoxes, Image, KeyPoints, Label, Mask, dispatched, register_kernel

__all__ = ["canvas", "crop", "pad", "place", "resample", "resize_to", "turn"]


@dispatched
def canvas(element: Any) -> tuple[int, int] | None:
    """Height and width of what the element lies on; None for a label, which lies nowhere."""
    raise NotImplementedError(element)


@dispatched
def resize_to(element: Any, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Any:
    """The element resized to `size`, antialiased; masks always take the nearest pixel."""
    raise NotImplementedError(element, size, interpolation)


@dispatched
def crop(element: Any, top: int, left: int, size: tuple[int, int]) -> Any:
    """The part of the element in a box that lies inside its canvas."""
    raise NotImplementedError(element, top, left, size)


@dispatched
def pad(element: Any, top: int, left: int, size: tuple[int, int], mode: PadMode = "reflection") -> Any:
    """The element laid on a larger canvas of `size`, `top` and `left` pixels from its corner."""
    raise NotImplementedError(element, top, left, size, mode)


@dispatched
def turn(element: Any, which: int) -> Any:
    """The element flipped or turned by the symmetry `which` of `DIHEDRAL`; a quarter turn swaps height and width."""
    raise NotImplementedError(element, which)


def place(element: Any, top: int, left: int, size: tuple[int, int], mode: PadMode = "zeros") -> Any:
    """The element in a box of `size`, which on each axis lies inside its canvas (a crop) or covers it (padded)."""
    have = canvas(element)
    if have is None:
        return element
    inside = min(size[0], have[0]), min(size[1], have[1])
    element = crop(element, max(top, 0), max(left, 0), inside)
    return element if inside == size else pad(element, max(-top, 0), max(-left, 0), size, mode)


@register_kernel(canvas, Image, Mask)
def _pixels_canvas(element: Image | Mask) -> tuple[int, int]:
    return element.shape[-2], element.shape[-1]


@register_kernel(resize_to, Image)
def _resize_image(image: Image, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Any:
    return resample(image.as_subclass(Tensor), size, interpolation).as_subclass(type(image))


@register_kernel(resize_to, Mask)
def _resize_mask(mask: Mask, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Any:
    del interpolation  # classes cannot be mixed
    return resample(mask.as_subclass(Tensor), size, "nearest").as_subclass(type(mask))


def resample(pixels: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """Pixels (…, height, width) resized to `size` with antialiasing, of the same dtype.

    >>> resample(torch.tensor([[0, 10, 20, 30]]), (1, 2), "nearest")
    tensor([[10, 30]])
    """
    height, width = pixels.shape[-2:]
    if (height, width) == size:
        return pixels
    if interpolation == "nearest":
        return _take(pixels, _nearest(height, size[0], pixels), _nearest(width, size[1], pixels))
    resized: Tensor = functional.resize(pixels, list(size), InterpolationMode(interpolation), antialias=True)
    return resized


def _nearest(length: int, wanted: int, like: Tensor) -> Tensor:
    """The pixel under the centre of each of `wanted` pixels, as Pillow takes it."""
    return ((torch.arange(wanted, device=like.device) + 0.5) * (length / wanted)).long().clamp_(max=length - 1)


def _take(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The named rows and columns of pixels (…, height, width), in the memory layout that they have."""
    if pixels.ndim != 3:
        return pixels.index_select(-2, rows).index_select(-1, columns)
    return pixels.permute(1, 2, 0).index_select(0, rows).index_select(1, columns).permute(2, 0, 1)


@register_kernel(crop, Image, Mask)
def _crop_pixels(element: Image | Mask, top: int, left: int, size: tuple[int, int]) -> Any:
    cut = element.as_subclass(Tensor)[..., top : top + size[0], left : left + size[1]]
    return cut.as_subclass(type(element))


@register_kernel(pad, Image, Mask)
def _pad_pixels(element: Image | Mask, top: int, left: int, size: tuple[int, int], mode: PadMode = "reflection") -> Any:
    pixels = element.as_subclass(Tensor)
    height, width = pixels.shape[-2:]
    rows, columns = _padded(height, top, size[0], mode, pixels), _padded(width, left, size[1], mode, pixels)
    padded = _take(pixels, rows, columns)
    if mode == "zeros":
        for outside in (padded[..., :top, :], padded[..., top + height :, :],
                        padded[..., :left], padded[..., left + width :]):  # fmt: skip
            outside.zero_()
    return padded.as_subclass(type(element))


def _padded(length: int, before: int, wanted: int, mode: PadMode, like: Tensor) -> Tensor:
    """Which of `length` pixels each of `wanted` shows: outside, those mirrored about the edge pixel, or the edge."""
    index = torch.arange(wanted, device=like.device) - before
    if mode != "reflection" or length == 1:
        return index.clamp_(0, length - 1)
    period = 2 * (length - 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index)


@register_kernel(turn, Image, Mask)
def _turn_pixels(element: Image | Mask, which: int) -> Any:
    xx, xy, yx, yy = DIHEDRAL[which]
    pixels = element.as_subclass(Tensor)
    upright = pixels if xx else pixels.mT
    mirrored = [axis for axis, sign in ((-1, xx + yx), (-2, xy + yy)) if sign < 0]
    return (upright.flip(mirrored) if mirrored else upright).as_subclass(type(element))


@register_kernel(canvas, BoundingBoxes, KeyPoints)
def _points_canvas(element: BoundingBoxes | KeyPoints) -> tuple[int, int]:
    height, width = element.canvas_size
    return height, width


@register_kernel(resize_to, BoundingBoxes, KeyPoints)
def _resize_points(element: Any, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Any:
    del interpolation
    return functional.resize(element, list(size))


@register_kernel(crop, BoundingBoxes, KeyPoints)
def _crop_points(element: Any, top: int, left: int, size: tuple[int, int]) -> Any:
    return functional.crop(element, top, left, *size)


@register_kernel(pad, BoundingBoxes, KeyPoints)
def _pad_points(element: Any, top: int, left: int, size: tuple[int, int], mode: PadMode = "reflection") -> Any:
    del mode
    height, width = element.canvas_size
    return functional.pad(element, [left, top, size[1] - width - left, size[0] - height - top])


@register_kernel(turn, KeyPoints)
def _turn_points(points: KeyPoints, which: int) -> Any:
    size = _turned_size(points, which)
    return wrap(_turned(points.as_subclass(Tensor), points.canvas_size, size, which), like=points, canvas_size=size)


@register_kernel(turn, BoundingBoxes)
def _turn_boxes(boxes: BoundingBoxes, which: int) -> Any:
    edges = functional.convert_bounding_box_format(boxes, new_format=BoundingBoxFormat.XYXY)
    size = _turned_size(boxes, which)
    corners = _turned(edges.as_subclass(Tensor).view(-1, 2, 2), boxes.canvas_size, size, which)
    turned = wrap(torch.cat([corners.amin(1), corners.amax(1)], 1), like=edges, canvas_size=size)
    return functional.convert_bounding_box_format(turned, new_format=boxes.format)


def _turned_size(element: Any, which: int) -> tuple[int, int]:
    height, width = element.canvas_size
    return (height, width) if DIHEDRAL[which][0] else (width, height)


def _turned(points: Tensor, source: tuple[int, int], size: tuple[int, int], which: int) -> Tensor:
    """Points (…, 2) on a canvas `source` where the symmetry puts them on one of `size`."""
    if which == 0:
        return points
    xx, xy, yx, yy = DIHEDRAL[which]
    x, y = points[..., 0] - source[1] / 2, points[..., 1] - source[0] / 2
    return torch.stack([xx * x + yx * y + size[1] / 2, xy * x + yy * y + size[0] / 2], -1)


@register_kernel(canvas, Label)
def _label_canvas(label: Label) -> None:
    return None


@register_kernel(resize_to, Label)
@register_kernel(crop, Label)
@register_kernel(pad, Label)
@register_kernel(turn, Label)
def _label_unchanged(label: Label, *args: Any, **kwargs: Any) -> Label:
    return label
