"""Which items train and which validate: indices, ascending, that depend on the items and the seed alone.

Items are shuffled in the order of their paths, so that the order of listing does not matter, by a generator of their
own, so that no global random state is read or moved. What neither side names takes no part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt

from fastcli.data.items import Row, item_path
from fastcli.data.labellers import grandparent as grandparent_label
from fastcli.data.labellers import regex
from fastcli.data.shares import Items, Split, by_path, checked, generator, share_of, shares, shuffled, whole_groups
from fastcli.data.split_file import match_names, match_split, read_names, read_split
from fastcli.errors import ConfigError, DataError
from fastcli.registry import splitters

ValidPct = Annotated[float, Field(gt=0, lt=1)]
Seed = NonNegativeInt | None
Splitter = Callable[[Items, Items], Split]
TRAIN_FOLDERS = ("train", "training")
VALID_FOLDERS = ("valid", "val", "validation")
TEST_FOLDERS = ("test", "testing")
TRUE_WORDS = frozenset({"true", "1", "1.0", "yes", *VALID_FOLDERS})
FALSE_WORDS = frozenset({"false", "0", "0.0", "no", "", *TRAIN_FOLDERS})


@splitters
def random(items: Items, labels: Items, /, valid_pct: ValidPct = 0.2, seed: Seed = None) -> Split:
    """A share of `valid_pct` (rounded down) drawn for validation. An experiment fills in its seed; without one it is 0.

    >>> random(["a", "b", "c", "d", "e"], [], valid_pct=0.4, seed=1)
    ([2, 3, 4], [0, 1])
    """
    n_valid = share_of(len(items), valid_pct)
    order = shuffled(by_path(items), generator(seed))
    return checked(items, order[:n_valid], order[n_valid:])


@splitters
def stratified(items: Items, labels: Items, /, valid_pct: ValidPct = 0.2, seed: Seed = None) -> Split:
    """As `random`, with the same share of every class; a class keeps at least one item for training.

    A list of labels counts as one class, whatever its order.
    """
    random_numbers = generator(seed)
    classes: dict[Hashable, list[int]] = {}
    for i in by_path(items):
        classes.setdefault(_class_of(labels[i]), []).append(i)
    groups = [shuffled(classes[name], random_numbers) for name in sorted(classes, key=repr)]
    counts = shares([len(group) for group in groups], valid_pct, random_numbers)
    valid = [i for group, n in zip(groups, counts, strict=True) for i in group[:n]]
    chosen = set(valid)
    hint = f"{len(items)} items of {len(groups)} classes, each keeps one: change data.split.valid_pct, or split: random"
    return checked(items, valid, [i for i in range(len(items)) if i not in chosen], hint)


@splitters
def grandparent(
    items: Items,
    labels: Items,
    /,
    train: str | tuple[str, ...] = "train",
    valid: str | tuple[str, ...] = VALID_FOLDERS,
) -> Split:
    """By the name of the folder above the file's folder: train/cat/1.jpg trains, valid/cat/2.jpg validates.

    Folders of other names take no part. Unless told otherwise `valid`, `val` and `validation` all validate.
    """
    folders = [grandparent_label(item) for item in items]
    train, valid = (train,) if isinstance(train, str) else train, (valid,) if isinstance(valid, str) else valid
    seen = ", ".join(sorted(set(folders)))
    hint = f"the folders two above the files are: {seen}; name two of them in data.split as train and valid"
    return checked(items, _where(folders, valid), _where(folders, train), hint)


@splitters
def column(items: Items, labels: Items, /, column: str | int = "is_valid") -> Split:
    """By a column of the CSV: true, 1, yes, valid validate; false, 0, no, train, "" train; test takes no part."""
    words = [_row(item).cell(column).strip().lower() for item in items]
    for item, word in zip(items, words, strict=True):
        if word not in TRUE_WORDS and word not in FALSE_WORDS and word not in TEST_FOLDERS:
            raise DataError(f"column {column!r} of {item_path(item)} says {word!r}", hint="write true or false")
    return checked(items, _where(words, TRUE_WORDS), _where(words, FALSE_WORDS), f"look into column {column!r}")


@splitters
def file(
    items: Items, labels: Items, /, path: Annotated[str, Field(json_schema_extra={"format": "file-path"})]
) -> Split:
    """By a file: a text file names what validates, one per line; a CSV has columns path and split, as `split.csv`.

    A name is a file's name, or as much of its path as makes it unique. What a text file does not name trains; what a
    CSV does not name takes no part. Raises DataError for a name of no item.
    """
    paths = [item_path(item).as_posix() for item in items]
    if path.lower().endswith(".csv"):
        sides = match_split(read_split(path), paths, path)
        return checked(items, sides["valid"], sides["train"], f"look into {path}")
    valid = match_names(read_names(path), paths, path)
    named = set(valid)
    return checked(items, valid, [i for i in range(len(items)) if i not in named], f"look into {path}")


@splitters
def index(items: Items, labels: Items, /, valid: list[int]) -> Split:
    """By position among the items as they are listed, from 0."""
    if bad := [i for i in valid if not 0 <= i < len(items)]:
        raise ConfigError(f"split 'index': no item {bad[0]}", hint=f"there are {len(items)}, from 0")
    chosen = set(valid)
    return checked(items, sorted(chosen), [i for i in range(len(items)) if i not in chosen])


@splitters
def group(
    items: Items,
    labels: Items,
    /,
    pattern: str | None = None,
    column: str | int | None = None,
    on: Literal["name", "path"] = "name",
    valid_pct: ValidPct = 0.2,
    seed: Seed = None,
) -> Split:
    """As `random`, but whole groups (a patient, a video) stay on one side.

    The group is what the first group of `pattern` finds in the file's name (or path), or the cell of a `column`.
    """
    if (pattern is None) == (column is None):
        raise ConfigError("split 'group' needs either a pattern or a column")
    groups: dict[str, list[int]] = {}
    for i in by_path(items):
        groups.setdefault(_group_of(items[i], pattern, column, on), []).append(i)
    names = sorted(groups)
    order = [groups[names[i]] for i in shuffled(range(len(names)), generator(seed))]
    valid, train = whole_groups(order, valid_pct * len(items))
    return checked(items, valid, train, f"there are only {len(groups)} groups")


@splitters
def end(items: Items, labels: Items, /, valid_pct: ValidPct = 0.2, last: bool = True) -> Split:
    """A share of `valid_pct` (rounded down) at the end of the list validates, or without `last` at its beginning.

    >>> end(["a", "b", "c", "d", "e"], [], valid_pct=0.4)
    ([0, 1, 2], [3, 4])
    """
    n, n_valid = len(items), share_of(len(items), valid_pct)
    first = range(n - n_valid, n) if last else range(n_valid)
    return checked(items, list(first), [i for i in range(n) if i not in first])


@splitters
def subset(items: Items, labels: Items, /, train_pct: ValidPct, valid_pct: ValidPct = 0.2, seed: Seed = None) -> Split:
    """As `random`, with a share of `train_pct` drawn for training, for quick trials; the rest takes no part."""
    n_train, n_valid = share_of(len(items), train_pct), share_of(len(items), valid_pct)
    if train_pct + valid_pct > 1 + 1e-9:
        raise ConfigError(f"train_pct {train_pct} and valid_pct {valid_pct} are more than the whole")
    order = shuffled(by_path(items), generator(seed))
    return checked(items, order[:n_valid], order[n_valid : n_valid + n_train])


def by_flags(flags: Sequence[bool]) -> Splitter:
    """A splitter from one flag per item: true validates.

    >>> by_flags([False, True, False])(["a", "b", "c"], [])
    ([0, 2], [1])
    """

    def split(items: Items, labels: Items) -> Split:
        if len(flags) != len(items):
            raise DataError(f"{len(flags)} flags for {len(items)} items")
        valid = [i for i, flag in enumerate(flags) if flag]
        return checked(items, valid, [i for i, flag in enumerate(flags) if not flag], "look into the flags")

    return split


def by_function(is_valid: Callable[[Any], bool]) -> Splitter:
    """A splitter from a function of an item: what it likes validates.

    >>> by_function(str.isupper)(["a", "B", "c"], [])
    ([0, 2], [1])
    """
    return lambda items, labels: by_flags([bool(is_valid(item)) for item in items])(items, labels)


def guess_layout(items: Items, root: Path | None = None) -> tuple[str, dict[str, Any]]:
    """Names of the labeller and the splitter (with its parameters) that the items' arrangement suggests.

    Rows of a CSV are labelled by a column and split by `is_valid` where they have it. Files in train/class and
    valid/class (or val, validation, else test) below `root` are split so; other files at random.

    >>> guess_layout(["d/train/cat/1.jpg", "d/val/cat/2.jpg"])
    ('parent', {'name': 'grandparent', 'train': 'train', 'valid': 'val'})
    >>> guess_layout(["d/cat/1.jpg", "d/dog/2.jpg"])
    ('parent', {'name': 'random'})
    """
    if items and isinstance(items[0], Row):
        return "column", {"name": "column"} if "is_valid" in items[0] else {"name": "random"}
    folders = {_folder_below(item, root) for item in items}
    train = next((name for name in TRAIN_FOLDERS if name in folders), None)
    valid = next((name for name in (*VALID_FOLDERS, *TEST_FOLDERS) if name in folders), None)
    if train is None or valid is None:
        return "parent", {"name": "random"}
    return "parent", {"name": "grandparent", "train": train, "valid": valid}


def _folder_below(item: Any, root: Path | None) -> str:
    """The grandparent folder's name; "" where it is not below `root`."""
    inside = str(item_path(item)).removeprefix(f"{root}{os.sep}") if root else ""
    return "" if root and inside.count(os.sep) < 2 else grandparent_label(item)


def _group_of(item: Any, pattern: str | None, column: str | int | None, on: Literal["name", "path"]) -> str:
    if pattern is not None:
        return regex(item, pattern=pattern, on=on)
    assert column is not None
    return _row(item).cell(column)


def _row(item: Any) -> Row:
    if not isinstance(item, Row):
        hint = "set data.items: csv_rows, or another split"
        raise ConfigError(f"splitting by a column needs rows of a CSV, but {item} is a file", hint=hint)
    return item


def _where(words: Sequence[str], wanted: Sequence[str] | frozenset[str]) -> list[int]:
    return [i for i, word in enumerate(words) if word in wanted]


def _class_of(label: Any) -> Hashable:
    return tuple(sorted(map(str, label))) if isinstance(label, (list, tuple)) else str(label)
