"""The data block: from a source to loaders, in the order items, labels, split, vocabulary, pictures, batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fastcli.data.blocks import Block, CategoryBlock, ImageBlock
from fastcli.data.encoders import LabelEncoder
from fastcli.data.items import image_files, item_path
from fastcli.data.labellers import label_all, parent
from fastcli.data.loaders import DataLoaders, Loader, Sampler, class_weights
from fastcli.data.split_file import SplitRow, relative_name, split_rows
from fastcli.data.splitters import random as random_split
from fastcli.data.store import Store, Tier
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.batch import BatchPipeline, BatchTransform
from fastcli.transforms.item import ItemPipeline
from fastcli.transforms.normalize import Normalize, channel_stats
from fastcli.transforms.transform import ItemTransform
from fastcli.types import InputInfo, TargetInfo

Items = Sequence[Any]
Splitter = Callable[[Items, Items], tuple[list[int], list[int]]]
STATS_SAMPLE = 1024
"""Training pictures whose statistics `normalize: dataset` takes."""


@dataclass
class DataBlock:
    """How to get from a source to samples: an image and its category, unless `blocks` says otherwise.

    `get_x` and `get_y` turn an item into what the blocks encode; a list gives one per block.
    `splitter(items, labels)` returns the training and validation indices.
    """

    blocks: Sequence[Block] = field(default_factory=lambda: (ImageBlock(), CategoryBlock()))
    get_items: Callable[[Any], Items] = image_files
    get_x: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = None
    get_y: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = parent
    splitter: Splitter = field(default_factory=lambda: partial(random_split, seed=42))
    item_transforms: Sequence[ItemTransform] = ()
    batch_transforms: Sequence[BatchTransform] = ()
    n_inputs: int | None = None

    def datasets(self, source: Any) -> Datasets:
        """The items of `source`, labelled, split and with their vocabulary, but no picture opened."""
        items = list(self.get_items(source))
        if not items:
            raise DataError(f"no items in {source}")
        getters = self._getters()
        values = [label_all(items, getter) if getter else items for getter in getters]
        train, valid = self.splitter(items, values[-1])
        root = Path(source) if isinstance(source, (str, Path)) else None
        used = sorted({*train, *valid})  # a splitter may leave items out, such as a test folder
        place = {item: i for i, item in enumerate(used)}
        return Datasets(
            [items[i] for i in used], [[column[i] for i in used] for column in values], tuple(self.blocks),
            [place[i] for i in train], [place[i] for i in valid], self._n_inputs, root,
        )  # fmt: skip

    @property
    def _n_inputs(self) -> int:
        return self.n_inputs if self.n_inputs is not None else max(1, len(self.blocks) - 1)

    def _getters(self) -> list[Callable[[Any], Any] | None]:
        return [*_listed(self.get_x, self._n_inputs, "get_x"),
                   *_listed(self.get_y, len(self.blocks) - self._n_inputs, "get_y")]  # fmt: skip

    def dataloaders(self, source: Any, **options: Any) -> DataLoaders:
        """Loaders over `source`; the options are those of `Datasets.dataloaders`."""
        return self.datasets(source).dataloaders(self.item_transforms, self.batch_transforms, **options)


def _listed(getter: Any, n: int, name: str) -> list[Callable[[Any], Any] | None]:
    getters = list(getter) if isinstance(getter, (list, tuple)) else [getter] * n
    if len(getters) != n:
        raise ConfigError(
            f"{name} has {len(getters)} functions for {n} blocks", hint="give one per block, or set n_inputs"
        )
    return getters


class Datasets:
    """Labelled, split items with their vocabulary; pictures are opened when loaders ask for them.

    `values[b][i]` is what block b encodes for item i.
    """

    def __init__(
        self,
        items: Items,
        values: Sequence[Sequence[Any]],
        blocks: Sequence[Block],
        train: Sequence[int],
        valid: Sequence[int],
        n_inputs: int = 1,
        root: Path | None = None,
    ) -> None:
        self.items, self.values, self.blocks = items, values, blocks
        self.train, self.valid, self.n_inputs, self.root = list(train), list(valid), n_inputs, root
        for block, column in zip(blocks, values, strict=True):
            block.encoder.setup([column[i] for i in self.train])

    def __repr__(self) -> str:
        return f"Datasets({len(self.train)} + {len(self.valid)} items, {self.target.n_out} {self.target.kind} outputs)"

    @property
    def target_encoder(self) -> LabelEncoder:
        """The encoder of the last block."""
        encoder = self.blocks[-1].encoder
        if not isinstance(encoder, LabelEncoder):
            raise ConfigError("the last block is not a label")
        return encoder

    @cached_property
    def target(self) -> TargetInfo:
        """What a loss, a metric or a head needs to know of the target."""
        return self.target_encoder.info([self.values[-1][i] for i in self.train])

    @cached_property
    def paths(self) -> list[Path]:
        """The file of every item."""
        return [item_path(item) for item in self.items]

    @property
    def labels(self) -> Sequence[Any]:
        """The label of every item, as its labeller gave it."""
        return self.values[-1]

    def dataloaders(
        self,
        item_transforms: Sequence[ItemTransform] = (),
        batch_transforms: Sequence[BatchTransform] = (),
        *,
        normalize: Normalize | Literal["dataset"] | None = None,
        batch_size: int = 64,
        sampler: Sampler = "shuffle",
        seed: int = 0,
        device: torch.device | str = "cpu",
        cache: Tier | Literal["auto"] = "auto",
        workers: int | None = None,
        skip_bad: bool = False,
        cache_folder: Path | None = None,
    ) -> DataLoaders:
        """The training and validation loaders."""
        items = ItemPipeline(item_transforms)
        make = partial(Store, uniform=not items.random, tier=cache, device=device, workers=workers, skip_bad=skip_bad,
                       name_of=self.name_of, cache_folder=cache_folder)  # fmt: skip
        elements = [self._element(b, items, make) for b in range(len(self.blocks))]
        if normalize == "dataset":
            normalize = self._statistics(elements[0], items)
        batches = BatchPipeline(batch_transforms, normalize)
        weights = None if sampler == "shuffle" else class_weights(sampler, self._class_indices(elements[-1]))
        split = partial(Loader, elements, items=items, batches=batches, batch_size=batch_size, seed=seed,
                        device=device, name_of=self.name_of)  # fmt: skip
        train, valid = split(self.train, train=True, weights=weights), split(self.valid)
        return DataLoaders(train, valid, self._input_info(elements[0], items, batches), self.target, self.n_inputs)

    def name_of(self, index: int) -> str:
        """The file name of item `index`, relative to the source where it lies below it."""
        return relative_name(self.paths[index], self.root or Path())

    def split_rows(self) -> list[SplitRow]:
        """Path, label and split of every item that is in one, sorted by path."""
        return split_rows(self.items, self.labels, self.train, self.valid, self.root or Path())

    def _element(self, b: int, items: ItemPipeline, make: Callable[..., Store]) -> Store | Tensor:
        encoder, values = self.blocks[b].encoder, self.values[b]
        if isinstance(encoder, LabelEncoder):
            labels: Tensor = encoder.encode_all(values, self.paths).as_subclass(encoder.element)
            return labels
        store: Store = make(lambda i: items.prepare(encoder.encode(values[i])), len(values), element=encoder.element)
        return store

    def _class_indices(self, labels: Store | Tensor) -> Tensor:
        if self.target.kind != "category" or isinstance(labels, Store):
            raise ConfigError("only data.sampler: shuffle works without single classes", key="data.sampler")
        return labels.as_subclass(Tensor)[torch.tensor(self.train)]

    def _views(self, store: Store, items: ItemPipeline, indices: Sequence[int]) -> list[Tensor]:
        return [items.finish(pixels, None) for pixels in store.take(indices)]

    def _statistics(self, store: Store | Tensor, items: ItemPipeline) -> Normalize:
        assert isinstance(store, Store)
        step = max(1, len(self.train) // STATS_SAMPLE)
        return channel_stats(self._views(store, items, self.train[::step]))

    def _input_info(self, store: Store | Tensor, items: ItemPipeline, batches: BatchPipeline) -> InputInfo:
        assert isinstance(store, Store)
        for index in self.train:
            if views := self._views(store, items, [index]):
                channels, height, width = views[0].shape
                return InputInfo(channels, batches.output_size((height, width)))
        raise DataError("no training picture can be opened", hint="fastcli data check")
