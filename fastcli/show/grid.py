"""Grids of samples: what goes into a model, and what came out beside what was right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcli.show.figures import INK, PALETTE, open_figure, save
from fastcli.show.kernels import draw, in_words, write_title
from fastcli.transforms.spatial import canvas
from fastcli.types import Category, Image, Label, MultiCategory

__all__ = ["Part", "Sample", "cells", "draw_sample", "show_grid", "show_results"]

Part = tuple[Any, Any]
"""A typed element, decoded for showing, and its value for people."""
Sample = Sequence[Part]
WIDTH = 3.0
"""Of one cell in inches."""
GAP = 0.08
LINE = 0.16
"""Inches of one line of a title."""
RIGHT, WRONG = PALETTE[2], PALETTE[1]
"""A green and a red that everybody tells apart."""


def show_grid(
    samples: Sequence[Sample],
    *,
    max_n: int = 9,
    rows: int | None = None,
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
    width: float = WIDTH,
    path: Path | None = None,
) -> Any:
    """A figure of the first `max_n` samples, all parts of one on one cell `width` inches wide.

    With `path` it is written there and opened nowhere.
    """
    shown = samples[:max_n]
    lines = max((sum(isinstance(element, Label) for element, _ in sample) for sample in shown), default=0)
    figure, grid = cells(len(shown), aspect_of(shown), rows=rows, columns=columns, figsize=figsize, width=width,
                         lines=lines, hidden=path is not None)  # fmt: skip
    for axes, sample in zip(grid, shown, strict=False):  # chosen rows and columns may hold fewer
        draw_sample(axes, sample)
    return _finished(figure, path)


def show_results(
    samples: Sequence[Sample],
    predictions: Sequence[Part],
    *,
    max_n: int = 9,
    rows: int | None = None,
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
    width: float = WIDTH,
    path: Path | None = None,
) -> Any:
    """A figure of the first `max_n` samples, each with its target, the last part, and what was predicted for it.

    Labels stand above one another, green where they agree and red where not. What is drawn is drawn twice, the
    target on the left.
    """
    shown = list(zip(samples, predictions, strict=True))[:max_n]
    labels = all(isinstance(sample[-1][0], Label) for sample, _ in shown)
    per_sample = 1 if labels else 2
    if not labels and columns is None:
        columns = 2 * math.ceil(len(shown) / rows if rows else math.sqrt(len(shown)) / 2)
    figure, grid = cells(per_sample * len(shown), aspect_of(samples), rows=rows, columns=columns, figsize=figsize,
                         width=width, lines=2 if labels else 1, hidden=path is not None)  # fmt: skip
    for i, (sample, prediction) in enumerate(shown[: len(grid) // per_sample]):
        if labels:
            draw_sample(grid[i], sample[:-1])
            _compare(grid[i], sample[-1], prediction)
        else:
            draw_sample(grid[2 * i], sample, "target")
            draw_sample(grid[2 * i + 1], [*sample[:-1], prediction], "predicted")
    return _finished(figure, path)


def cells(
    n: int,
    aspect: float,
    *,
    rows: int | None = None,
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
    width: float = WIDTH,
    lines: int = 0,
    hidden: bool = False,
) -> tuple[Any, list[Any]]:
    """A figure and `n` axes on it, `aspect` times as high as wide, with room for `lines` of title above each.

    As many rows as columns unless one is given, or `aspect` is far from 1. `figsize` in inches shrinks the cells.
    """
    if columns is None:
        columns = math.ceil(n / rows) if rows else math.ceil(math.sqrt(n * min(2.0, max(0.5, aspect))))
    columns, n = max(1, columns), max(0, n if rows is None else min(n, rows * max(1, columns)))
    rows = max(1, rows or math.ceil(n / columns))
    title = GAP + lines * LINE + 0.06 * bool(lines)
    if figsize is not None:
        width = max(0.1, min(figsize[0] / columns - GAP, (figsize[1] / rows - title) / aspect))
    total = figsize or (columns * (width + GAP), rows * (width * aspect + title))
    figure = open_figure(*total, hidden=hidden)
    across, down, left = width / total[0], width * aspect / total[1], 0.5 * GAP / total[0]
    made = []
    for i in range(n):
        column, row = i % columns, i // columns
        bottom = 1 - (row + 1) / rows + 0.5 * GAP / total[1]
        made.append(figure.add_axes((column / columns + left, bottom, across, down)))
        made[-1].set_axis_off()
    return figure, made


def aspect_of(samples: Sequence[Sample]) -> float:
    """Height by width of what the first sample shows; 1 where it shows nothing that has a size."""
    if not samples:
        return 1.0
    elements = [element for element, _ in samples[0]]
    pictures = [element for element in elements if isinstance(element, Image)]
    sizes = [canvas(element) for element in pictures] or [_size(element) for element in elements]
    known = [size for size in sizes if size is not None]
    if not known:
        return 1.0
    widths = sum(width for _, width in known) if pictures else known[0][1]
    return max(0.2, min(5.0, max(height for height, _ in known) / widths))


def _size(element: Any) -> tuple[int, int] | None:
    try:
        return canvas(element)
    except TypeError:  # a user's type that is shown but not moved
        return None


def draw_sample(axes: Any, sample: Sample, words: str = "") -> None:
    """Draw every part of a sample on one cell, under `words` if there are any."""
    for element, decoded in sample:
        draw(element, axes, decoded)
    if words:
        write_title(axes, words)


def _compare(axes: Any, target: Part, prediction: Part) -> None:
    """Two lines, the target's and the prediction's; numbers are never quite equal, and stay in ink."""
    decided = isinstance(target[0], Category | MultiCategory)
    agrees = RIGHT if target[1] == prediction[1] else WRONG
    for _, decoded in (target, prediction):
        write_title(axes, in_words(decoded), agrees if decided else INK)


def _finished(figure: Any, path: Path | None) -> Any:
    if path is not None:
        save(figure, Path(path))
    return figure
