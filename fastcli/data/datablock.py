"""The data block: from a source to loaders, in the order items, labels, split, vocabulary, pictures, batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fastcli.data.blocks import Block, CategoryBlock, ImageBlock
from fastcli.data.datasets import Datasets
from fastcli.data.items import image_files
from fastcli.data.labellers import label_all, parent
from fastcli.data.loaders import DataLoaders
from fastcli.data.splitters import random as random_split
from fastcli.data.summary import Write, summary
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.batch import BatchTransform
from fastcli.transforms.transform import ItemTransform

__all__ = ["DataBlock", "Datasets"]

Items = Sequence[Any]
Getter = Callable[[Any], Any] | None
Splitter = Callable[[Items, Items], tuple[list[int], list[int]]]


@dataclass
class DataBlock:
    """How to get from a source to samples: an image and its category, unless `blocks` says otherwise.

    `get_x` and `get_y` turn an item into what the blocks encode; a list gives one per block, and `getters` gives one
    for each block, inputs and targets alike. Where a getter is None the item itself is encoded. `get_items` None says
    that the source is the items. `splitter(items, labels)` returns the training and validation indices. A block may be
    a function that makes it.
    """

    blocks: Sequence[Block | Callable[[], Block]] = field(default_factory=lambda: (ImageBlock(), CategoryBlock()))
    get_items: Callable[[Any], Items] | None = image_files
    get_x: Getter | Sequence[Getter] = None
    get_y: Getter | Sequence[Getter] = parent
    splitter: Splitter = field(default_factory=lambda: partial(random_split, seed=42))
    item_transforms: Sequence[ItemTransform] = ()
    batch_transforms: Sequence[BatchTransform] = ()
    n_inputs: int | None = None
    getters: Sequence[Getter] | None = None

    def datasets(self, source: Any) -> Datasets:
        """The items of `source`, labelled, split and with their vocabulary, but no picture opened."""
        blocks = self.made_blocks()
        getters = self.all_getters()
        items = self.find(source)
        values = [label_all(items, getter) if getter else items for getter in getters]
        train, valid = self.splitter(items, values[-1])
        root = Path(source) if isinstance(source, (str, Path)) else None
        used = sorted({*train, *valid})  # a splitter may leave items out, such as a test folder
        place = {item: i for i, item in enumerate(used)}
        return Datasets(
            [items[i] for i in used], [[column[i] for i in used] for column in values], blocks,
            [place[i] for i in train], [place[i] for i in valid], self.inputs, root, getters,
        )  # fmt: skip

    def find(self, source: Any) -> list[Any]:
        """The items of `source`. Raises DataError where there is none."""
        items = list(source if self.get_items is None else self.get_items(source))
        if not items:
            raise DataError(f"no items in {source}")
        return items

    def made_blocks(self) -> tuple[Block, ...]:
        """The blocks, each its own copy: what is learned of one source does not change the loaders of another."""
        if not self.blocks:
            raise ConfigError("a data block needs at least one block")
        return tuple(copy.deepcopy(block if isinstance(block, Block) else block()) for block in self.blocks)

    @property
    def inputs(self) -> int:
        """How many of the blocks are the model's inputs: all but the last, unless `n_inputs` says otherwise."""
        n = self.n_inputs if self.n_inputs is not None else max(1, len(self.blocks) - 1)
        if not 1 <= n <= len(self.blocks):
            raise ConfigError(f"n_inputs is {n}, but there are {len(self.blocks)} blocks")
        return n

    def all_getters(self) -> list[Getter]:
        """The getter of each block. Raises ConfigError where their number does not fit."""
        n_targets = len(self.blocks) - self.inputs
        if self.getters is None:
            return [*_listed(self.get_x, self.inputs, "get_x"), *_listed(self.get_y, n_targets, "get_y")]
        if self.get_x is not None or self.get_y not in (None, parent):
            raise ConfigError("getters are given twice", hint="give getters, or get_x and get_y")
        return _listed(list(self.getters), len(self.blocks), "getters")

    def dataloaders(self, source: Any, **options: Any) -> DataLoaders:
        """Loaders over `source`; the options are those of `Datasets.dataloaders`."""
        return self.datasets(source).dataloaders(self.item_transforms, self.batch_transforms, **options)

    def summary(self, source: Any, *, batch_size: int = 4, write: Write | None = None, **options: Any) -> str:
        """What happens to one sample of `source` at each step, and which step fails and why; `write` gets each line.

        The options are those of `Datasets.dataloaders`.
        """
        return summary(self, source, batch_size=batch_size, write=write, **options)


def _listed(getter: Any, n: int, name: str) -> list[Getter]:
    getters = list(getter) if isinstance(getter, (list, tuple)) else [getter] * n
    if len(getters) != n:
        hint = "give one per block, or set n_inputs"
        raise ConfigError(f"{name} has {len(getters)} functions for {n} blocks", hint=hint)
    return getters
