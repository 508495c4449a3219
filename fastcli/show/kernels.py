"""draw: one element of a sample on matplotlib's axes, by its semantic type."""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import BoundingBoxFormat

from fastcli.show.figures import INK, PALETTE, SMALL
from fastcli.show.lettering import text
from fastcli.types import BoundingBoxes, Image, KeyPoints, Label, Mask, dispatched, register_kernel

__all__ = ["draw", "in_words", "picture", "write_title"]

CLASS_COLOURS = 256
GAP = 0.04
"""Between two pictures of one sample, as a share of the second one's width."""


@dispatched
def draw(element: Any, axes: Any, decoded: Any = None) -> None:
    """Draw one element over what is on the axes; `decoded` is its value for people, where that is shown.

    Pixels lie from 0 to width and 0 to height, downwards, so that points and boxes fit without half a pixel.
    """
    raise NotImplementedError(element, axes, decoded)


@register_kernel(draw, Image)
def draw_image(image: Image, axes: Any, decoded: Any = None) -> None:
    """The picture; a second one stands to the right of the first."""
    del decoded
    pixels = picture(image)
    height, width = pixels.shape[:2]
    left = axes.get_xlim()[1] + GAP * width if axes.images else 0.0
    # The pixels of small pictures are to be seen as they are.
    kernel = "nearest" if 2 * height < axes.bbox.height else "antialiased"
    shown = pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation=kernel, extent=(left, left + width, height, 0))
    _frame(axes, left + width, height)


@register_kernel(draw, Mask)
def draw_mask(mask: Mask, axes: Any, decoded: Any = None) -> None:
    """The classes in colours, half transparent, over the whole picture; a class has the same colour everywhere."""
    del decoded
    indices = mask.as_subclass(Tensor).cpu().long()
    indices = indices[0] if indices.ndim == 3 else indices
    colours = class_colours()[indices.numpy() % CLASS_COLOURS]
    height, width = _canvas(axes, (indices.shape[0], indices.shape[1]))
    axes.imshow(colours, alpha=0.5, interpolation="nearest", extent=(0, width, height, 0))
    _frame(axes, width, height)


@register_kernel(draw, KeyPoints)
def draw_points(points: KeyPoints, axes: Any, decoded: Any = None) -> None:
    """A dot for each point, in the colour of its number."""
    del decoded
    across, down = points.as_subclass(Tensor).detach().float().cpu().reshape(-1, 2).unbind(-1)
    height, width = _canvas(axes, points.canvas_size)
    colours = [PALETTE[(i + 1) % len(PALETTE)] for i in range(len(across))]
    axes.scatter(across, down, s=22, c=colours or None, edgecolors="white", linewidths=0.8, clip_on=False, zorder=3)
    _frame(axes, width, height)


@register_kernel(draw, BoundingBoxes)
def draw_boxes(boxes: BoundingBoxes, axes: Any, decoded: Any = None) -> None:
    """A frame for each box; a `decoded` that is a list of names, one per box, is written into their corners."""
    from matplotlib.patches import Rectangle

    plain = boxes.as_subclass(Tensor).detach().float().cpu()
    corners = functional.convert_bounding_box_format(plain, boxes.format, BoundingBoxFormat.XYXY)
    height, width = _canvas(axes, boxes.canvas_size)
    rows = corners.reshape(-1, 4).tolist()
    names = decoded if isinstance(decoded, list) and len(decoded) == len(rows) else []
    named = [name if isinstance(name, str) else "" for name in names] or [""] * len(rows)
    for (x0, y0, x1, y1), name in zip(rows, named, strict=True):
        colour = PALETTE[1 + sum(name.encode()) % (len(PALETTE) - 1)]
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.6))
        if name:
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.2}
            axes.text(x0, y0, **text(name, "s"), fontsize=SMALL - 1, color="white", va="top", bbox=box)
    _frame(axes, width, height)


@register_kernel(draw, Label)
def draw_label(label: Label, axes: Any, decoded: Any = None) -> None:
    """The label in words above what is drawn; one after another on lines of their own."""
    plain = label.as_subclass(Tensor)
    write_title(axes, in_words(plain.tolist() if decoded is None else decoded))


def write_title(axes: Any, words: str, colour: str = INK) -> None:
    """Write `words` on a new line of the title, cut with an ellipsis where they are wider than the axes."""
    above = axes.get_title()
    label = axes.set_title(**text(words), fontsize=SMALL, color=colour, pad=3)
    shown = label.get_text()
    room = axes.bbox.width
    while len(shown) > 1 and label.get_window_extent().width > room:
        shown = shown[: min(len(shown) - 1, int(len(shown) * 0.97))]
        label.set_text(shown.rstrip() + "…")
    if above:
        label.set_text(f"{above}\n{label.get_text()}")


def in_words(value: Any) -> str:
    """A decoded value in words.

    >>> in_words("dog"), in_words(["sea", "sun"]), in_words([0.5, 2.0]), in_words([])
    ('dog', 'sea, sun', '0.5, 2', '–')
    """
    parts = value if isinstance(value, list | tuple) else [value]
    return ", ".join(f"{part:.4g}" if isinstance(part, float) else str(part) for part in parts) or "–"


def picture(image: Any) -> NDArray[np.float32]:
    """An image (channels, height, width) as an array (height, width, 1 or 3) from 0 to 1, black where not finite.

    Of other than 1 or 3 channels the first three, or the first, are shown.
    """
    pixels = torch.as_tensor(image).detach().as_subclass(Tensor).cpu()
    array = (pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()).numpy()
    shown = array[: 3 if len(array) >= 3 else 1]
    clean: NDArray[np.float32] = np.nan_to_num(shown, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1).transpose(1, 2, 0)
    return clean


@functools.cache
def class_colours() -> NDArray[np.float32]:
    """The colour of each class of a mask, (256, 3) from 0 to 1: twenty well apart, then round the wheel of hues."""
    import matplotlib

    known = [matplotlib.colormaps["tab20"](i)[:3] for i in (*range(0, 20, 2), *range(1, 20, 2))]  # neighbours are alike
    more = [colorsys.hsv_to_rgb(0.618034 * i % 1, 0.55 + 0.4 * (i % 2), 0.9 - 0.3 * (i % 3) / 2)
            for i in range(CLASS_COLOURS - len(known))]  # fmt: skip
    return np.array(known + more, dtype=np.float32)


def _canvas(axes: Any, own: Sequence[int]) -> tuple[float, float]:
    """Height and width of the first picture on the axes, or else the element's own."""
    if axes.images:
        _, width, height, _ = axes.images[0].get_extent()
        return height, width
    return own[0], own[1]


def _frame(axes: Any, width: float, height: float) -> None:
    """Show everything drawn so far, upright, in its own shape, and nothing else."""
    right = max(width, axes.get_xlim()[1]) if axes.images else width
    low = max(height, axes.get_ylim()[0]) if len(axes.images) > 1 else height
    axes.set(xlim=(0, right), ylim=(low, 0), aspect="equal")
    axes.set_axis_off()
