"""The arithmetic under the plots: series with gaps, averages, and labels that keep apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def number(value: Any) -> float:
    """`value` as a float; NaN where it is none, or is infinite, so that a line has a gap there.

    >>> number(2), number(None), number(float("inf"))
    (2.0, nan, nan)
    """
    if not isinstance(value, int | float):
        return math.nan
    return float(value) if math.isfinite(value) else math.nan


def series(rows: Rows, key: str) -> list[float]:
    """The column `key` of all rows, with NaN where a row has none."""
    return [number(row.get(key)) for row in rows]


def finite(values: Iterable[Any]) -> list[float]:
    """The finite ones among `values`."""
    return [value for value in map(number, values) if not math.isnan(value)]


def best_place(rows: Rows, monitor: str, lower_is_better: bool) -> int | None:
    """The place of the row with the best finite `monitor`, the first of equals; None where there is none.

    >>> best_place([{"accuracy": 0.8}, {"accuracy": float("nan")}, {"accuracy": 0.9}], "accuracy", False)
    2
    """
    values = [(value if lower_is_better else -value, i) for i, value in enumerate(series(rows, monitor))]
    return min(((value, i) for value, i in values if not math.isnan(value)), default=(0.0, None))[1]


def smooth(values: Iterable[Any], span: float) -> list[float]:
    """The exponential moving average over about `span` values, right from the start; what is not finite stays out.

    >>> [round(value, 3) for value in smooth([1.0, 0.0, float("nan"), 0.0], 2)]
    [1.0, 0.333, 0.333, 0.143]
    """
    keep, total, weight, averages = 1 - 1 / max(span, 1.0), 0.0, 0.0, []
    for value in map(number, values):
        if not math.isnan(value):
            total, weight = keep * total + (1 - keep) * value, keep * weight + 1 - keep
        averages.append(total / weight if weight else math.nan)
    return averages


def dwarfed(values: Iterable[Any]) -> bool:
    """Whether a few values are so much larger that a linear axis would flatten the others.

    >>> dwarfed([2.3, 0.02, 0.01, 0.01]), dwarfed([2.3, 0.9, 0.5])
    (True, False)
    """
    ordered = sorted(finite(values))
    return bool(ordered) and ordered[0] > 0 and ordered[-1] > 30 * ordered[len(ordered) // 2]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near as possible to those wanted, `gap` apart in the same order, from `low` to `high`.

    >>> spread([10.0, 11.0, 50.0], 8, 0, 52)
    [6.5, 14.5, 50.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[tuple[float, int]] = []  # where the first label of a row of touching ones would be; how many they are
    for place, i in enumerate(order):
        origin, size = wanted[i] - place * gap, 1
        while groups and groups[-1][0] > origin:
            before, many = groups.pop()
            origin, size = (before * many + origin * size) / (many + size), many + size
        groups.append((origin, size))
    origins = [origin for origin, size in groups for _ in range(size)]
    highest = high - (len(order) - 1) * gap
    placed = {i: max(low, min(origins[place], highest)) + place * gap for place, i in enumerate(order)}
    return [placed[i] for i in range(len(wanted))]
