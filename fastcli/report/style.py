"""The one look of all figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastcli.report.numbers import finite, spread
from fastcli.show.figures import INK as INK
from fastcli.show.figures import PALETTE as PALETTE
from fastcli.show.figures import SMALL as SMALL
from fastcli.show.figures import save as save
from fastcli.show.lettering import text as text

MUTED = "#6a737d"
GRID = "#e4e7eb"
TRAIN = "#0072b2"
VALID = "#d55e00"
NORMAL, LARGE, ROW = 9.5, 11.0, 13.5
"""Type sizes and the height of a row in points."""


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, its panels laid out without overlap."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Any, title: str = "", *, x: str = "", pad: float = 8) -> Any:
    """The axes with a title on the left, faint horizontal lines and nothing that carries no information.

    `pad`: points between the title and the axes.
    """
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=MUTED, labelsize=SMALL, length=0, pad=4)
    axes.tick_params(axis="x", length=3)
    axes.set_title(**text(title), loc="left", fontsize=LARGE, fontweight="bold", color=INK, pad=pad)
    axes.set_xlabel(x, fontsize=NORMAL, color=MUTED)
    return axes


def end_labels(axes: Any, x: float, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write (y, text, colour) beside the point x of each line, moved apart where they would meet."""
    labels = [label for label in labels if label[0] == label[0]]
    if not labels:
        return
    axes.figure.canvas.draw()  # only a drawn axis knows its final limits and size
    place = axes.transData
    wanted = [place.transform((x, y))[1] for y, _, _ in labels]
    low, high = axes.bbox.y0, axes.bbox.y1
    height = 1.25 * NORMAL * axes.figure.dpi / 72
    for (y, words, colour), pixel in zip(labels, spread(wanted, height, low, high), strict=True):
        shift = (pixel - place.transform((x, y))[1]) * 72 / axes.figure.dpi
        style = {"color": colour, "fontsize": NORMAL, "va": "center", "annotation_clip": False}
        axes.annotate(**text(words, "text"), xy=(x, y), xytext=(7, shift), textcoords="offset points", **style)


def note(axes: Any, words: str, row: int = 0) -> None:
    """Write `words` above the right end of the axes, with room for so many rows below."""
    place = {"xy": (1, 1), "xytext": (0, 8 + ROW * row), "xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(**text(words, "text"), **place, ha="right", va="bottom", fontsize=NORMAL, color=INK)


def say_if_empty(axes: Any, values: Sequence[float]) -> None:
    """Write across the axes that there is nothing to see, when no value is finite."""
    if not finite(values):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no finite values", transform=axes.transAxes, ha="center", color=MUTED, fontsize=NORMAL)


def blend(first: str, second: str, share: float) -> tuple[float, float, float]:
    """The colour at `share` of the way from one to the other, as red, green and blue from 0 to 1."""
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    red, green, blue = (((1 - share) * a + share * b) / 255 for a, b in pairs)
    return red, green, blue
