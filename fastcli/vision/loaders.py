"""fastai's Datasets, DataLoaders and DataLoader by their names and argument names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcli.data import datasets, loaders
from fastcli.data.loader import Loader
from fastcli.data.tensors import DataLoader as TensorLoader
from fastcli.vision.core import CategoryMap, default_device, listed
from fastcli.vision.transforms import arranged

__all__ = ["DataLoader", "DataLoaders", "Datasets", "get_c"]

WITHOUT_MEANING = ("pin_memory", "timeout", "persistent_workers", "pin_memory_device", "verbose", "do_setup")
"""Options of fastai's worker processes; pictures are read by threads here."""


def DataLoader(  # noqa: N802
    dataset: Any, bs: int | None = None, num_workers: int = 0, pin_memory: bool = False, timeout: int = 0,
    batch_size: int | None = None, shuffle: bool = False, drop_last: bool = False, device: Any = None, **options: Any,
) -> TensorLoader:  # fmt: skip
    """Batches of a list of tuples, a dataset of torch, or tensors; nothing is read by other processes."""
    return TensorLoader(dataset, batch_size or bs or 64, shuffle, drop_last, device=device or "cpu", **options)


class PictureLoader(Loader):
    """A loader with fastai's names."""

    loaders: Any

    @classmethod
    def of(cls, loader: Any, dls: Any) -> Any:
        """The library's loader with fastai's names; what is none of ours stays as it is."""
        if not isinstance(loader, Loader):
            return loader
        new = cls.__new__(cls)
        vars(new).update(vars(loader), loaders=dls)
        return new

    @property
    def bs(self) -> int:
        """How many samples make a batch."""
        return self.batch_size

    @property
    def vocab(self) -> CategoryMap:
        """The names of the classes."""
        return CategoryMap(self.loaders.target.classes)

    @property
    def dataset(self) -> Any:
        """The samples of the split."""
        return self.loaders.train_ds if self.train else self.loaders.valid_ds

    def one_batch(self) -> tuple[Tensor, ...]:
        """The first batch."""
        return next(iter(self))

    def show_batch(self, b: Any = None, max_n: int = 9, **options: Any) -> None:
        """Draw samples of a batch of this loader."""
        self.loaders.show_batch(self.one_batch() if b is None else b, max_n, **options)


class DataLoaders(loaders.DataLoaders):
    """The training and validation loaders of one task."""

    def __init__(self, *loaders: Any, path: str | Path = ".", device: Any = None) -> None:
        super().__init__(*(*loaders, None)[:2])
        self.others, self.path = loaders[2:], Path(path)
        if device is not None:
            self.to(device)

    @classmethod
    def of(cls, made: loaders.DataLoaders, path: str | Path = ".") -> DataLoaders:
        """The library's loaders with fastai's names."""
        new = cls.__new__(cls)
        vars(new).update(vars(made), path=Path(path), others=())
        new.train, new.valid = PictureLoader.of(made.train, new), PictureLoader.of(made.valid, new)
        return new

    @classmethod
    def from_dblock(cls, dblock: Any, source: Any, path: str | Path = ".", **options: Any) -> DataLoaders:
        """The loaders that a data block makes of `source`."""
        return dblock.dataloaders(source, path=path, **options)  # type: ignore[no-any-return]

    def new(self, item_tfms: Any = None, batch_tfms: Any = None, **options: Any) -> DataLoaders:  # type: ignore[override]
        """Loaders of the same samples with other transforms and options."""
        items, batches, normalize = arranged(listed(item_tfms), listed(batch_tfms))
        chosen = {} if normalize is None else {"normalize": normalize}
        made = super().new(
            None if item_tfms is None else items, None if batch_tfms is None else batches,
            **chosen, **_named(options),
        )  # fmt: skip
        return self.of(made, self.path)

    def normalized(self, normalize: Any) -> DataLoaders:
        """The same loaders with another normalisation."""
        return self.of(super().normalized(normalize), self.path)

    def test_dl(
        self, test_items: Any, rm_type_tfms: Any = None, with_labels: bool = False, bs: int | None = None, **_: Any
    ) -> Any:
        """A loader of other items in their order, as in validation."""
        items = [row for _, row in test_items.iterrows()] if hasattr(test_items, "iterrows") else list(test_items)
        return PictureLoader.of(self.test_loader(items, with_labels=with_labels, batch_size=bs), self)

    def show_batch(  # type: ignore[override]
        self, b: Any = None, max_n: int = 9, ctxs: Any = None, show: bool = True, unique: bool = False,
        nrows: int | None = None, ncols: int | None = None, figsize: Any = None,
    ) -> None:  # fmt: skip
        """Draw samples of a batch."""
        super().show_batch(b, max_n, unique=unique, rows=nrows, columns=ncols, figsize=figsize)

    @property
    def vocab(self) -> CategoryMap:
        """The names of the classes, in the order of the model's outputs; `o2i` says which number a name has."""
        return CategoryMap(self.target.classes)

    @property
    def c(self) -> int:
        """How many outputs the target needs."""
        return self.target.n_out

    @property
    def n_inp(self) -> int:
        """How many parts of a batch are the model's inputs."""
        return self.n_inputs

    @property
    def train_ds(self) -> Any:
        """The training samples."""
        return Datasets.of(self.datasets).train

    @property
    def valid_ds(self) -> Any:
        """The validation samples."""
        return Datasets.of(self.datasets).valid

    @property
    def bs(self) -> int:
        """How many samples make a batch."""
        return self.train.batch_size

    def __getitem__(self, i: int) -> Any:
        return (self.train, self.valid, *self.others)[i]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.train, self.valid, *self.others))

    def cuda(self) -> Any:
        """These loaders, with batches on the GPU."""
        return self.to("cuda")

    def cpu(self) -> Any:
        """These loaders, with batches on the CPU."""
        return self.to("cpu")


class Datasets(datasets.Datasets):
    """Labelled, split items; `dsets[i]` is a sample, `train` and `valid` are its splits."""

    made: datasets.Datasets
    """The library's own, of which loaders are made."""

    @classmethod
    def of(cls, made: datasets.Datasets) -> Datasets:
        """The library's datasets with fastai's names."""
        new = cls.__new__(cls)
        vars(new).update(vars(made), made=made)
        new.train, new.valid = (Split(new, split.indices) for split in (made.train, made.valid))
        return new

    def dataloaders(  # type: ignore[override]
        self, bs: int = 64, shuffle: bool = True, val_bs: int | None = None, path: str | Path = ".",
        device: Any = None, drop_last: bool = False, after_item: Any = None, after_batch: Any = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Loaders in batches of `bs`; unlike fastai's they keep the last, smaller batch."""
        items, batches, normalize = arranged(listed(after_item), listed(after_batch))
        given = {"seed": int(torch.initial_seed() % 2**31), "normalize": normalize, **_named(options)}
        made = self.made.dataloaders(
            items, batches, batch_size=bs, valid_batch_size=val_bs, shuffle=shuffle, drop_last=drop_last,
            device=device or default_device(), **given,
        )  # fmt: skip
        return DataLoaders.of(made, path)

    def weighted_dataloaders(self, wgts: Any, bs: int = 64, **options: Any) -> DataLoaders:
        """Loaders whose training draws items by their weights, one for each training item."""
        return self.dataloaders(bs=bs, weights=[float(weight) for weight in wgts], **options)

    def partial_dataloaders(self, partial_n: int, bs: int = 64, **options: Any) -> DataLoaders:
        """Loaders whose epochs have `partial_n` training items, others each time."""
        return self.dataloaders(bs=bs, per_epoch=partial_n, **options)

    @property
    def vocab(self) -> CategoryMap:
        """The names of the classes."""
        return CategoryMap(self.target.classes)

    @property
    def c(self) -> int:
        """How many outputs the target needs."""
        return self.target.n_out

    @property
    def n_inp(self) -> int:
        """How many parts of a sample are the model's inputs."""
        return self.n_inputs

    @property
    def splits(self) -> tuple[list[int], list[int]]:
        """The places of the training and the validation items."""
        return self.train.indices, self.valid.indices


class Split(datasets.Subset):
    """The samples of one split, with what its datasets know."""

    @property
    def vocab(self) -> CategoryMap:
        """The names of the classes."""
        return CategoryMap(self.datasets.target.classes)


def get_c(dls: Any) -> int:
    """How many outputs the target of loaders needs."""
    return int(dls.c)


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """Fastai's options by our names, without those of worker processes."""
    names = {"bs": "batch_size", "batch_size": "batch_size", "val_bs": "valid_batch_size", "num_workers": "workers"}
    kept = {names.get(name, name): value for name, value in options.items() if name not in WITHOUT_MEANING}
    if kept.get("workers") == 0:  # fastai's word for no other processes
        del kept["workers"]
    return kept
