"""The confusion matrix as a picture: what is right in blue, what is not in orange, each shade a share of its row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcli.report.style import INK, LARGE, MUTED, NORMAL, SMALL, TRAIN, VALID, blend, note, save, text
from fastcli.show.figures import open_figure

WHITE = "#ffffff"
MOST_LETTERS = 26
MOST_NUMBERED = 60
"""Classes up to which the cells have numbers; of more the numbers would be dust."""
INCHES = ((12, 0.62), (40, 0.34), (120, 0.16), (400, 0.06))
"""Up to so many classes a cell is this wide."""
SMALLEST = 4.5
"""Points of a class's name."""
LETTER = 0.6
"""Width of a letter or digit in its own height."""


def plot_confusion(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], where: Any = None, *, normalize: bool = False
) -> Any:
    """A figure of how often each class (row) was predicted as each (column).

    `where` is a path to write to, or matplotlib's axes to draw on. With `normalize` the numbers are shares of a row.
    """
    n = len(classes)
    names = [shortened(name) for name in classes]
    on_axes = where is not None and not isinstance(where, (str, Path))
    axes = where if on_axes else _new_axes(n, names, hidden=where is not None)
    cell = axes.get_window_extent().width / axes.figure.dpi / n if on_axes else _cell(n, names)
    shares = [[value / max(1, sum(row)) for value in row] for row in matrix]
    axes.imshow([[_colour(shares[i][j], right=i == j) for j in range(n)] for i in range(n)], interpolation="nearest")
    _name_classes(axes, names, cell)
    _write_numbers(axes, matrix, shares, cell, normalize=normalize)
    title = "confusion, % of each row" if normalize else "confusion matrix"
    axes.set_title(**text(title), loc="left", fontsize=LARGE, fontweight="bold", color=INK, pad=8)
    right, total = sum(matrix[i][i] for i in range(n)), sum(map(sum, matrix))
    if n * cell > (len(title) + 12) * LETTER * LARGE / 72:
        note(axes, f"{right / max(1, total):.2%} right")
    if isinstance(where, (str, Path)):
        save(axes.figure, Path(where))
    return axes.figure


def _new_axes(n: int, names: Sequence[str], *, hidden: bool) -> Any:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = open_figure(*_size(n, names), hidden=hidden)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    return figure.subplots()


def shortened(name: str) -> str:
    """A class name of at most 26 letters, its end and its beginning kept.

    >>> shortened("a_very_long_name_of_a_class_1"), shortened("dog")
    ('a_very_long_n…_of_a_class_1', 'dog')
    """
    half = MOST_LETTERS // 2
    return name if len(name) <= MOST_LETTERS + 1 else f"{name[:half]}…{name[-half:]}"


def _cell(n: int, names: Sequence[str]) -> float:
    """The width of a cell in inches; of few classes there is room for their names side by side."""
    cell = next((inches for most, inches in INCHES if n <= most), 24 / n)
    return max(cell, 1.9 / n, min(1.2 * _longest(names), 2.2) if n <= 4 else 0)


def _size(n: int, names: Sequence[str]) -> tuple[float, float]:
    cell, labels = _cell(n, names), _longest(names)
    return n * cell + labels + 0.75, n * cell + (labels if _upright(names, cell) else 0.2) + 0.95


def _longest(names: Sequence[str]) -> float:
    """The width in inches of the longest name."""
    return max((len(name) for name in names), default=1) * LETTER * SMALL / 72


def _upright(names: Sequence[str], cell: float) -> bool:
    return _longest(names) > cell * 0.95


def _colour(share: float, *, right: bool) -> tuple[float, float, float]:
    # A few errors among many hits are what one looks for: the root makes them visible.
    return blend(WHITE, TRAIN if right else VALID, 0.85 * (share if right else math.sqrt(share)))


def _name_classes(axes: Any, names: Sequence[str], cell: float) -> None:
    n = len(names)
    size = min(SMALL, max(SMALLEST, 72 * cell * 0.85))
    step = max(1, math.ceil(SMALLEST / (72 * cell * 0.85)))  # of very many classes every second, third, … is named
    shown = range(0, n, step)
    upright = 90 if _upright(names, cell * step) else 0
    styles = [text(names[i]) for i in shown]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(list(shown), [style["label"] for style in styles])
        for label, style in zip(axis.get_ticklabels(), styles, strict=True):
            label.set(fontfamily=style["fontfamily"], parse_math=False)
    axes.tick_params(axis="x", rotation=upright, labelsize=size, length=0, pad=3, colors=INK)
    axes.tick_params(axis="y", labelsize=size, length=0, pad=3, colors=INK)
    axes.set_xlabel("predicted", fontsize=NORMAL, color=MUTED)
    axes.set_ylabel("actual", fontsize=NORMAL, color=MUTED)
    for side in axes.spines.values():
        side.set(color=MUTED, linewidth=0.6)
    if cell > 0.1:
        axes.set_xticks([i + 0.5 for i in range(n - 1)], minor=True)
        axes.set_yticks([i + 0.5 for i in range(n - 1)], minor=True)
        axes.grid(which="minor", color=MUTED, alpha=0.25, linewidth=0.4)
        axes.tick_params(which="minor", length=0)


def _write_numbers(
    axes: Any, matrix: Sequence[Sequence[int]], shares: Sequence[Sequence[float]], cell: float, *, normalize: bool
) -> None:
    n = len(matrix)
    if n > MOST_NUMBERED:
        return
    words = [[_percent(shares[i][j]) if normalize else _count(matrix[i][j]) for j in range(n)] for i in range(n)]
    longest = max(len(word) for row in words for word in row)
    room = 72 * cell
    size = min(NORMAL, 0.55 * room, 0.9 * room / (LETTER * max(1, longest)))
    for i, row in enumerate(words):
        for j, word in enumerate(row):
            dark = i == j and shares[i][j] > 0.55
            style = {"ha": "center", "va": "center", "fontsize": size}
            if matrix[i][j]:
                axes.text(j, i, word, color="white" if dark else INK, **style)


def _count(value: int) -> str:
    """A count in at most five characters.

    >>> _count(9_999), _count(12_300), _count(4_560_000)
    ('9999', '12k', '4.6M')
    """
    if value < 10_000:
        return str(value)
    return f"{value / 1e3:.0f}k" if value < 999_500 else f"{value / 1e6:.1f}M"


def _percent(share: float) -> str:
    """A share in hundredths, without the sign.

    >>> _percent(0.934), _percent(0.004), _percent(1.0)
    ('93', '<1', '100')
    """
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"
