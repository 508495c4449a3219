"""What a model will see: pictures of a split as they are in their files, augmented, or as the numbers it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from fastcli.data.loader import Loader
from fastcli.data.loaders import DataLoaders
from fastcli.data.plan import Batch
from fastcli.errors import DataError, UsageError
from fastcli.show import show_grid
from fastcli.show.grid import Sample
from fastcli.types import Image, typed

How = Literal["raw", "augmented", "normalised"]
REACH = 3.0
"""Standard deviations from grey to black and to white in pictures of normalised numbers."""
WIDTH = 2.0
"""Of one picture in inches."""


@dataclass(frozen=True)
class Shown:
    """Pictures with their labels, whose they are, and in what range the model's numbers lie."""

    samples: list[Sample]
    names: list[str]
    numbers: dict[str, float] | None = None

    def draw(self, path: Path) -> None:
        """Write the pictures as a grid."""
        show_grid(self.samples, max_n=len(self.samples), width=WIDTH, path=path)


def look(loaders: DataLoaders, split: str, how: How, *, count: int = 16, item: int | None = None) -> Shown:
    """`count` pictures of a split, or as many views of its picture number `item`, from 0.

    Training's are those that it begins with, validation's are taken evenly. Raises UsageError for a number that is not
    there, DataError where none of the pictures can be opened.
    """
    loader = loaders.train if split == "train" else loaders.valid
    items = chosen(loader, split, count, item)
    if how == "raw":
        items = list(dict.fromkeys(items))
        return Shown([_opened(loaders, i) for i in items], [loader.name_of(i) for i in items])
    batch = loader.load(Batch(0, 0, tuple(items)))
    bad = set().union(*(element.bad for element in loader.elements))
    names = [loader.name_of(i) for i in items if i not in bad]
    if not names:
        raise DataError(f"none of these pictures can be opened: {loader.name_of(items[0])}", hint="fastcli data check")
    samples: list[Sample] = list(loaders.samples(batch, len(names)))
    if how == "augmented":
        return Shown(samples, names)
    inputs = batch[0].float().cpu()
    return Shown([_as_numbers(sample, pixels) for sample, pixels in zip(samples, inputs, strict=True)], names,
                 {"mean": inputs.mean().item(), "std": inputs.std().item(), "min": inputs.min().item(),
                  "max": inputs.max().item()})  # fmt: skip


def chosen(loader: Loader, split: str, count: int, item: int | None) -> Sequence[int]:
    """The loader's numbers of the pictures to show, `count` or as many as there are."""
    if item is not None:
        indices = loader.indices.tolist()
        if not 0 <= item < len(indices):
            raise UsageError(f"there is no picture {item}: the {split} split has {len(indices):,}, from 0")
        return [indices[item]] * count
    items = [i for batch in loader.plan(0) for i in batch.items]
    if split == "train":
        return items[:count]
    count = min(count, len(items))
    return [items[k * len(items) // count] for k in range(count)]


def _opened(loaders: DataLoaders, index: int) -> Sample:
    """A sample as it is in its files."""
    parts = zip(loaders.datasets.encoders, loaders.datasets[index], strict=True)
    return [(element, None if isinstance(element, Image) else encoder.decode(element)) for encoder, element in parts]


def _as_numbers(sample: Sample, pixels: Tensor) -> Sample:
    """The sample with its first picture made of the model's numbers: 0 is grey."""
    shown: Any = typed((pixels / (2 * REACH) + 0.5).clamp(0, 1), Image)
    place = next(k for k, (element, _) in enumerate(sample) if isinstance(element, Image))
    return [(shown, None) if k == place else part for k, part in enumerate(sample)]
