"""Datasets: labelled, split items with their vocabulary, each of which can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from fastcli.data.blocks import Block
from fastcli.data.elements import Element, Labels, Pixels
from fastcli.data.encoders import Encoder
from fastcli.data.items import paths_of
from fastcli.data.loader import Loader
from fastcli.data.loaders import DataLoaders, LoaderOptions
from fastcli.data.plan import class_weights
from fastcli.data.sources import Sources, picture_of
from fastcli.data.spatial_encoders import AnnotationEncoder
from fastcli.data.split_file import SplitRow, relative_name, split_rows
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.batch import BatchPipeline, BatchTransform
from fastcli.transforms.item import ItemPipeline
from fastcli.transforms.normalize import Normalize, channel_stats
from fastcli.transforms.transform import ItemTransform
from fastcli.types import InputInfo, TargetInfo

Items = Sequence[Any]
STATS_SAMPLE = 1024
"""Training pictures whose statistics `normalize: dataset` takes."""


class Subset(Sequence[tuple[Any, ...]]):
    """The samples of one split; `indices` says which items they are."""

    def __init__(self, datasets: Datasets, indices: Sequence[int]) -> None:
        self.datasets, self.indices = datasets, list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> Subset: ...
    def __getitem__(self, place: Any) -> Any:
        """The typed elements of a sample, or the samples of a slice."""
        if isinstance(place, slice):
            return Subset(self.datasets, self.indices[place])
        return self.datasets[self.indices[place]]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return (self.datasets[i] for i in self.indices)

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {len(self.datasets)} items)"

    @property
    def items(self) -> list[Any]:
        """The items of the samples."""
        return [self.datasets.items[i] for i in self.indices]


class Datasets:
    """Labelled, split items with their vocabulary; pictures are opened when loaders or `datasets[i]` ask for them.

    `values[b][i]` is what block b encodes for item i, and `getters[b]` made it. Raises DataError for an item that both
    trains and validates.
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
        getters: Sequence[Callable[[Any], Any] | None] = (),
    ) -> None:
        self.items, self.values, self.blocks = items, values, blocks
        self.train, self.valid, self.n_inputs, self.root = Subset(self, train), Subset(self, valid), n_inputs, root
        self.getters = list(getters) or [None] * len(blocks)
        self._refuse_overlap()
        for encoder, column in zip(self.encoders, values, strict=True):
            encoder.setup([column[i] for i in self.train.indices])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """The typed elements of item `index` as they are opened, before any transform."""
        elements: list[Any] = []
        canvas: tuple[int, int] | None = None
        for encoder, column in zip(self.encoders, self.values, strict=True):
            element = encoder.encode(column[index])
            if isinstance(encoder, AnnotationEncoder):
                element = encoder.lay(element, canvas)
            elif encoder.made_from == "file" and canvas is None:
                canvas = element.shape[-2], element.shape[-1]
            elements.append(element)
        return tuple(elements)

    def __repr__(self) -> str:
        return f"Datasets({len(self.train)} + {len(self.valid)} items, {self.target.n_out} {self.target.kind} outputs)"

    def _refuse_overlap(self) -> None:
        if both := sorted(set(self.train.indices) & set(self.valid.indices)):
            raise DataError(
                f"{len(both):,} items both train and validate: {self.name_of(both[0])}{', …' if both[1:] else ''}",
                hint="what was trained on says nothing of new pictures: mend the splitter",
            )

    @property
    def encoders(self) -> list[Encoder]:
        """The encoder of each block."""
        return [block.encoder for block in self.blocks]

    @cached_property
    def targets(self) -> tuple[TargetInfo, ...]:
        """What a loss, a metric or a head needs to know of each target."""
        columns = zip(self.encoders[self.n_inputs :], self.values[self.n_inputs :], strict=True)
        return tuple(encoder.info([column[i] for i in self.train.indices]) for encoder, column in columns)

    @property
    def target(self) -> TargetInfo:
        """What a loss, a metric or a head needs to know of the last target."""
        if not self.targets:
            raise ConfigError("all blocks are inputs, so there is no target", hint="lower n_inputs")
        return self.targets[-1]

    @cached_property
    def paths(self) -> list[Path]:
        """The file of every item, or of the picture that is made of it; `item 0` and so on where there is none."""
        pictures = [v for encoder, v in zip(self.encoders, self.values, strict=True) if encoder.made_from == "file"]
        return paths_of(self.items, pictures[0] if pictures else ())

    @property
    def labels(self) -> Sequence[Any]:
        """The label of every item, as its labeller gave it."""
        return self.values[-1]

    def dataloaders(
        self,
        item_transforms: Sequence[ItemTransform] = (),
        batch_transforms: Sequence[BatchTransform] = (),
        **options: Any,
    ) -> DataLoaders:
        """The training and validation loaders; the options are those of `LoaderOptions`."""
        o = LoaderOptions(**options)
        items = ItemPipeline(item_transforms)
        sources = Sources(self.encoders, items, device=o.device, cache=o.cache, workers=o.workers, skip_bad=o.skip_bad,
                          cache_folder=o.cache_folder, root=self.root)  # fmt: skip
        used = sorted({*self.train.indices, *self.valid.indices})
        elements = sources.elements(self.values, self.paths, self.name_of, epochs=o.epochs,
                                    used=None if len(used) == len(self.items) else used)  # fmt: skip
        batches = BatchPipeline(batch_transforms, self._normalize(o.normalize, elements, items))
        split = partial(Loader, elements, items=items, batches=batches, seed=o.seed, device=o.device,
                        name_of=self.name_of)  # fmt: skip
        train = split(self.train.indices, train=True, weights=self._weights(o, elements[-1]), batch_size=o.batch_size,
                      shuffle=o.shuffle, drop_last=o.drop_last, per_epoch=o.per_epoch)  # fmt: skip
        train.followed_by = valid = split(self.valid.indices, batch_size=o.valid_batch_size or o.batch_size)
        return DataLoaders(
            train, valid, self._input_info(elements, items, batches), self.targets[-1] if self.targets else None,
            self.n_inputs, datasets=self, sources=sources, options=o,
        )  # fmt: skip

    def name_of(self, index: int) -> str:
        """The file name of item `index`, relative to the source where it lies below it."""
        return relative_name(self.paths[index], self.root or Path())

    def split_rows(self) -> list[SplitRow]:
        """Path, label and split of every item that is in one, sorted by path."""
        return split_rows(self.items, self.labels, self.train.indices, self.valid.indices, self.root or Path())

    def _weights(self, options: LoaderOptions, labels: Element) -> Any:
        if options.sampler == "shuffle":
            return options.weights
        if options.weights is not None:
            raise ConfigError("give either a sampler or weights", key="data.sampler")
        if self.target.kind != "category" or not isinstance(labels, Labels):
            raise ConfigError("only data.sampler: shuffle works without single classes", key="data.sampler")
        return class_weights(options.sampler, labels.values.as_subclass(Tensor)[torch.tensor(self.train.indices)])

    def _normalize(
        self, normalize: Normalize | Literal["dataset"] | None, elements: Sequence[Element], items: ItemPipeline
    ) -> Normalize | None:
        picture = picture_of(elements)
        if normalize != "dataset" or picture is None:
            return None if normalize == "dataset" else normalize
        step = max(1, len(self.train) // STATS_SAMPLE)
        return channel_stats(_views(picture, items, self.train.indices[::step]))

    def _input_info(self, elements: Sequence[Element], items: ItemPipeline, batches: BatchPipeline) -> InputInfo | None:
        picture = picture_of(elements[: self.n_inputs])
        if picture is None:
            return None
        for index in self.train.indices:
            if views := _views(picture, items, [index]):
                channels, height, width = views[0].shape
                return InputInfo(channels, batches.output_size((height, width)))
        raise DataError("no training picture can be opened", hint="fastcli data check")


def _views(picture: Pixels, items: ItemPipeline, indices: Sequence[int]) -> list[Tensor]:
    return [items.finish(pixels, None) for pixels in picture.store.take(indices)]
