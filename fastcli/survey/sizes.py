"""How large pictures are, read from the headers of a sample of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

from fastcli.errors import DataError
from fastcli.transforms.reading import read_header

SAMPLE = 200


class Sizes(NamedTuple):
    """Width and height in pixels of the pictures that were looked at."""

    looked_at: int
    median: tuple[int, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    modes: Counter[str]

    @property
    def equal(self) -> bool:
        """Whether all have one size."""
        return self.smallest == self.largest

    def __str__(self) -> str:
        width, height = self.median
        if self.equal:
            return f"all {width} x {height} pixels"
        low, high = self.smallest, self.largest
        return f"about {width} x {height} pixels ({low[0]} x {low[1]} to {high[0]} x {high[1]})"


def evenly(paths: Sequence[Path], most: int) -> Sequence[Path]:
    """At most `most` of the paths, equally far apart."""
    return paths[:: max(1, -(-len(paths) // most))]


def sizes_of(paths: Sequence[Path], most: int = SAMPLE) -> Sizes | None:
    """The sizes of at most `most` pictures, evenly chosen; None where no header can be read."""
    found: list[tuple[int, int]] = []
    modes: Counter[str] = Counter()
    for path in evenly(paths, most):
        try:
            size, mode = read_header(path)
        except DataError:
            continue
        found.append(size)
        modes[mode] += 1
    if not found:
        return None
    middle = median_low([width for width, _ in found]), median_low([height for _, height in found])
    by_area = sorted(found, key=lambda size: size[0] * size[1])
    return Sizes(len(found), middle, by_area[0], by_area[-1], modes)
