"""Single pictures and functions, as a notebook shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from fastcli.show.figures import open_figure
from fastcli.show.kernels import write_title
from fastcli.show.lettering import text

__all__ = ["plot_function", "show_image", "show_images"]

CHANNELS = 4
"""A first dimension of at most this many is that of the channels."""
POINTS = 100


def show_image(
    image: Any,
    axes: Any = None,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
    cmap: str | None = None,
) -> Any:
    """The axes on which `image` is drawn, an own figure's if none are given.

    `image`: a tensor (channels, height, width) or (height, width), an array (height, width, channels) or (height,
    width), or a Pillow image. A side of the figure is 1 inch per 32 pixels, from 1 to 5. One channel goes through
    `cmap`, its least value to its greatest.
    """
    pixels = _pixels(image)
    if axes is None:
        height, width = (min(5, max(1, side // 32)) for side in pixels.shape[:2])
        figure = open_figure(*(figsize or (width, height)))
        axes = figure.add_axes((0, 0, 1, 1) if title is None else (0, 0, 1, 1 - 0.25 / figure.get_figheight()))
    axes.imshow(pixels, cmap=cmap or _grey())
    if title is not None:
        write_title(axes, str(title))
    axes.set_axis_off()
    return axes


def show_images(
    images: Sequence[Any],
    rows: int | None = None,
    columns: int | None = None,
    titles: Sequence[Any] | None = None,
    figsize: tuple[float, float] | None = None,
    size: float = 3.0,
    cmap: str | None = None,
) -> Any:
    """A figure of all `images` in one row, or in `rows` or `columns`; each is `size` inches wide."""
    n = len(images)
    columns = columns or math.ceil(n / (rows or 1))
    rows = rows or math.ceil(n / columns)
    figure = open_figure(*(figsize or (columns * size, rows * size)))
    grid = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for axes, image, title in zip(grid, images, titles or [None] * n, strict=False):
        show_image(image, axes, title=None if title is None else str(title), cmap=cmap)
    for spare in grid[n:]:
        spare.set_axis_off()
    return figure


def plot_function(
    f: Callable[[Any], Any],
    tx: str | None = None,
    ty: str | None = None,
    title: str | None = None,
    min: float = -2,
    max: float = 2,
    figsize: tuple[float, float] = (6, 4),
) -> Any:
    """The axes with the curve of `f` over 100 points from `min` to `max`; `tx` and `ty` name the axes (fastbook)."""
    x = torch.linspace(min, max, steps=POINTS)
    figure = open_figure(*figsize)
    axes = figure.subplots()
    axes.plot(x, torch.as_tensor(f(x)).detach())
    for words, write, name in (
        (tx, axes.set_xlabel, "xlabel"),
        (ty, axes.set_ylabel, "ylabel"),
        (title, axes.set_title, "label"),
    ):
        if words is not None:
            write(**text(words, name))
    return axes


def _pixels(image: Any) -> Any:
    """The image as matplotlib wants it: (height, width) or (height, width, channels)."""
    if isinstance(image, torch.Tensor):
        image = image.detach().as_subclass(torch.Tensor).cpu()
        image = image.float() if image.dtype in (torch.float16, torch.bfloat16) else image
        image = image.permute(1, 2, 0) if image.ndim == 3 and len(image) <= CHANNELS else image
        image = image.numpy()
    pixels = np.asarray(image)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    if pixels.ndim == 3 and pixels.dtype.kind == "f":  # colours out of their range would be cut with a remark
        pixels = np.nan_to_num(pixels).clip(0, 1)
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def _grey() -> str:
    """The map of grey pictures that was set for all figures, or else black to white."""
    import matplotlib

    chosen: str = matplotlib.rcParams["image.cmap"]
    return "gray" if chosen == matplotlib.rcParamsDefault["image.cmap"] else chosen
