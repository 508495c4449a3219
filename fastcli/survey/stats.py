"""Figures of a data set: counts per class and split, sizes, kinds of files, and the statistics of colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image as Pillow
from numpy.typing import NDArray

from fastcli.data.threads import each
from fastcli.errors import DataError
from fastcli.survey.samples import Samples
from fastcli.survey.sizes import evenly
from fastcli.transforms.reading import MAX_PIXELS, flat, read_picture, upright_size

SAMPLE = 1024
"""Pictures that are decoded for the statistics of colours."""
QUANTILES = (0, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True)
class Stats:
    """The figures."""

    samples: Samples
    n_bytes: int
    widths: list[int]
    heights: list[int]
    modes: Counter[str]
    formats: Counter[str]
    unreadable: list[str]
    looked_at: int
    mean: list[float] | None
    """Of red, green and blue over the training pictures that were looked at, on the scale of 0 to 1."""
    std: list[float] | None

    def as_data(self) -> dict[str, Any]:
        """They as plain data."""
        splits = {"train": self.samples.counts("train"), "valid": self.samples.counts("valid")}
        return {
            "pictures": len(self.samples),
            "bytes": self.n_bytes,
            "classes": {name: {side: splits[side][name] for side in splits} for name in self.samples.classes},
            "train": self.samples.size("train"),
            "valid": self.samples.size("valid"),
            "width": self.widths,
            "height": self.heights,
            "modes": dict(self.modes),
            "formats": dict(self.formats),
            "unreadable": self.unreadable,
            "mean": self.mean,
            "std": self.std,
            "looked_at": self.looked_at,
        }


def stats_of(
    samples: Samples, *, sample: int = SAMPLE, max_pixels: int = MAX_PIXELS,
    progress: Callable[[int], None] | None = None,
) -> Stats:  # fmt: skip
    """The figures: headers of all pictures, colours of at most `sample` of training, evenly chosen."""
    train = [s.path for s in samples.all if s.split == "train"] or [s.path for s in samples.all]
    chosen = set(evenly(train, sample))
    paths = [s.path for s in samples.all]
    found = each(lambda path: _see(path, path in chosen, max_pixels), paths, progress=progress)
    good = [seen for seen in found if not seen.fault]
    sums = [seen.sums for seen in good if seen.sums is not None]
    mean, std = _statistics(sums)
    return Stats(
        samples,
        sum(seen.n_bytes for seen in found),
        _quantiles([seen.size[0] for seen in good]),
        _quantiles([seen.size[1] for seen in good]),
        Counter(seen.mode for seen in good),
        Counter(seen.format for seen in good),
        [seen.fault for seen in found if seen.fault],
        len(sums),
        mean,
        std,
    )


@dataclass(frozen=True)
class _Seen:
    fault: str = ""
    n_bytes: int = 0
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    sums: NDArray[np.float64] | None = None
    """Mean and mean of squares of each channel."""


def _see(path: Path, colours: bool, max_pixels: int) -> _Seen:
    def describe(picture: Pillow.Image) -> _Seen:
        sums = _sums(picture) if colours else None
        return _Seen("", path.stat().st_size, upright_size(picture), picture.mode, picture.format or "", sums)

    try:
        return read_picture(path, describe, max_pixels=max_pixels, load=colours)
    except DataError as error:
        return _Seen(error.message)


def _sums(picture: Pillow.Image) -> NDArray[np.float64]:
    pixels = np.asarray(flat(picture).convert("RGB")).reshape(-1, 3) / 255
    return np.stack([pixels.mean(0), np.square(pixels).mean(0)])


def _statistics(sums: Sequence[NDArray[np.float64]]) -> tuple[list[float] | None, list[float] | None]:
    """Mean and standard deviation of each channel, every picture counting alike."""
    if not sums:
        return None, None
    mean, square = np.mean(sums, axis=0)
    return mean.round(4).tolist(), np.sqrt(np.maximum(square - mean**2, 0)).round(4).tolist()


def _quantiles(values: Sequence[int]) -> list[int]:
    """Least, lower quarter, middle, upper quarter and greatest."""
    return np.quantile(values, QUANTILES, method="lower").astype(int).tolist() if values else []
