"""fastai's data block, datasets and loaders by their names and argument names."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from fastcli.data import datablock
from fastcli.errors import ConfigError, DataError
from fastcli.vision.blocks import TransformBlock
from fastcli.vision.core import listed
from fastcli.vision.getting import RandomSplitter
from fastcli.vision.loaders import DataLoaders, Datasets

__all__ = ["DataBlock"]


class Rows(list[Any]):
    """The rows of a table as items, with the table, which is what a splitter of one's own is given."""

    def __init__(self, table: Any) -> None:
        super().__init__(row for _, row in table.iterrows())
        self.table = table


class DataBlock(datablock.DataBlock):
    """How to get from a source to samples, in fastai's words; without blocks an item stands for itself, twice.

    Without a splitter a fifth of the items validates, drawn from torch's global generator. Raises ConfigError for a
    `dl_type`, which fastai's own loaders need.
    """

    def __init__(
        self, blocks: Any = None, dl_type: Any = None, getters: Any = None, n_inp: int | None = None,
        item_tfms: Any = None, batch_tfms: Any = None, *, get_items: Any = None, splitter: Any = None,
        get_y: Any = None, get_x: Any = None,
    ) -> None:  # fmt: skip
        if dl_type is not None:
            raise ConfigError("DataBlock takes no dl_type", hint="give weights or partial_n to its datasets instead")
        chosen = splitter or RandomSplitter()
        super().__init__(
            blocks=listed(blocks) or [TransformBlock(), TransformBlock()],
            get_items=get_items,
            get_x=get_x,
            get_y=get_y,
            splitter=lambda items, labels: _plain(chosen(getattr(items, "table", items))),
            item_transforms=listed(item_tfms),
            batch_transforms=listed(batch_tfms),
            n_inputs=n_inp,
            getters=getters and listed(getters),
        )

    @classmethod
    def from_columns(cls, blocks: Any = None, getters: Any = None, get_items: Any = None, **options: Any) -> DataBlock:
        """A block for columns: `get_items` gives one list of values for each block."""
        from fastcli.vision.getting import ItemGetter

        made = listed(blocks) or [TransformBlock(), TransformBlock()]
        columns = get_items or (lambda source: source)
        return cls(
            made,
            getters=listed(getters) or [ItemGetter(i) for i in range(len(made))],
            get_items=lambda source: list(zip(*columns(source), strict=True)),
            **options,
        )

    def find(self, source: Any) -> list[Any]:
        """The items of `source`; of a table its rows."""
        found = source if self.get_items is None else self.get_items(source)
        items = Rows(found) if hasattr(found, "iterrows") else list(found)
        if not items:
            raise DataError(f"no items in {source}")
        return items

    def datasets(self, source: Any, verbose: bool = False) -> Datasets:
        """The items of `source`, labelled and split."""
        return Datasets.of(super().datasets(source))

    def dataloaders(self, source: Any, path: str | Path = ".", verbose: bool = False, **options: Any) -> DataLoaders:
        """The loaders of `source`; the options are those of `Datasets.dataloaders`."""
        return self._loaders(self.datasets(source), path, options)

    def _loaders(self, dsets: Datasets, path: str | Path, options: dict[str, Any]) -> DataLoaders:
        return dsets.dataloaders(
            after_item=self.item_transforms, after_batch=self.batch_transforms, path=path, **options
        )

    def weighted_dataloaders(self, source: Any, wgts: Any, bs: int = 64, **options: Any) -> DataLoaders:
        """Loaders whose training draws items by their weights, one for every item of `source`."""
        splits: list[tuple[list[int], list[int]]] = []

        def remembered(items: Any, labels: Any) -> tuple[list[int], list[int]]:
            splits.append(self.splitter(items, labels))
            return splits[0]

        block = copy.copy(self)
        block.splitter = remembered
        dsets = block.datasets(source)
        path, chosen = options.pop("path", "."), [float(wgts[i]) for i in splits[0][0]]
        return self._loaders(dsets, path, {"bs": bs, "weights": chosen, **options})

    def new(self, item_tfms: Any = None, batch_tfms: Any = None) -> DataBlock:
        """The same data block with other transforms; those that are None stay."""
        other = copy.copy(self)
        other.item_transforms = self.item_transforms if item_tfms is None else listed(item_tfms)
        other.batch_transforms = self.batch_transforms if batch_tfms is None else listed(batch_tfms)
        return other

    def summary(self, source: Any, bs: int = 4, show_batch: bool = False, **options: Any) -> None:  # type: ignore[override]
        """Print what happens to one sample at each step, and which step fails and why."""
        from fastcli.vision.transforms import arranged

        block = copy.copy(self)
        block.datasets = super().datasets  # type: ignore[assignment, method-assign] # whose loaders take our names
        block.item_transforms, block.batch_transforms, normalize = arranged(self.item_transforms, self.batch_transforms)
        super(DataBlock, block).summary(source, batch_size=bs, write=_print, normalize=normalize, **options)
        if show_batch:
            self.dataloaders(source, bs=bs).show_batch()


def _print(line: str) -> None:
    print(line)  # noqa: T201 - what a notebook's reader asked for


def _plain(split: Any) -> tuple[list[int], list[int]]:
    train, valid = split
    return [int(i) for i in train], [int(i) for i in valid]
