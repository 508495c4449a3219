"""fastai's data block and loaders by their names and argument names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fastcli.data import blocks, datablock, loaders
from fastcli.data.items import image_files
from fastcli.data.tensors import DataLoader as TensorLoader
from fastcli.transforms.normalize import Normalize
from fastcli.vision.core import default_device, listed
from fastcli.vision.getting import RandomSplitter

__all__ = ["BBoxBlock", "BBoxLblBlock", "CategoryBlock", "DataBlock", "DataLoader", "DataLoaders", "ImageBlock",
           "MaskBlock", "MultiCategoryBlock", "PILImage", "PILImageBW", "PILMask", "PointBlock",
           "RegressionBlock"]  # fmt: skip


class PILImage:
    """Pictures in colour."""

    mode = "RGB"

    @classmethod
    def create(cls, fn: Any) -> Any:
        """The picture in a file, or made of an array or a tensor (channels last)."""
        import numpy as np
        from PIL import Image

        opened = Image.open(fn) if isinstance(fn, str | Path) else Image.fromarray(np.asarray(fn))
        return opened.convert(cls.mode)


class PILImageBW(PILImage):
    """Pictures in grey."""

    mode = "L"


class PILMask(PILImage):
    """Pictures whose values are codes of classes."""

    mode = "L"


def ImageBlock(cls: type[PILImage] = PILImage) -> blocks.Block:  # noqa: N802
    """Pictures in colour, or as `cls` has them."""
    return blocks.ImageBlock("L" if cls.mode == "L" else "RGB")


def CategoryBlock(vocab: Any = None, sort: bool = True, add_na: bool = False) -> blocks.Block:  # noqa: N802
    """One class."""
    return blocks.CategoryBlock(vocab and list(vocab), sort, add_na)


def MultiCategoryBlock(encoded: bool = False, vocab: Any = None, add_na: bool = False) -> blocks.Block:  # noqa: N802
    """Any number of classes."""
    return blocks.MultiCategoryBlock(vocab and list(vocab), encoded, add_na)


def MaskBlock(codes: Any = None) -> blocks.Block:  # noqa: N802
    """A class for each pixel."""
    return blocks.MaskBlock(None if codes is None else [str(code) for code in codes])


def BBoxLblBlock(vocab: Any = None, add_na: bool = True) -> blocks.Block:  # noqa: N802
    """The class of each box."""
    return blocks.BBoxLblBlock(vocab and list(vocab), add_na)


RegressionBlock, PointBlock, BBoxBlock = blocks.RegressionBlock, blocks.PointBlock, blocks.BBoxBlock


def DataLoader(  # noqa: N802
    dataset: Any, bs: int = 64, shuffle: bool = False, drop_last: bool = False, device: Any = None,
    batch_size: int | None = None, num_workers: int = 0, **options: Any,
) -> TensorLoader:  # fmt: skip
    """Batches of a list of tuples, a dataset of torch, or tensors; nothing is read by other processes."""
    del num_workers
    return TensorLoader(dataset, batch_size or bs, shuffle, drop_last, device=device or "cpu", **options)


class DataLoaders(loaders.DataLoaders):
    """The training and validation loaders of one task."""

    path = Path()

    @classmethod
    def of(cls, made: loaders.DataLoaders, path: str | Path = ".") -> DataLoaders:
        """The library's loaders with fastai's names."""
        new = cls(made.train, made.valid)
        vars(new).update(vars(made), path=Path(path))
        return new

    def new(self, *args: Any, **options: Any) -> DataLoaders:
        """Loaders of the same samples with other transforms and options."""
        return self.of(super().new(*args, **options), self.path)

    def test_dl(self, test_items: Any, with_labels: bool = False, bs: int | None = None, **_: Any) -> Any:
        """A loader of other items in their order, as in validation."""
        return self.test_loader(list(test_items), with_labels=with_labels, batch_size=bs)

    def show_batch(  # type: ignore[override]
        self, b: Any = None, max_n: int = 9, nrows: int | None = None, ncols: int | None = None, unique: bool = False,
        figsize: Any = None,
    ) -> None:  # fmt: skip
        """Draw samples of a batch."""
        super().show_batch(b, max_n, unique=unique, rows=nrows, columns=ncols, figsize=figsize)

    @property
    def c(self) -> int:
        """How many outputs the target needs."""
        return self.target.n_out

    @property
    def train_ds(self) -> Any:
        """The training samples."""
        return self.train_set

    @property
    def valid_ds(self) -> Any:
        """The validation samples."""
        return self.valid_set

    @property
    def bs(self) -> int:
        """How many samples make a batch."""
        return self.train.batch_size

    def __getitem__(self, i: int) -> Any:
        return (self.train, self.valid)[i]

    def cuda(self) -> Any:
        """These loaders, with batches on the GPU."""
        return self.to("cuda")

    def cpu(self) -> Any:
        """These loaders, with batches on the CPU."""
        return self.to("cpu")


class DataBlock(datablock.DataBlock):
    """How to get from a source to samples, in fastai's words.

    Without a splitter a fifth of the items validates, drawn from torch's global generator.
    """

    def __init__(
        self, blocks: Any = None, getters: Any = None, n_inp: int | None = None, item_tfms: Any = None,
        batch_tfms: Any = None, get_items: Any = None, splitter: Any = None, get_x: Any = None, get_y: Any = None,
    ) -> None:  # fmt: skip
        transforms = [t for made in listed(batch_tfms) for t in listed(made)]
        self.normalize = next((t for t in transforms if isinstance(t, Normalize)), None)
        splitter = splitter or RandomSplitter()
        super().__init__(
            blocks=listed(blocks) or [ImageBlock(), CategoryBlock()],
            get_items=get_items,
            get_x=get_x,
            get_y=get_y,
            splitter=lambda items, labels: _plain(splitter(items)),
            item_transforms=listed(item_tfms),
            batch_transforms=[t for t in transforms if not isinstance(t, Normalize)],
            n_inputs=n_inp,
            getters=getters and listed(getters),
        )

    def dataloaders(
        self, source: Any, path: str | Path = ".", bs: int = 64, val_bs: int | None = None, device: Any = None,
        shuffle: bool = True, drop_last: bool = False, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """The loaders of `source`, in batches of `bs`; unlike fastai's they keep the last, smaller batch."""
        seed = int(torch.initial_seed() % 2**31)
        options = {"seed": seed, "normalize": self.normalize, **options}
        made = super().dataloaders(
            source, batch_size=bs, valid_batch_size=val_bs, device=device or default_device(), shuffle=shuffle,
            drop_last=drop_last, **options,
        )  # fmt: skip
        return DataLoaders.of(made, path)

    def weighted_dataloaders(self, source: Any, wgts: Any, bs: int = 64, **options: Any) -> DataLoaders:
        """Loaders whose training draws items by their weights."""
        return self.dataloaders(source, bs=bs, weights=torch.as_tensor(wgts), **options)

    def summary(self, source: Any, bs: int = 4, show_batch: bool = False, **options: Any) -> str:
        """Print what happens to one sample at each step, and which step fails and why."""
        told = super().summary(source, batch_size=bs, write=_print, normalize=self.normalize, **options)
        if show_batch:
            self.dataloaders(source, bs=bs).show_batch()
        return told


def _print(line: str) -> None:
    print(line)  # noqa: T201 - what a notebook's reader asked for


def _plain(split: Any) -> tuple[list[int], list[int]]:
    train, valid = split
    return [int(i) for i in train], [int(i) for i in valid]


def files_in(folders: list[str] | None) -> Any:
    """A function that lists the pictures of these folders of a path."""
    return lambda path: image_files(Path(path), folders=folders)
