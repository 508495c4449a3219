"""ImageDataLoaders and SegmentationDataLoaders: loaders from the usual arrangements of pictures, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastcli.data.items import Row, image_files
from fastcli.errors import ConfigError
from fastcli.vision.blocks import CategoryBlock, ImageBlock, MaskBlock, MultiCategoryBlock, RegressionBlock
from fastcli.vision.core import L, get_image_files
from fastcli.vision.data import DataBlock
from fastcli.vision.getting import (
    ColReader,
    ColSplitter,
    GrandparentSplitter,
    RandomSplitter,
    RegexLabeller,
    parent_label,
)
from fastcli.vision.loaders import DataLoaders
from fastcli.vision.pictures import PILBase, PILImage

__all__ = ["ImageDataLoaders", "SegmentationDataLoaders"]


class ImageDataLoaders(DataLoaders):
    """Loaders of pictures with labels; the other arguments are those of `DataBlock` and `DataBlock.dataloaders`."""

    @classmethod
    def from_folder(
        cls, path: str | Path, train: str = "train", valid: str = "valid", valid_pct: float | None = None,
        seed: int | None = None, vocab: Any = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """A folder for each class, in folders `train` and `valid`; or anywhere with `valid_pct`, split at random."""
        if valid_pct is None:
            items, splitter = image_files(Path(path), folders=[train, valid]), GrandparentSplitter(train, valid)
        else:
            items, splitter = get_image_files(path), RandomSplitter(valid_pct, seed)
        return _loaders(path, items, parent_label, splitter, CategoryBlock(vocab), **options)

    @classmethod
    def from_path_func(
        cls, path: str | Path, fnames: Sequence[Any], label_func: Callable[[Any], Any], valid_pct: float = 0.2,
        seed: int | None = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Files that `label_func` labels by their path; it may be a lambda."""
        block = _block_of([label_func(name) for name in fnames[:1]])
        return _loaders(path, fnames, label_func, RandomSplitter(valid_pct, seed), block, **options)

    @classmethod
    def from_name_func(
        cls, path: str | Path, fnames: Sequence[Any], label_func: Callable[[str], Any], valid_pct: float = 0.2,
        seed: int | None = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Files that `label_func` labels by their name."""
        return cls.from_path_func(path, fnames, lambda file: label_func(Path(file).name), valid_pct, seed, **options)

    @classmethod
    def from_path_re(cls, path: str | Path, fnames: Sequence[Any], pat: str, **options: Any) -> DataLoaders:
        """Files that are labelled by the first group of `pat` in their path."""
        return cls.from_path_func(path, fnames, RegexLabeller(pat), **options)

    @classmethod
    def from_name_re(cls, path: str | Path, fnames: Sequence[Any], pat: str, **options: Any) -> DataLoaders:
        """Files that are labelled by the first group of `pat` in their name."""
        return cls.from_name_func(path, fnames, RegexLabeller(pat), **options)

    @classmethod
    def from_df(
        cls, df: Any, path: str | Path = ".", valid_pct: float = 0.2, seed: int | None = None, fn_col: Any = 0,
        folder: str | Path | None = None, suff: str = "", label_col: Any = 1, label_delim: str | None = None,
        y_block: Any = None, valid_col: Any = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Rows of a table that name a file in column `fn_col` and its label, or several, in `label_col`."""
        base = Path(path) / (folder or "")
        names, label = ColReader(fn_col, pref=base, suff=suff), ColReader(label_col, label_delim=label_delim)
        splitter = RandomSplitter(valid_pct, seed) if valid_col is None else ColSplitter(valid_col)
        if y_block is None:
            y_block = _block_of([label(row) for _, row in df.head(1).iterrows()])
        return _loaders(path, df, label, splitter, y_block, get_x=partial(_file_of, names), **options)

    @classmethod
    def from_csv(
        cls, path: str | Path, csv_fname: str | Path = "labels.csv", header: Any = "infer",
        delimiter: str | None = None, quoting: int = 0, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """The rows of a CSV in `path`, as `from_df` takes them."""
        import pandas as pd

        given = {} if delimiter is None else {"delimiter": delimiter}
        table = pd.read_csv(Path(path) / csv_fname, header=header, quoting=quoting, **given)
        return cls.from_df(table, path, **options)

    @classmethod
    def from_lists(
        cls, path: str | Path, fnames: Sequence[Any], labels: Sequence[Any], valid_pct: float = 0.2,
        seed: int | None = None, y_block: Any = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Files and their labels: a class each, several, or numbers."""
        if len(fnames) != len(labels):
            raise ConfigError(f"{len(fnames)} files have {len(labels)} labels")
        pairs = zip(fnames, labels, strict=True)
        rows = [Row({"label": label}, _found(Path(path), Path(name))) for name, label in pairs]
        block = y_block or _block_of(list(labels))
        return _loaders(path, rows, lambda row: row["label"], RandomSplitter(valid_pct, seed), block, **options)


class SegmentationDataLoaders(DataLoaders):
    """Loaders of pictures with masks."""

    @classmethod
    def from_label_func(
        cls, path: str | Path, fnames: Sequence[Any], label_func: Callable[[Any], Any], valid_pct: float = 0.2,
        seed: int | None = None, codes: Any = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Files whose masks `label_func` finds; `codes` names the classes that their values stand for."""
        splitter = RandomSplitter(valid_pct, seed)
        return _loaders(path, fnames, label_func, splitter, MaskBlock(codes), **options)


def _loaders(
    path: str | Path, items: Any, get_y: Callable[[Any], Any], splitter: Any, y_block: Any, item_tfms: Any = None,
    batch_tfms: Any = None, img_cls: type[PILBase] = PILImage, get_x: Any = None, **options: Any,
) -> DataLoaders:  # fmt: skip
    block = DataBlock((ImageBlock(img_cls), y_block), get_x=get_x, get_y=get_y, splitter=splitter, item_tfms=item_tfms,
                      batch_tfms=batch_tfms)  # fmt: skip
    return block.dataloaders(items, path=path, **options)


def _file_of(names: ColReader, item: Any) -> Any:
    """The file that a row names; a file is itself, so that others than those of the table can be asked about."""
    return item if isinstance(item, str | Path) else names(item)


def _found(path: Path, name: Path) -> Path:
    """The file as it is named, or else below `path`."""
    return name if name.is_file() else path / name


def _block_of(labels: list[Any]) -> Any:
    """The block that fits these labels: several classes, numbers, or one class."""
    first: Any = labels[0] if labels else ""
    if isinstance(first, list | tuple | L):
        return RegressionBlock() if all(isinstance(part, float) for part in first) else MultiCategoryBlock()
    return RegressionBlock() if isinstance(first, float) else CategoryBlock()
