"""Pictures of data: what the model sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcli.report.style import INK, SMALL, new_figure, save, text

MOST_IMAGES = 36
CELL = 1.55
"""Width of one picture in inches."""


def show_batch(images: Any, titles: Sequence[str], path: Path) -> None:
    """Draw up to 36 images in a grid, each under its title; long titles are cut with an ellipsis.

    `images`: a tensor or array (n, channels, height, width) from 0 to 1; of other than 1 or 3 channels the first
    three, or the first, are shown. `titles` may be empty.
    """
    pixels = _pixels(images)[:MOST_IMAGES]
    n, height, width = pixels.shape[:3]
    columns = max(1, math.ceil(math.sqrt(n * min(2.0, max(0.5, height / width)))))
    rows = math.ceil(n / columns)
    caption = 0.3 if any(titles) else 0.08
    cell_height = CELL * height / width
    figure = new_figure(columns * (CELL + 0.08), rows * (cell_height + caption))
    figure.set_layout_engine("none")
    for i, image in enumerate(pixels):
        column, row = i % columns, i // columns
        corner = ((column + 0.5) / columns, 1 - (row + 1) / rows + 0.04 / figure.get_figheight())
        _show(figure, image, corner, CELL / figure.get_figwidth(), cell_height / figure.get_figheight())
        if i < len(titles):
            _caption(figure, titles[i], corner[0], corner[1] + (cell_height + 0.05) / figure.get_figheight())
    save(figure, path)


def _pixels(images: Any) -> Any:
    """The images as an array (n, height, width, 1 or 3) from 0 to 1, black where they are not finite."""
    import numpy as np

    array = images.detach().float().cpu().numpy() if hasattr(images, "detach") else np.asarray(images, dtype=np.float32)
    shown = array[:, : 3 if array.shape[1] >= 3 else 1]
    return np.nan_to_num(shown, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1).transpose(0, 2, 3, 1)


def _show(figure: Any, image: Any, corner: tuple[float, float], width: float, height: float) -> None:
    axes = figure.add_axes((corner[0] - width / 2, corner[1], width, height))
    axes.set_axis_off()
    small = 2 * image.shape[0] < CELL * 160
    kernel = "nearest" if small else "antialiased"  # the pixels of small pictures are to be seen as they are
    shown = image.squeeze(-1) if image.shape[-1] == 1 else image
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation=kernel, aspect="auto")


def _caption(figure: Any, title: str, x: float, y: float) -> None:
    label = figure.text(x, y, **text(title, "s"), ha="center", va="bottom", fontsize=SMALL, color=INK)
    room, words = CELL * figure.dpi, label.get_text()
    while len(words) > 1 and label.get_window_extent(figure.canvas.get_renderer()).width > room:
        words = words[: min(len(words) - 1, int(len(words) * 0.97))]
        label.set_text(words.rstrip() + "…")
