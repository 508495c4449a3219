"""ImageDataLoaders and SegmentationDataLoaders: loaders from the usual arrangements of pictures, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from pathlib import Path
from typing import Any

from fastcli.data.items import Row, image_files
from fastcli.errors import ConfigError
from fastcli.vision.core import L, get_image_files, listed
from fastcli.vision.data import (
    CategoryBlock,
    DataBlock,
    DataLoaders,
    ImageBlock,
    MaskBlock,
    MultiCategoryBlock,
    PILImage,
    RegressionBlock,
)
from fastcli.vision.getting import (
    ColReader,
    ColSplitter,
    GrandparentSplitter,
    RandomSplitter,
    RegexLabeller,
    parent_label,
)

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
        """Files that `label_func` labels by their path."""
        labels = [label_func(name) for name in fnames]
        return cls.from_lists(path, fnames, labels, valid_pct, seed, **options)

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
        records = df.to_dict("records")
        name = df.columns[fn_col] if isinstance(fn_col, int) else fn_col
        rows = [Row(record, base / f"{record[name]}{suff}") for record in records]
        reader = ColReader(
            [df.columns[c] if isinstance(c, int) else c for c in listed(label_col)], label_delim=label_delim
        )
        splitter = RandomSplitter(valid_pct, seed) if valid_col is None else ColSplitter(valid_col)
        block = y_block or _block_of([reader(row) for row in rows])
        return _loaders(path, rows, reader, splitter, block, **options)

    @classmethod
    def from_csv(
        cls, path: str | Path, csv_fname: str | Path = "labels.csv", header: Any = "infer",
        delimiter: str | None = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """The rows of a CSV in `path`, as `from_df` takes them."""
        import pandas as pd

        table = pd.read_csv(Path(path) / csv_fname, header=header, delimiter=delimiter)
        return cls.from_df(table, path, **options)

    @classmethod
    def from_lists(
        cls, path: str | Path, fnames: Sequence[Any], labels: Sequence[Any], valid_pct: float = 0.2,
        seed: int | None = None, y_block: Any = None, **options: Any,
    ) -> DataLoaders:  # fmt: skip
        """Files and their labels: a class each, several, or numbers."""
        if len(fnames) != len(labels):
            raise ConfigError(f"{len(fnames)} files have {len(labels)} labels")
        pairs = list(zip(fnames, labels, strict=True))
        rows = [Row({"label": label}, Path(path) / name) for name, label in pairs]
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
    path: str | Path, items: Sequence[Any], get_y: Callable[[Any], Any], splitter: Any, y_block: Any,
    item_tfms: Any = None, batch_tfms: Any = None, img_cls: type[PILImage] = PILImage, **options: Any,
) -> DataLoaders:  # fmt: skip
    block = DataBlock((ImageBlock(img_cls), y_block), get_y=get_y, splitter=splitter, item_tfms=item_tfms,
                      batch_tfms=batch_tfms)  # fmt: skip
    return block.dataloaders(list(items), path=path, **options)


def _block_of(labels: list[Any]) -> Any:
    """The block that fits these labels: several classes, numbers, or one class."""
    first: Any = labels[0] if labels else ""
    if isinstance(first, list | tuple | L):
        return RegressionBlock() if all(isinstance(part, float) for part in first) else MultiCategoryBlock()
    return RegressionBlock() if isinstance(first, Number) and isinstance(first, float) else CategoryBlock()
