"""How each type leaves the last batch transform as a plain tensor, and how it comes back for showing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxFormat

from fastcli.types import BoundingBoxes, KeyPoints, Mask, dispatched, register_kernel

__all__ = ["plain", "shown"]

CanvasSize = tuple[int, int] | None


@dispatched
def plain(element: Any, size: CanvasSize) -> Tensor:
    """A batched element as models and losses take it. `size` is the pictures' height and width, None without any."""
    raise NotImplementedError(element, size)


@dispatched
def shown(element: Any, size: CanvasSize) -> Any:
    """What `plain` undoes: a typed element, of one sample or of a batch, to draw on a picture of `size`."""
    raise NotImplementedError(element, size)


@register_kernel(plain, Tensor)
def _plain_tensor(element: Tensor, size: CanvasSize) -> Tensor:
    tensor: Tensor = element.as_subclass(Tensor)
    return tensor


@register_kernel(plain, Mask)
def _plain_mask(mask: Mask, size: CanvasSize) -> Tensor:
    """Classes int64 (n, height, width), without the channel that stores give them."""
    classes: Tensor = mask.as_subclass(Tensor).long()
    return classes.squeeze(1) if classes.ndim == 4 else classes


@register_kernel(plain, KeyPoints)
def _plain_points(points: KeyPoints, size: CanvasSize) -> Tensor:
    """Points float32 (n, …, 2) as x and y in [-1, 1] from edge to edge."""
    height, width = _needed(size, points)
    across, down = points.as_subclass(Tensor).float().unbind(-1)
    return torch.stack([across * (2 / width) - 1, down * (2 / height) - 1], -1)


@register_kernel(plain, BoundingBoxes)
def _plain_boxes(boxes: BoundingBoxes, size: CanvasSize) -> Tensor:
    """Boxes float32 (n, …, 4) as left, top, right and bottom in pixels; one that lies outside has no area."""
    edges: Tensor = boxes.as_subclass(Tensor).float()
    return edges


@register_kernel(shown, Tensor)
def _shown_tensor(element: Tensor, size: CanvasSize) -> Any:
    return element


@register_kernel(shown, KeyPoints)
def _shown_points(points: KeyPoints, size: CanvasSize) -> Any:
    height, width = _needed(size, points)
    across, down = points.as_subclass(Tensor).float().unbind(-1)
    pixels = torch.stack([(across + 1) * (width / 2), (down + 1) * (height / 2)], -1)
    return type(points)(pixels, canvas_size=(height, width))


@register_kernel(shown, BoundingBoxes)
def _shown_boxes(boxes: BoundingBoxes, size: CanvasSize) -> Any:
    # Not by the constructor, which refuses the boxes of a whole batch.
    boxes.format, boxes.clamping_mode = BoundingBoxFormat.XYXY, "soft"
    boxes.canvas_size = _needed(size, boxes)
    return boxes


def _needed(size: CanvasSize, element: Any) -> tuple[int, int]:
    if size is None:
        raise TypeError(f"{type(element).__name__} without a picture or mask beside them have no canvas to lie on")
    return size
