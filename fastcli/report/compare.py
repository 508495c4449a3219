"""The curves of several runs in one picture: a panel per figure, a colour and a letter per run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastcli.report.numbers import Rows, dwarfed, finite, series
from fastcli.report.style import (
    INK,
    MUTED,
    NORMAL,
    PALETTE,
    SMALL,
    dress,
    end_labels,
    new_figure,
    save,
    say_if_empty,
    text,
)
from fastcli.run.overview import NOT_FIGURES

DASHES = ("-", "--", ":", "-.")
MOST_PANELS = 9


@dataclass(frozen=True)
class Curves:
    """The rows of one run's epochs, with its letter, its name and what is particular about it."""

    letter: str
    name: str
    rows: Rows
    note: str = ""
    best_epoch: int | None = None


def letter_of(i: int) -> str:
    """The letters of a run: A, B, …, Z, AA, AB.

    >>> letter_of(0), letter_of(25), letter_of(26)
    ('A', 'Z', 'AA')
    """
    return (letter_of(i // 26 - 1) if i >= 26 else "") + chr(65 + i % 26)


def figures_of(runs: Sequence[Curves], first: str | None = None) -> list[str]:
    """The figures that any of the runs has, `first` and the losses before the metrics."""
    found = dict.fromkeys(key for run in runs for row in run.rows for key in row if key not in NOT_FIGURES)
    ahead = [name for name in (first, "valid_loss", "train_loss") if name in found]
    return list(dict.fromkeys([name for name in ahead if name] + list(found)))[:MOST_PANELS]


def look_of(i: int) -> tuple[str, str]:
    """Colour and dashes of the run at place `i`; no two of the first 24 look alike."""
    return PALETTE[i % len(PALETTE)], DASHES[i // len(PALETTE) % len(DASHES)]


def plot_compare(runs: Sequence[Curves], path: Path, *, first: str | None = None) -> None:
    """Draw every figure of the runs by epoch in a panel of its own, each run's best epoch as a dot."""
    names = figures_of(runs, first) or [first or "valid_loss"]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    head = 0.27 * len(runs) + 0.15
    figure = new_figure(max(6.4, 3.9 * columns), 3.0 * rows + head)
    top, body = figure.subfigures(2, 1, height_ratios=[head, 3.0 * rows])
    _write_key(top, runs)
    panels = body.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(panels, names, strict=False):
        _draw_panel(axes, runs, name)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        _label(axes, runs, name)
    save(figure, path)


def _write_key(top: Any, runs: Sequence[Curves]) -> None:
    """A line per run: its stroke, letter, name and note."""
    axes = top.subplots()
    axes.set(xlim=(0, 1), ylim=(len(runs), 0))
    axes.set_axis_off()
    for i, run in enumerate(runs):
        colour, dashes = look_of(i)
        axes.plot([0.0, 0.035], [i + 0.5] * 2, color=colour, linestyle=dashes, linewidth=2.4, clip_on=False)
        style = {"va": "center", "fontsize": NORMAL}
        axes.text(0.047, i + 0.5, **text(run.letter, "s"), color=colour, fontweight="bold", **style)
        words = axes.text(0.075, i + 0.5, **text(run.name, "s"), color=INK, **style)
        if run.note:
            place = {"xy": (1, 0.5), "xycoords": words, "xytext": (12, 0), "textcoords": "offset points"}
            axes.annotate(**text(_short(run.note), "text"), **place, color=MUTED, va="center", fontsize=SMALL)


def _short(words: str, most: int = 70) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _draw_panel(axes: Any, runs: Sequence[Curves], name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    values = [value for run in runs for value in series(run.rows, name)]
    logarithmic = dwarfed(values)
    dress(axes, name + (", log scale" if logarithmic else ""), x="epoch")
    axes.set_yscale("log" if logarithmic else "linear")
    for i, run in enumerate(runs):
        colour, dashes = look_of(i)
        epochs, line = series(run.rows, "epoch"), series(run.rows, name)
        marker = "o" if len(finite(line)) == 1 else ""
        axes.plot(epochs, line, color=colour, linestyle=dashes, linewidth=1.8, marker=marker)
        best = [(x, y) for x, y in zip(epochs, line, strict=True) if x == run.best_epoch]
        if best and len(line) > 1:
            axes.plot(*best[0], "o", color=colour, markersize=5.5, markeredgecolor="white")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    say_if_empty(axes, values)


def _label(axes: Any, runs: Sequence[Curves], name: str) -> None:
    """Letters and values at the ends of the lines."""
    ends = []
    for i, run in enumerate(runs):
        known = [(row.get("epoch"), value) for row, value in zip(run.rows, series(run.rows, name), strict=True)
                 if not math.isnan(value)]  # fmt: skip
        if known:
            ends.append((float(known[-1][0] or 0), known[-1][1], f"{run.letter} {known[-1][1]:.4g}", look_of(i)[0]))
    if ends:
        end_labels(axes, max(x for x, *_ in ends), [(y, words, colour) for _, y, words, colour in ends])


def shown(value: Any) -> str:
    """A value of a configuration as a table shows it.

    >>> shown(None), shown(True), shown([0.5, 1]), shown("a")
    ('null', 'true', '[0.5, 1]', 'a')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    return str(value)
