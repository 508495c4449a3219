"""The rows of the epochs in columns that never wrap: what there is no room for is left out, the least needed first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEADS = {"img_per_s": "img/s"}
WIDTHS = {"epoch": 6, "train_loss": 10, "valid_loss": 10, "lr": 5, "img_per_s": 6, "wait": 4, "time": 5}
DROPPED_FIRST = ("lr", "img_per_s", "wait")
DROPPED_LAST = ("time", "train_loss", "valid_loss")
MARK = "best"
LONGEST_HEAD = 20


@dataclass(frozen=True)
class Table:
    """Columns of the history in the order of its rows, with the space between them."""

    columns: tuple[str, ...]
    gap: int = 2

    @property
    def head(self) -> str:
        """The line of names."""
        return self._joined([_head(column) for column in self.columns])

    def line(self, row: Mapping[str, Any], *, best: bool = False) -> str:
        """The line of one row, marked where it is the best so far.

        >>> row = {"epoch": 1, "train_loss": 0.0508, "lr": 1e-3, "img_per_s": 3240.0, "wait": 0.01, "time": 2.34}
        >>> Table(tuple(row)).line(row, best=True)
        '     1      0.0508  1e-03    3240    1%    2.3  best'
        """
        cells = [cell(column, row.get(column), _width(column)) for column in self.columns]
        return self._joined(cells) + (" " * self.gap + MARK if best else "")

    @property
    def width(self) -> int:
        """Columns of the terminal that a marked row takes."""
        return len(self.head) + self.gap + len(MARK)

    def _joined(self, cells: Sequence[str]) -> str:
        # A long value may take the gap before it, so that the columns after it stay in line.
        padded = [text.rjust(_width(column) + self.gap) for column, text in zip(self.columns, cells, strict=True)]
        return "".join(padded)[self.gap if self.gap > 1 else self.gap + 1 :]


def fitted(row: Mapping[str, Any], width: int | None, monitor: str) -> Table:
    """The table for rows like `row` in `width` columns, None for any: first closer, then with fewer columns.

    Left out are the rate, the speed, the wait, metrics from the last, time and losses; never epoch and `monitor`.

    >>> row = dict.fromkeys(["epoch", "train_loss", "valid_loss", "accuracy", "lr", "time"], 0.0)
    >>> fitted(row, None, "accuracy").head
    ' epoch  train_loss  valid_loss  accuracy     lr   time'
    >>> fitted(row, 45, "accuracy").head
    'epoch train_loss valid_loss accuracy'
    """
    everything = tuple(row)
    if width is None:
        return Table(everything)
    metrics = [column for column in row if column not in WIDTHS]
    order = [c for c in (*DROPPED_FIRST, *reversed(metrics), *DROPPED_LAST) if c != monitor and c in row]
    dropped: list[str] = []
    while len(dropped) < len(order) and _without(everything, dropped).width > width:
        dropped.append(order[len(dropped)])
    for column in reversed(dropped):  # a long name that went may have made room for a short one that went before
        fewer = [other for other in dropped if other != column]
        dropped = fewer if _without(everything, fewer).width <= width else dropped
    airy = Table(_without(everything, dropped).columns)
    return airy if airy.width <= width else _without(everything, dropped)


def _without(columns: Sequence[str], dropped: Sequence[str]) -> Table:
    return Table(tuple(column for column in columns if column not in dropped), gap=1)


def cell(column: str, value: Any, width: int = 10) -> str:
    """One value as its column shows it.

    >>> cell("lr", 2e-3), cell("wait", 0.012), cell("time", 1.23), cell("valid_loss", 0.02031), cell("f1", None)
    ('2e-03', '1%', '1.2', '0.0203', '-')
    """
    if value is None:
        return "-"
    if column == "epoch":
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if column == "lr":
        return f"{value:.0e}"
    if column == "img_per_s":
        return f"{value:.0f}"
    if column == "wait":
        return f"{value:.0%}"
    if column == "time":
        return f"{value:.1f}" if value < 10_000 else f"{value:.0f}"
    return figure(value, width)


def figure(value: float, width: int = 10) -> str:
    """A loss or a metric with four decimals, or with an exponent where these would say nothing or not fit.

    >>> figure(0.99314), figure(3.2e-5), figure(123456.789, 8), figure(0.0)
    ('0.9931', '3.2e-05', '1.2e+05', '0.0000')
    """
    text = f"{value:.4f}"
    return f"{value:.1e}" if len(text) > width or 0 < abs(value) < 5e-5 else text


def _head(column: str) -> str:
    name = HEADS.get(column, column)
    return name if len(name) <= LONGEST_HEAD else name[: LONGEST_HEAD - 1] + "…"


def _width(column: str) -> int:
    return WIDTHS.get(column, max(7, len(_head(column))))
