"""What an item shows, read from its path or its row; labels stay strings until the vocabulary is made."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from fastcli.data.items import Row, item_path
from fastcli.errors import ConfigError, DataError
from fastcli.registry import labellers

Labeller = Callable[[Any], Any]


@labellers
def parent(item: Any, /) -> str:
    """The name of the folder that the file is in.

    >>> parent("pets/cat/1.jpg")
    'cat'
    """
    return os.path.basename(os.path.dirname(item_path(item)))  # noqa: PTH119, PTH120 - half the time of Path, per item


@labellers
def grandparent(item: Any, /) -> str:
    """The name of the folder above the file's folder.

    >>> grandparent("pets/train/cat/1.jpg")
    'train'
    """
    return os.path.basename(os.path.dirname(os.path.dirname(item_path(item))))  # noqa: PTH119, PTH120


@labellers
def regex(item: Any, /, pattern: str, on: Literal["name", "path"] = "name") -> str:
    r"""What the first group of `pattern` finds in the file's name, or in its whole path with `/`.

    Raises ConfigError for a bad pattern, DataError for a file in which nothing is found.

    >>> regex("images/great_pyrenees_173.jpg", pattern=r"(.+)_\d+\.jpg$")
    'great_pyrenees'
    """
    path = item_path(item)
    found = _compiled(pattern).search(path.name if on == "name" else path.as_posix())
    if found is None or found[1] is None:
        raise DataError(f"the {on} of {path} does not match {pattern!r}", hint="mend the pattern of data.label")
    return found[1]


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"bad pattern {pattern!r}: {error}") from None
    if not compiled.groups:
        raise ConfigError(f"pattern {pattern!r} has no group", hint="put what to take in parentheses")
    return compiled


@labellers
def is_cat(item: Any, /) -> str:
    """Cat or dog, as Oxford-IIIT pets tells it: files of cats begin with a capital letter.

    fastai's `is_cat` gives True and False; words are given here, as they become the names of the classes.

    >>> is_cat("Bengal_1.jpg"), is_cat("beagle_1.jpg")
    ('cat', 'dog')
    """
    return "cat" if item_path(item).name[:1].isupper() else "dog"


@labellers
def column(item: Any, /, column: str | int | list[str | int] = 1, delimiter: str | None = None) -> str | list[str]:
    """The cell of a column, by name or position; a list of cells for a list of columns.

    With `delimiter` the cell is a list of labels. Raises DataError where the row has no such column.

    >>> from pathlib import Path
    >>> column(Row({"file": "1.jpg", "tags": "clear river"}, Path("1.jpg")), column="tags", delimiter=" ")
    ['clear', 'river']
    """
    if not isinstance(item, Row):
        hint = "set data.items: csv_rows, or another label"
        raise ConfigError(f"label 'column' needs rows of a CSV, but {item} is a file", hint=hint)
    if isinstance(column, list):
        if delimiter is not None:
            raise ConfigError("label 'column' takes a list of columns or a delimiter, not both")
        return [item.cell(one) for one in column]
    cell = item.cell(column)
    if delimiter is None:
        return cell
    return [part.strip() for part in cell.split(delimiter) if part.strip()]


def label_all(items: Iterable[Any], labeller: Labeller) -> list[Any]:
    """The label of every item, in order."""
    return [labeller(item) for item in items]
