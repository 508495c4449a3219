"""The history of a training as one picture: losses and metrics by epoch, or the loss by step when there is but one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastcli.report.numbers import Rows, best_place, dwarfed, finite, number, series, smooth
from fastcli.report.style import (
    INK,
    MUTED,
    ROW,
    SMALL,
    TRAIN,
    VALID,
    dress,
    end_labels,
    new_figure,
    note,
    save,
    say_if_empty,
)
from fastcli.run.overview import NOT_FIGURES

NOT_METRICS = (*NOT_FIGURES, "train_loss", "valid_loss")
COLUMNS = 3
BESIDE_TITLE, WIDEST_NOTE = 44, 72
"""Letters of a note that stands beside the title, and of one line of a longer one below it."""


def plot_history(
    history: Rows,
    steps: Mapping[str, Sequence[float]] | None,
    path: Path,
    *,
    monitor: str = "valid_loss",
    lower_is_better: bool = True,
) -> None:
    """Draw training and validation loss and every metric by epoch, with the best epoch by `monitor` marked.

    `steps["loss"]` is the training loss of every step: it is drawn behind the epochs, and alone after one epoch.
    """
    metrics = list(dict.fromkeys(key for row in history for key in row if key not in NOT_METRICS))
    losses = list(steps["loss"]) if steps else []
    if not history or (len(history) == 1 and len(losses) > 1):
        _plot_one_epoch(history[0] if history else {}, losses, metrics, path)
        return
    figure, axes = _panels(1 + len(metrics))
    _loss_panel(axes[0], history, losses)
    for panel, metric in zip(axes[1:], metrics, strict=False):
        dress(panel, metric, x="epoch")
        _line(panel, history, metric, VALID)
    best = best_place(history, monitor, lower_is_better) if len(history) > 1 else None
    for panel, key in zip(axes, ["train_loss" if monitor == "train_loss" else "valid_loss", *metrics], strict=False):
        _epoch_axis(panel, history, from_start=bool(losses))
        if best is not None:
            _mark_best(panel, history, key, best, named=key == monitor)
        say_if_empty(panel, [*series(history, key), *(series(history, "train_loss") if panel is axes[0] else [])])
    _label_ends(axes, history, metrics)
    save(figure, path)


def _panels(n: int) -> tuple[Any, Sequence[Any]]:
    rows, columns = math.ceil(n / COLUMNS), min(n, COLUMNS)
    figure = new_figure(1.0 + 3.9 * columns, 3.4 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for spare in axes[n:]:
        spare.remove()
    return figure, axes[:n]


def _plot_one_epoch(row: Mapping[str, Any], losses: list[float], metrics: list[str], path: Path) -> None:
    figures = note_lines([f"{name} {number(row[name]):.4f}" for name in metrics])
    above = len(figures) if len(figures) > 1 or len(figures[0]) > BESIDE_TITLE else 0
    figure = new_figure(7.2, 3.9 + above * ROW / 72)
    title = "training loss" + (", log scale" if dwarfed(losses) else "")
    axes = dress(figure.subplots(), title, x="step", pad=8 + ROW * above)
    average, valid, end = smooth(losses, len(losses) / 20), number(row.get("valid_loss")), max(len(losses), 1)
    axes.plot(range(1, len(losses) + 1), [number(loss) for loss in losses], color=TRAIN, linewidth=0.7, alpha=0.35)
    axes.plot(range(1, len(losses) + 1), average, color=TRAIN, linewidth=2)
    axes.plot(end, valid, "o", color=VALID, markersize=6, clip_on=False)
    axes.set_xlim(0, end)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_yscale("log" if dwarfed(losses) else "linear")
    say_if_empty(axes, [*losses, valid])
    for row_above, line in enumerate(reversed(figures)):
        note(axes, line, row_above)
    train = average[-1] if average else math.nan
    end_labels(axes, end, [(train, f"train {train:.4f}", TRAIN), (valid, f"valid {valid:.4f}", VALID)])
    save(figure, path)


def note_lines(figures: Sequence[str]) -> list[str]:
    """The figures in lines that are not longer than the axes are wide; at least one line.

    >>> note_lines(["accuracy 0.9731", "f1_score 0.9650", "jaccard 0.9412", "precision 0.9551", "recall 0.9754"])
    ['accuracy 0.9731 · f1_score 0.9650 · jaccard 0.9412 · precision 0.9551', 'recall 0.9754']
    """
    lines = [""]
    for figure in figures:
        longer = f"{lines[-1]} · {figure}" if lines[-1] else figure
        if lines[-1] and len(longer) > WIDEST_NOTE:
            lines.append(figure)
        else:
            lines[-1] = longer
    return lines


def _loss_panel(axes: Any, history: Rows, losses: list[float]) -> None:
    values = [*series(history, "train_loss"), *series(history, "valid_loss")]
    dress(axes, "loss" + (", log scale" if dwarfed(values) else ""), x="epoch")
    if losses:
        start, share = number(history[0].get("epoch")) - 1, len(history) / len(losses)
        average = smooth(losses, max(3.0, 1 / share / 20))
        places = [start + share * (i + 1) for i in range(len(losses))]
        axes.plot(places, average, color=TRAIN, linewidth=0.9, alpha=0.35, scaley=False)
    _line(axes, history, "train_loss", TRAIN)
    _line(axes, history, "valid_loss", VALID)
    axes.set_yscale("log" if dwarfed(values) else "linear")
    if losses and finite(average) and finite(values):  # the first steps may tower over all others
        usual = sorted(finite(average))[int(0.97 * (len(finite(average)) - 1))]
        axes.set_ylim(top=1.05 * max(usual, *finite(values)), bottom=axes.get_ylim()[0])


def _line(axes: Any, history: Rows, key: str, colour: str) -> None:
    epochs, values = series(history, "epoch"), series(history, key)
    gaps = [math.isnan(value) for value in [math.nan, *values, math.nan]]
    alone = [gaps[i] and gaps[i + 2] for i in range(len(values))]  # a line does not show a value between two gaps
    axes.plot(epochs, values, color=colour, linewidth=2, solid_capstyle="round")
    dots = [value if len(history) <= 12 or single else math.nan for value, single in zip(values, alone, strict=True)]
    axes.plot(epochs, dots, "o", color=colour, markersize=4.5, clip_on=False)


def _epoch_axis(axes: Any, history: Rows, *, from_start: bool) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    first, last = series(history, "epoch")[0], series(history, "epoch")[-1]
    room = max(0.5 if first == last else 0.0, 0.02 * (last - first))
    axes.set_xlim(first - (1 if from_start else room), last + room)  # row 0 stands where its epoch ended
    steps = [1, 2, 5, 10]
    ticks = MaxNLocator(nbins=8, integer=True, steps=steps, min_n_ticks=1).tick_values(first, last)
    axes.set_xticks([tick for tick in ticks if first <= tick <= last])
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=steps))
        axes.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))


def _mark_best(axes: Any, history: Rows, key: str, best: int, *, named: bool) -> None:
    epochs, value = series(history, "epoch"), series(history, key)[best]
    axes.axvline(epochs[best], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    colour = TRAIN if key == "train_loss" else VALID
    ring = {"markersize": 8, "markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 2}
    axes.plot(epochs[best], value, "o", **ring, clip_on=False)
    if named:
        right = best < len(history) / 2
        side = {"xytext": (5, -2), "ha": "left"} if right else {"xytext": (-5, -2), "ha": "right"}
        where = {"xy": (epochs[best], 1), "xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        words = f"best, epoch {epochs[best]:.0f}: {value:.4f}"
        axes.annotate(words, **where, **side, va="top", fontsize=SMALL, color=INK)


def _label_ends(axes: Sequence[Any], history: Rows, metrics: Sequence[str]) -> None:
    last = series(history, "epoch")[-1]
    train, valid = ((finite(series(history, key)) or [math.nan])[-1] for key in ("train_loss", "valid_loss"))
    end_labels(axes[0], last, [(train, f"train {train:.4f}", TRAIN), (valid, f"valid {valid:.4f}", VALID)])
    for panel, metric in zip(axes[1:], metrics, strict=False):
        value = (finite(series(history, metric)) or [math.nan])[-1]
        end_labels(panel, last, [(value, f"{value:.4f}", VALID)])
