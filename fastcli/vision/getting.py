"""fastai's splitters and labellers by their names: a splitter takes the items, a labeller one item."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from fastcore.basics import using_attr

from fastcli.data import labellers, splitters
from fastcli.data.items import Row
from fastcli.errors import DataError
from fastcli.vision.core import L, listed

__all__ = ["AttrGetter", "ColReader", "ColSplitter", "EndSplitter", "FileSplitter", "FuncSplitter",
           "GrandparentSplitter", "IndexSplitter", "ItemGetter", "MaskSplitter", "RandomSplitter",
           "RandomSubsetSplitter", "RegexLabeller", "TrainTestSplitter", "get_annotations", "parent_label",
           "using_attr"]  # fmt: skip

Items = Sequence[Any]
Split = tuple[Any, Any]
Splitter = Callable[[Items], Split]


def RandomSplitter(valid_pct: float = 0.2, seed: int | None = None) -> Splitter:  # noqa: N802
    """Draws `valid_pct` of the items for validation: fastai's split for the same `seed`, and no generator but its own.

    Without a seed it is drawn from torch's global generator, so that `set_seed` decides.
    """

    def split(items: Items) -> Split:
        order = _permutation(len(items), seed)
        cut = int(valid_pct * len(items))
        return L(order[cut:]), L(order[:cut])

    return split


def RandomSubsetSplitter(train_sz: float, valid_sz: float, seed: int | None = None) -> Splitter:  # noqa: N802
    """Draws a share of the items for training and another for validation; the rest takes no part."""

    def split(items: Items) -> Split:
        order = _permutation(len(items), seed)
        n_train, n_valid = int(train_sz * len(items)), int(valid_sz * len(items))
        return L(order[:n_train]), L(order[n_train : n_train + n_valid])

    return split


def _permutation(n: int, seed: int | None) -> list[int]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator).tolist()


def TrainTestSplitter(  # noqa: N802
    test_size: float = 0.2, random_state: int | None = None, stratify: Items | None = None
) -> Splitter:
    """Draws `test_size` of the items for validation, of every class in `stratify` alike."""

    def split(items: Items) -> Split:
        if stratify is None:
            return RandomSplitter(test_size, random_state)(items)
        train, valid = splitters.stratified(list(items), list(stratify), valid_pct=test_size, seed=random_state)
        return L(train), L(valid)

    return split


def GrandparentSplitter(train_name: Any = "train", valid_name: Any = "valid") -> Splitter:  # noqa: N802
    """By the name of the folder above an item's folder."""

    def split(items: Items) -> Split:
        names = [Path(item).parent.parent.name for item in items]
        return _where(names, listed(train_name)), _where(names, listed(valid_name))

    return split


def IndexSplitter(valid_idx: Any) -> Splitter:  # noqa: N802
    """The items at these places validate."""

    def split(items: Items) -> Split:
        chosen = {int(i) for i in valid_idx}
        return L(i for i in range(len(items)) if i not in chosen), L(sorted(chosen))

    return split


def MaskSplitter(mask: Any) -> Splitter:  # noqa: N802
    """The items validate where `mask` is true."""
    return IndexSplitter([i for i, chosen in enumerate(mask) if chosen])


def FuncSplitter(func: Callable[[Any], bool]) -> Splitter:  # noqa: N802
    """The items validate for which `func` is true."""
    return lambda items: MaskSplitter([func(item) for item in _rows(items)])(items)


def EndSplitter(valid_pct: float = 0.2, valid_last: bool = True) -> Splitter:  # noqa: N802
    """The last share of the items validates, or the first."""

    def split(items: Items) -> Split:
        n, k = len(items), int(valid_pct * len(items))
        chosen = range(n - k, n) if valid_last else range(k)
        return IndexSplitter(chosen)(items)

    return split


def FileSplitter(fname: str | Path) -> Splitter:  # noqa: N802
    """The items validate whose names are lines of a file."""
    names = set(Path(fname).read_text(encoding="utf-8").split("\n"))
    return FuncSplitter(lambda item: Path(item).name in names)


def ColSplitter(col: Any = "is_valid", on: Any = None) -> Splitter:  # noqa: N802
    """The rows validate whose cell in column `col` is true, or is (one of) `on`."""

    def split(items: Items) -> Split:
        cells = [_cell(item, col) for item in _rows(items)]
        return MaskSplitter([bool(cell) if on is None else cell in listed(on) for cell in cells])(items)

    return split


def _rows(items: Any) -> Any:
    """The rows of a table; other items as they are."""
    return [row for _, row in items.iterrows()] if hasattr(items, "iterrows") else items


def _where(names: list[str], wanted: list[str]) -> Any:
    return L(i for i, name in enumerate(names) if name in wanted)


def parent_label(o: Any) -> str:
    """The name of the folder that a file is in.

    >>> parent_label("pets/cat/1.jpg")
    'cat'
    """
    return labellers.parent(o)


class RegexLabeller:
    r"""What the first group of `pat` finds in an item's text; with `match` only at its beginning.

    >>> RegexLabeller(r"(.+)_\d+.jpg$")("great_pyrenees_173.jpg")
    'great_pyrenees'
    """

    def __init__(self, pat: str, match: bool = False) -> None:
        self.pattern = re.compile(pat)
        self.find = self.pattern.match if match else self.pattern.search

    def __call__(self, o: Any) -> str:  # noqa: D102
        text = o.as_posix() if isinstance(o, Path) else str(o)
        found = self.find(text)
        if found is None:
            raise DataError(f"{self.pattern.pattern!r} finds nothing in {text!r}")
        return found[1]


class ColReader:
    """The cells of the columns `cols` of a row, between `pref` and `suff`; a list where `label_delim` divides them."""

    def __init__(self, cols: Any, pref: Any = "", suff: str = "", label_delim: str | None = None) -> None:
        self.cols, self.pref, self.suff, self.label_delim = listed(cols), pref, suff, label_delim

    def __call__(self, row: Any) -> Any:  # noqa: D102
        values = [self._one(_cell(row, col)) for col in self.cols]
        return values[0] if len(values) == 1 else values

    def _one(self, value: Any) -> Any:
        if self.label_delim is not None:
            return [part for part in str(value).split(self.label_delim) if part]
        if not self.pref and not self.suff:
            return value
        return f"{self.pref}{value}{self.suff}" if isinstance(self.pref, str) else self.pref / f"{value}{self.suff}"


def _cell(row: Any, col: Any) -> Any:
    """The cell of a `Row`, a row of a table or a named tuple, by name or place."""
    if isinstance(row, Row):
        return list(row.values())[col] if isinstance(col, int) else row[col]
    if hasattr(row, "iloc"):
        return row.iloc[col] if isinstance(col, int) else row[col]
    return row[col] if isinstance(col, int) or not hasattr(row, str(col)) else getattr(row, col)


def ItemGetter(i: int) -> Callable[[Any], Any]:  # noqa: N802
    """The i-th part of an item."""
    return operator.itemgetter(i)


def AttrGetter(nm: str, default: Any = None) -> Callable[[Any], Any]:  # noqa: N802
    """An attribute of an item."""
    return lambda item: getattr(item, nm, default)


def get_annotations(fname: str | Path, prefix: str | None = None) -> tuple[list[str], list[Any]]:
    """The pictures of a COCO file, and for each its boxes (left, top, right, bottom) with their labels."""
    told = json.loads(Path(fname).read_text(encoding="utf-8"))
    classes = {category["id"]: category["name"] for category in told["categories"]}
    found: dict[int, tuple[list[Any], list[str]]] = {}
    for annotation in told["annotations"]:
        boxes, labels = found.setdefault(annotation["image_id"], ([], []))
        left, top, width, height = annotation["bbox"]
        boxes.append([left, top, left + width, top + height])
        labels.append(classes[annotation["category_id"]])
    names = {picture["id"]: (prefix or "") + picture["file_name"] for picture in told["images"]}
    kept = [i for i in names if i in found]
    return [names[i] for i in kept], [found[i] for i in kept]
