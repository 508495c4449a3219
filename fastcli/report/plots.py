"""The three curves of a training: its history, its learning rate, and the search for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastcli.report.history import plot_history
from fastcli.report.numbers import finite, number, spread
from fastcli.report.style import (
    INK,
    MUTED,
    NORMAL,
    PALETTE,
    SMALL,
    TRAIN,
    blend,
    dress,
    new_figure,
    save,
    say_if_empty,
    text,
)

__all__ = ["plot_history", "plot_lr", "plot_lr_find"]

LIGHT, DARK = "#9ecae1", "#08306b"
"""From the layer nearest the input to the head."""
MOST_LABELS = 4


def plot_lr(steps: Sequence[int], lrs: Sequence[Sequence[float]], momenta: Sequence[float | None], path: Path) -> None:
    """Draw the learning rate of every layer group and the momentum by step.

    `lrs` has one row per step with one rate per layer group, the group nearest the input first; a row that is
    shorter than others has the last groups only.
    """
    from matplotlib.ticker import MaxNLocator

    most = max((len(row) for row in lrs), default=0)
    groups = [[number(row[i - most]) if len(row) >= most - i else math.nan for row in lrs] for i in range(most)]
    moving = finite(momenta)
    figure = new_figure(7.2, 4.8 if moving else 3.4)
    heights = [2, 1] if moving else [1]
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights).flatten()
    _rates_panel(panels[0], steps, groups)
    if moving:
        lower = dress(panels[1], "momentum")
        marker = "o" if len(steps) == 1 else ""
        lower.plot(steps, [number(momentum) for momentum in momenta], color=INK, linewidth=2, marker=marker)
        lower.margins(y=0.15)
    panels[-1].set_xlabel("step", fontsize=NORMAL, color=MUTED)
    panels[-1].xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if len(steps) == 1:
        panels[-1].set_xlim(steps[0] - 1, steps[0] + 1)
    save(figure, path)


def _rates_panel(axes: Any, steps: Sequence[int], groups: list[list[float]]) -> None:
    from matplotlib.ticker import FuncFormatter

    peaks = [max(finite(group), default=0.0) for group in groups]
    apart = min(peaks, default=0.0) > 0 and max(peaks) > 5 * min(peaks)
    dress(axes, "learning rate" + (", log scale" if apart else ""))
    axes.set_yscale("log" if apart else "linear")
    marker = "o" if len(steps) == 1 else ""
    for i, group in enumerate(groups):
        colour = blend(LIGHT, DARK, i / (len(groups) - 1) if len(groups) > 1 else 1)
        axes.plot(steps, group, color=colour, linewidth=2, marker=marker)
    if max(peaks, default=0.0) > 0:
        axes.set_ylim(*((min(peaks) / 100, 3 * max(peaks)) if apart else (0, 1.15 * max(peaks))))
    if not apart:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    say_if_empty(axes, [value for group in groups for value in group])
    for i in _labelled(peaks):
        _label_peak(
            axes,
            steps,
            groups[i],
            _group_name(i, len(groups), equal=len(set(peaks)) == 1),
            below=i == 0 and len(peaks) > MOST_LABELS,
        )


def _labelled(peaks: Sequence[float]) -> list[int]:
    """The groups to label: the head alone when all have the same rates, first and last when there are many."""
    last = len(peaks) - 1
    if len(set(peaks)) <= 1:
        return [last] if peaks else []
    return list(range(len(peaks))) if len(peaks) <= MOST_LABELS else [0, last]


def _group_name(i: int, n: int, *, equal: bool) -> str:
    if n == 1 or equal:
        return "max"
    return "head" if i == n - 1 else f"layer group {i}"


def _label_peak(axes: Any, steps: Sequence[int], group: Sequence[float], name: str, *, below: bool) -> None:
    peak = max(finite(group), default=0.0)
    if peak <= 0:
        return
    i = group.index(peak)
    share = i / max(1, len(group) - 1)
    side = "left" if share < 0.12 or below else "right" if share > 0.88 else "center"
    shift, across = (-6, "top") if below else (5, "bottom")
    style = {"textcoords": "offset points", "ha": side, "va": across, "fontsize": SMALL, "color": INK}
    axes.annotate(f"{name}  {peak:.1e}", (steps[i], peak), xytext=(0, shift), **style)


def plot_lr_find(
    lrs: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestions: Mapping[str, float],
    path: Path,
) -> None:
    """Draw the loss by learning rate, raw and smoothed, with every suggested rate marked and named."""
    figure = new_figure(7.2, 4.4)
    axes = dress(figure.subplots(), "loss by learning rate", x="learning rate, log scale", pad=54 if suggestions else 8)
    axes.set_xscale("log")
    axes.plot(lrs, [number(loss) for loss in losses], color=TRAIN, linewidth=0.7, alpha=0.35)
    axes.plot(lrs, [number(loss) for loss in smoothed], color=TRAIN, linewidth=2)
    if finite(smoothed):
        axes.set_ylim(*_useful_range(smoothed))
    if len(lrs) > 1:
        axes.set_xlim(min(lrs), max(lrs))
    say_if_empty(axes, smoothed)
    named = {name: rate for name, rate in suggestions.items() if number(rate) > 0 and len(lrs) > 1}
    _mark_rates(axes, lrs, smoothed, named)
    save(figure, path)


def _useful_range(smoothed: Sequence[float]) -> tuple[float, float]:
    """The losses to show: from the lowest to a little above the start, whatever the curve does when it diverges."""
    values = finite(smoothed)
    start, low = sorted(values[: max(1, len(values) // 5)])[max(1, len(values) // 5) // 2], min(values)
    span = max(start - low, 0.05 * abs(start), 1e-6)
    return low - 0.1 * span, start + 0.5 * span


def _mark_rates(axes: Any, lrs: Sequence[float], smoothed: Sequence[float], named: Mapping[str, float]) -> None:
    """Dots on the curve, and from each a line up to its label; the labels stand in one row above the axes."""
    (left, right), (low, high) = (map(math.log, axes.get_xlim())), axes.get_ylim()
    places = [(math.log(rate) - left) / (right - left) for rate in named.values()]
    labels = spread(places, min(0.17, 0.86 / max(1, len(named) - 1)), 0.07, 0.93)
    for (name, rate), x, label, colour in zip(named.items(), places, labels, PALETTE[1:] * len(named), strict=False):
        nearest = min(range(len(lrs)), key=lambda i: abs(math.log(lrs[i] / rate)))
        y = min(1.0, max(0.0, (number(smoothed[nearest]) - low) / (high - low)))
        axes.plot([x, x, label], [y, 1.0, 1.06], color=colour, linewidth=1.2, transform=axes.transAxes, clip_on=False)
        dot = {"markersize": 7.5, "markeredgecolor": "white", "transform": axes.transAxes, "clip_on": False}
        axes.plot(x, y, "o", color=colour, **dot)
        style = {"transform": axes.transAxes, "ha": "center", "va": "bottom", "color": INK}
        axes.text(label, 1.075, **text(f"{rate:.1e}", "s"), **style, fontsize=NORMAL, fontweight="bold")
        axes.text(label, 1.14, **text(name, "s"), **style, fontsize=SMALL)
