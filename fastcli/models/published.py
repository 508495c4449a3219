"""What timm's authors measured of their pretrained weights, from a table in the package: no torch, no network."""

from __future__ import annotations

import csv
import fnmatch
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

LEAST_GAIN = 0.4
"""Points of accuracy that a costlier suggestion must gain over the one before."""


@dataclass(frozen=True)
class Published:
    """One set of weights at one size of picture."""

    name: str
    """The architecture, a dot, and the tag of the weights."""
    family: str
    """timm's module."""
    default: bool
    """Whether the bare name of the architecture means these weights."""
    size: int
    top1: float | None
    """Accuracy on ImageNet's validation split in percent, as `top5`; None for weights without such a classifier."""
    top5: float | None
    params: float | None
    """Millions, with ImageNet's classifier."""
    gmacs: float | None
    """Billions of multiplications for one picture."""
    macts: float | None
    """Millions of activations for one picture: what memory and speed follow."""
    license: str
    weights: str
    """A repository on the Hub with perhaps a file after a colon, or a URL."""

    @property
    def architecture(self) -> str:
        """The name without the tag."""
        return self.name.partition(".")[0]


@functools.cache
def published() -> tuple[Published, ...]:
    """All rows of the table, by name and size."""
    text = resources.files("fastcli.models").joinpath("published.csv").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(map(_row, list(csv.reader(lines))[1:]))


def _row(cells: Sequence[str]) -> Published:
    name, family, default, size, top1, top5, params, gmacs, macts, license_name, weights = cells
    return Published(
        name, family, default == "1", int(size), _number(top1), _number(top5), _number(params), _number(gmacs),
        _number(macts), license_name or "unknown", weights or f"timm/{name}",
    )  # fmt: skip


def _number(text: str) -> float | None:
    return float(text) if text else None


def chosen(
    rows: Iterable[Published],
    *,
    pattern: str | None = None,
    family: str | None = None,
    max_params: float | None = None,
    max_gmacs: float | None = None,
    max_size: int | None = None,
    min_top1: float | None = None,
    license: str | None = None,
) -> list[Published]:
    """The rows within all bounds, of each set of weights the most accurate; one of unknown figure is within none.

    `pattern` and `license` are globs; a pattern without a star is a part of the name.
    """
    pattern = pattern if pattern is None or any(mark in pattern for mark in "*?[") else f"*{pattern}*"
    best: dict[str, Published] = {}
    for row in rows:
        fits = (
            (pattern is None or fnmatch.fnmatch(row.name, pattern) or fnmatch.fnmatch(row.architecture, pattern))
            and (family is None or row.family == family)
            and (license is None or fnmatch.fnmatch(row.license.lower(), license.lower()))
            and _within(row.params, max_params)
            and _within(row.gmacs, max_gmacs)
            and _within(row.size, max_size)
            and (min_top1 is None or (row.top1 or 0) >= min_top1)
        )
        if fits and (row.name not in best or (row.top1 or 0) > (best[row.name].top1 or 0)):
            best[row.name] = row
    return list(best.values())


def _within(value: float | None, most: float | None) -> bool:
    return most is None or (value is not None and value <= most)


def front(rows: Iterable[Published], cost: Callable[[Published], float | None]) -> list[Published]:
    """The rows that none beats in accuracy and cost, each clearly better than the one before, cheapest first."""
    known = [(cost(row), row) for row in rows if cost(row) is not None and row.top1 is not None]
    ordered = sorted(known, key=lambda pair: (pair[0], -(pair[1].top1 or 0)))
    found: list[Published] = []
    for _, row in ordered:
        if not found or (row.top1 or 0) > (found[-1].top1 or 0) + LEAST_GAIN:
            found.append(row)
    return found


def order(rows: Sequence[Published], by: str) -> list[Published]:
    """The rows by `top1` from the best, or by `params`, `gmacs`, `size` or `name` from the least; unknown ones last."""
    if by == "name":
        return sorted(rows, key=lambda row: row.name)
    sign = -1 if by == "top1" else 1
    return sorted(rows, key=lambda row: (getattr(row, by) is None, sign * (getattr(row, by) or 0), row.name))


class Cache:
    """The weights that are on this machine already, by the names of the caches' folders and files alone."""

    def __init__(self) -> None:
        self._hub = hub_cache()
        self._files = _names(torch_cache())
        self._folders = _names(self._hub)

    def __contains__(self, row: Published) -> bool:
        if "://" in row.weights:
            return row.weights.rpartition("/")[2] in self._files
        repository, _, file = row.weights.partition(":")
        folder = f"models--{repository.partition('@')[0].replace('/', '--')}"
        if folder not in self._folders:
            return False
        return any((self._hub / folder / "snapshots").glob(f"*/{file or '*[sn]'}"))


def hub_cache() -> Path:
    """The Hub's folder of models, as huggingface_hub finds it."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    found = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(found)).expanduser()


def torch_cache() -> Path:
    """The folder that torch downloads weights to."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{base}/torch").expanduser() / "hub" / "checkpoints"


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
