"""How a folder of pictures is arranged, and with it how its labels and its split are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fastcli.data.items import IMAGE_EXTENSIONS, file_names
from fastcli.data.splitters import TEST_FOLDERS, TRAIN_FOLDERS, VALID_FOLDERS, guess_layout
from fastcli.errors import first_few
from fastcli.survey.samples import Choice

SPLIT_FOLDERS = frozenset((*TRAIN_FOLDERS, *VALID_FOLDERS, *TEST_FOLDERS))
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentations", "segmentation", "gt")
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos", "pictures", "jpegimages")
NO_CLASSES = SPLIT_FOLDERS | {*IMAGE_FOLDERS, *MASK_FOLDERS}
"""Folders that are not named after a class."""
PATTERNS = (r"^(.+)_\d+\.[^.]+$", r"^(.+)-\d+\.[^.]+$", r"^(.+?) ?\(\d+\)\.[^.]+$", r"^([^.]+)\.\d+\.[^.]+$",
            r"^(.*[^\d\s])\s*\d+\.[^.]+$", r"^([^_]+)_.+\.[^.]+$")  # fmt: skip
"""Names of files that begin with their class: cat_1.jpg, cat-1.jpg, cat (1).jpg, cat.1.jpg, cat1.jpg, cat_x.jpg."""


@dataclass(frozen=True)
class Layout:
    """An arrangement of pictures, in the words of a configuration and in words for people."""

    kind: str
    words: str
    label: Choice
    split: Choice
    items: Choice | None = None
    target: str = "category"
    label_words: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The names of all files below a folder, relative to it and with `/`."""

    folder: Path
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Listing:
        """The files below `folder`, by extension pictures or not, sorted."""
        pictures: list[str] = []
        others: list[str] = []
        for name in file_names(str(folder)):
            (pictures if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS else others).append(name)
        return cls(folder, sorted(pictures), sorted(others))


def folder_layout(listing: Listing) -> Layout | None:
    """A folder per class, perhaps below train and valid; None where the folders are no classes."""
    label, split = guess_layout([listing.folder / name for name in listing.pictures], listing.folder)
    if split["name"] == "grandparent":
        return _split_folders(listing, label, split)
    inside = [name for name in listing.pictures if "/" in name]
    folders = {name.rpartition("/")[0] for name in inside}
    classes = {folder.rpartition("/")[2] for folder in folders}
    first = {folder.partition("/")[0] for folder in folders}
    if len(classes) < 2 or len(inside) * 2 < len(listing.pictures) or first <= NO_CLASSES:
        return None
    beside = len(listing.pictures) - len(inside)
    remarks = [f"{beside:,} pictures beside the folders are left out"] if beside else []
    if any("/" in folder for folder in folders) and len(first) > 1:
        remarks.append("folders lie in folders: the innermost is the class, label: grandparent takes the one above it")
    return Layout(
        "folders",
        "a folder per class",
        {"name": "parent"},
        {"name": "stratified", "valid_pct": 0.2},
        {"name": "image_files", "folders": sorted(first)} if beside else None,
        label_words="the class is the name of the folder",
        remarks=tuple(remarks),
    )


def _split_folders(listing: Listing, label: str, split: dict[str, Any]) -> Layout | None:
    above = [PurePosixPath(name).parts[-3] if name.count("/") > 1 else "" for name in listing.pictures]
    classes = {PurePosixPath(name).parts[-2] for name, side in zip(listing.pictures, above, strict=True)
               if side == split["train"]}  # fmt: skip
    left = Counter(PurePosixPath(name).parts[0] for name, side in zip(listing.pictures, above, strict=True)
                   if side not in (split["train"], split["valid"]))  # fmt: skip
    if len(classes) < 2:
        return None
    return Layout(
        "folders",
        f"a folder per class in {split['train']}/ and {split['valid']}/",
        {"name": label},
        split,
        label_words="the class is the name of the folder",
        remarks=tuple(f"{n:,} pictures in {name} take no part" for name, n in left.most_common(5)),
    )


def name_layout(listing: Listing) -> Layout | None:
    """Pictures in one folder whose names begin with their class; None where the names tell nothing."""
    folders = Counter(name.rpartition("/")[0] for name in listing.pictures)
    named = [folder for folder in folders if folder.lower() in IMAGE_FOLDERS]
    folder = named[0] if named else next(iter(folders))
    if len(folders) > 1 and not named:
        return None
    names = [name.rpartition("/")[2] for name in listing.pictures if name.rpartition("/")[0] == folder]
    pattern = _pattern(names)
    if pattern is None:
        return None
    example = names[0]
    found = re.search(pattern, example)
    assert found is not None  # it matches every name
    left = len(listing.pictures) - len(names)
    return Layout(
        "names",
        f"names that begin with the class ({example} is {found[1]!r})",
        {"name": "regex", "pattern": pattern},
        {"name": "stratified", "valid_pct": 0.2},
        {"name": "image_files", "path": folder} if folder else None,
        label_words=f"the class is what the parentheses find in the name: {found[1]!r} in {example!r}",
        remarks=(f"{left:,} pictures outside {folder}/ are left out",) if left else (),
    )


def _pattern(names: Sequence[str]) -> str | None:
    """The first pattern that finds a class in all names, at least two classes and not nearly as many as names.

    >>> _pattern(["great_pyrenees_1.jpg", "great_pyrenees_2.jpg", "beagle_1.jpg", "beagle_7.jpg"])
    '^(.+)_\\\\d+\\\\.[^.]+$'
    >>> _pattern(["IMG_1.jpg", "IMG_2.jpg"]) is None
    True
    """
    for pattern in PATTERNS:
        found = [re.search(pattern, name) for name in names]
        classes = Counter(match[1] for match in found if match)
        if all(found) and 2 <= len(classes) <= len(names) / 2:
            return pattern
    return None


def shown(names: Sequence[str]) -> str:
    """The first of some names, fit for a line: what cannot be printed is left out.

    >>> shown(["a\\nb", "c"])
    'a?b, c'
    """
    return first_few([printable(name) for name in names], 6)


def printable(text: str) -> str:
    """The text with a question mark for each character that would break a line or a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
