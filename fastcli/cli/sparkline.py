"""A curve in one line of text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

BARS = "▁▂▃▄▅▆▇█"
PLAIN = ".:-=+*#@"
"""Where the encoding has no bars."""


def sparkline(values: Sequence[Any], width: int = 12, bars: str = BARS) -> str:
    """The values as bars of eight heights, the mean of neighbours where there are more than `width`; gaps are blank.

    >>> sparkline([4, 3, 2, None, 1]), sparkline([1, 1]), sparkline([])
    ('█▆▃ ▁', '▄▄', '')
    """
    numbers = [_finite(value) for value in values]
    if len(numbers) > width:
        edges = [i * len(numbers) // width for i in range(width + 1)]
        numbers = [_mean(numbers[a:b]) for a, b in itertools.pairwise(edges)]
    known = [value for value in numbers if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(" " if value is None else bars[_height(value, low, high)] for value in numbers)


def _height(value: float, low: float, high: float) -> int:
    return min(7, int(8 * (value - low) / (high - low))) if high > low else 3


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
