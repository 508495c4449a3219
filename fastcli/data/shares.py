"""Shuffling and sharing out: what the splitters are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastcli.data.items import item_path
from fastcli.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

Items = Sequence[Any]
Split = tuple[list[int], list[int]]
STREAM = 0x5B117
"""Sets these random numbers apart from others drawn with the same seed."""


def generator(seed: int | None) -> np.random.Generator:
    """The generator of a split; a seed of None counts as 0. Raises ConfigError for one below 0."""
    import numpy as np

    if seed is not None and seed < 0:
        raise ConfigError(f"seed {seed} is negative")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed or 0, STREAM])))


def by_path(items: Items) -> list[int]:
    """Indices in the order of the items' paths; as they are where items have no path."""
    try:
        paths = [item_path(item).as_posix() for item in items]
    except ConfigError:
        return list(range(len(items)))
    return sorted(range(len(items)), key=paths.__getitem__)


def shuffled(indices: Sequence[int], generator: np.random.Generator) -> list[int]:
    """The indices in a random order."""
    return [indices[i] for i in generator.permutation(len(indices))]


def share_of(n: int, valid_pct: float) -> int:
    """How many of `n` items validate, rounded down. Raises ConfigError unless the share is between 0 and 1.

    >>> share_of(100, 0.29)
    29
    """
    if not 0 < valid_pct < 1:
        raise ConfigError(f"valid_pct is {valid_pct}", hint="give a share between 0 and 1, such as 0.2")
    return int(valid_pct * n + 1e-9)  # 0.29 * 100 is a little less than 29


def shares(sizes: list[int], valid_pct: float, generator: np.random.Generator) -> list[int]:
    """How many of each class validate: in all as many as `random` takes, the largest remainders rounded up."""
    exact = [valid_pct * size for size in sizes]
    counts = [share_of(size, valid_pct) for size in sizes]
    luck = generator.random(len(sizes))
    left = share_of(sum(sizes), valid_pct) - sum(counts)
    for c in sorted(range(len(sizes)), key=lambda c: (counts[c] - exact[c], luck[c])):
        if left > 0 and counts[c] < sizes[c] - 1:
            counts[c] += 1
            left -= 1
    return [min(n, size - 1) for n, size in zip(counts, sizes, strict=True)]


def whole_groups(groups: list[list[int]], target: float) -> Split:
    """Groups are taken in turn as long as each brings the validation's size nearer to `target`; one at least."""
    taken: list[int] = []
    size = 0
    for g, members in enumerate(groups):
        nearer = abs(size + len(members) - target) < abs(size - target)
        if nearer and len(taken) < len(groups) - 1:
            taken.append(g)
            size += len(members)
    if not taken and len(groups) > 1:
        taken = [min(range(len(groups)), key=lambda g: len(groups[g]))]
    chosen = set(taken)
    valid = [i for g in taken for i in groups[g]]
    return valid, [i for g, members in enumerate(groups) if g not in chosen for i in members]


def checked(items: Items, valid: list[int], train: list[int], hint: str | None = None) -> Split:
    """Both sides ascending. Raises DataError where one is empty."""
    for side, indices in (("training", train), ("validation", valid)):
        if not indices:
            what = hint or f"there are {len(items)} items: add some, or change data.split.valid_pct"
            raise DataError(f"the split leaves nothing for {side}", hint=what)
    return sorted(train), sorted(valid)
