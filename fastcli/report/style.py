"""The one look of all figures, and text in any script without a missing glyph."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcli.report.numbers import finite, spread
from fastcli.run.files import atomic_path

INK = "#1f2328"
MUTED = "#6a737d"
GRID = "#e4e7eb"
TRAIN = "#0072b2"
VALID = "#d55e00"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""
SMALL, NORMAL, LARGE = 8.5, 9.5, 11.0
"""Type sizes in points."""
BASE_FONT = "DejaVu Sans"
"""Comes with matplotlib, so a figure is the same on every machine."""
NO_GLYPH = "\u25a1"


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, its panels laid out without overlap."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: Path, *, dpi: int = 160) -> None:
    """Write the figure in the format of the path's suffix (PNG, SVG, PDF), atomically."""
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix[1:].lower() or "png", dpi=dpi)


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


def note(axes: Any, words: str) -> None:
    """Write `words` above the right end of the axes."""
    place = {"xy": (1, 1), "xytext": (0, 8), "xycoords": "axes fraction", "textcoords": "offset points"}
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


def text(words: str, name: str = "label") -> dict[str, Any]:
    """Keyword arguments with which matplotlib draws `words` as they are; `name` is the one that takes the words."""
    clean, families = drawable(words)
    return {name: clean, "fontfamily": families, "parse_math": False}


def drawable(words: str) -> tuple[str, list[str]]:
    """`words` on one line, with a box for what no installed font has, and the fonts that draw it."""
    words = unicodedata.normalize("NFC", " ".join(words.split()))
    words = "".join(c for c in words if unicodedata.category(c) not in ("Cc", "Cf") and c not in "\ufe0e\ufe0f")
    fonts = {c: font_with(c) for c in set(words)}
    families = dict.fromkeys([BASE_FONT, *(fonts[c] or BASE_FONT for c in words)])
    return "".join(c if fonts[c] else NO_GLYPH for c in words), list(families)


@functools.cache
def font_with(character: str) -> str | None:
    """The family of an installed font that has `character`, matplotlib's own first; None where there is none."""
    for family, path in _fonts():
        face = _face(path)
        if face is not None and face.get_char_index(ord(character)):
            return family
    return None


@functools.cache
def _fonts() -> list[tuple[str, str]]:
    """Family and file of the installed upright fonts: matplotlib's own, then those made for many scripts."""
    from matplotlib.font_manager import fontManager

    def rank(entry: Any) -> tuple[bool, bool, str]:
        wide = any(word in entry.name for word in ("CJK", "Unicode", "Noto Sans", "PingFang", "YaHei", "Hiragino"))
        return entry.name != BASE_FONT, not wide, entry.name

    regular = [entry for entry in fontManager.ttflist if entry.style == "normal" and entry.weight in (400, "normal")]
    files = {entry.name: entry.fname for entry in sorted(regular, key=rank, reverse=True)}
    unreal = ("Last Resort", "STIXNonUnicode")  # boxes for every letter, and letters at private numbers
    return [(name, path) for name, path in reversed(files.items()) if not name.startswith(unreal)]


@functools.cache
def _face(path: str) -> Any:
    from matplotlib.font_manager import get_font

    try:
        return get_font(path)
    except (OSError, RuntimeError):  # a font of pictures, or a file that is gone
        return None
