"""What an item shows, read from its path or its row; labels stay strings until the vocabulary is made."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
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


@labellers
def mask_file(
    item: Any,
    /,
    folder: str = "masks",
    suffix: str = ".png",
    images: str | None = None,
    pattern: str | None = None,
) -> str:
    """The path of an image's mask file: images/1.jpg has masks/1.png.

    `folder` stands in place of the image's folder, or of the folder named `images` above it; one that begins with a dot
    is relative to the image's folder. The name is the image's without its extension, or what the first group of
    `pattern` finds in it, and then `suffix`. Raises DataError where there is no such file.
    """
    path = item_path(item)
    stem = path.stem if pattern is None else regex(path, pattern=pattern)
    found = _folder_of_masks(path, folder, images) / (stem + suffix)
    if not os.path.isfile(found):  # noqa: PTH113 - called per item
        hint = "set folder, suffix, images or pattern of data.label: mask_file"
        raise DataError(f"the mask {found} of {path} does not exist", hint=hint)
    return str(found)


def _folder_of_masks(path: Path, folder: str, images: str | None) -> Path:
    if images is None:
        return path.parent / folder if folder.startswith(".") else path.parent.parent / folder
    parts = list(path.parent.parts)
    if images not in parts:
        raise DataError(f"no folder {images!r} above {path}", hint="set images of data.label: mask_file")
    parts[len(parts) - 1 - parts[::-1].index(images)] = folder
    return Path(*parts)


def using(labeller: Labeller, attribute: str) -> Labeller:
    """`labeller` applied to an attribute of the item's path, such as its `name` (fastai's `using_attr`).

    >>> using(str.upper, "name")("a/dog.png")
    'DOG.PNG'
    """

    def label(item: Any) -> Any:
        return labeller(getattr(item_path(item), attribute))

    return label


def beside(folder: Path, labeller: Labeller) -> Labeller:
    """`labeller`, which gives paths, relative ones below `folder`.

    >>> beside(Path("data"), lambda item: "masks/1.png")("1.jpg") == os.path.join("data", "masks/1.png")
    True
    """
    return lambda item: os.path.join(folder, labeller(item))  # noqa: PTH118 - called per item


def attribute(name: str, default: Any = ...) -> Labeller:
    """Gives an attribute of an item, or else `default`, which must be there if there is none.

    >>> attribute("suffix")(Path("a/dog.png"))
    '.png'
    """
    return lambda item: getattr(item, name) if default is ... else getattr(item, name, default)


def part(index: Any) -> Labeller:
    """Gives a part of an item by its position or key, for items that are tuples or maps.

    >>> part(1)(("dog.png", "dog"))
    'dog'
    """
    return lambda item: item[index]


def label_all(items: Iterable[Any], labeller: Labeller) -> list[Any]:
    """The label of every item, in order."""
    return [labeller(item) for item in items]
