"""The split written down: `split.csv` with path, label and split of every item that takes part."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from fastcli.data.items import item_path
from fastcli.errors import DataError, did_you_mean, first_few

LABEL_SEPARATOR = "|"
"""Between several labels of one item."""


class SplitRow(NamedTuple):
    """One line of a split file."""

    path: str
    label: str
    split: str


def split_rows(
    items: Sequence[Any], labels: Sequence[Any], train: Sequence[int], valid: Sequence[int], root: Path
) -> list[SplitRow]:
    """The rows of `split.csv`, sorted by path; paths are relative to `root` with `/`, or absolute outside it."""
    rows = [SplitRow(relative_name(item_path(items[i]), root), label_text(labels[i]), split)
            for split, indices in (("train", train), ("valid", valid)) for i in indices]  # fmt: skip
    return sorted(rows)


def read_split(path: str | Path) -> list[SplitRow]:
    """The rows of a split file; label is "" where it has no such column. Raises DataError."""
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            for name in ("path", "split"):
                if name not in names:
                    raise DataError(f"{path} has no column {name!r}", hint=did_you_mean(name, names) if names else None)
            return [SplitRow(row["path"] or "", row.get("label") or "", (row["split"] or "").strip()) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def read_names(path: str | Path) -> list[str]:
    """The lines of a text file that are not blank. Raises DataError."""
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return [line.strip() for line in lines if line.strip()]


def match_names(names: Sequence[str], paths: Sequence[str], file: str) -> list[int]:
    """The index of the path that each name ends: the whole file name, or the end of the path from a `/` on.

    Raises DataError for a name of no path or of several.

    >>> match_names(["b/1.png", "2.png"], ["a/1.png", "b/1.png", "b/2.png"], "valid.txt")
    [1, 2]
    """
    by_name: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        by_name.setdefault(path.rpartition("/")[2], []).append(i)
    found: list[int] = []
    unknown: list[str] = []
    for name in names:
        name = name.replace("\\", "/").removeprefix("./")
        fits = [i for i in by_name.get(name.rpartition("/")[2], ()) if _ends_with(paths[i], name)]
        if len({paths[i] for i in fits}) > 1:
            raise DataError(f"{file}: {name!r} names {len(fits)} files", hint=f"write more of it, as {paths[fits[0]]}")
        found += fits
        if not fits:
            unknown.append(name)
    _refuse_unknown(unknown, len(names), file)
    return sorted(set(found))


def match_split(rows: Sequence[SplitRow], paths: Sequence[str], file: str) -> dict[str, list[int]]:
    """Indices of the paths for "train" and "valid"; rows of any other split take no part.

    The paths of the rows are relative to one folder, which is found by the first that fits. Raises DataError.
    """
    by_path: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        by_path.setdefault(path, []).append(i)
    base = _common_folder(rows, paths)
    sides: dict[str, list[int]] = {"train": [], "valid": []}
    unknown: list[str] = []
    for row in rows:
        if row.split in sides:
            fits = by_path.get(base + row.path) or by_path.get(row.path) or []
            sides[row.split] += fits
            if not fits:
                unknown.append(row.path)
    _refuse_unknown(unknown, len(rows), file)
    if both := set(sides["train"]) & set(sides["valid"]):
        raise DataError(f"{file}: {paths[min(both)]} is on both sides")
    return {side: sorted(set(indices)) for side, indices in sides.items()}


def relative_name(path: PurePath, root: PurePath) -> str:
    """The path relative to `root` with `/`, or the whole path where it lies outside.

    >>> relative_name(PurePath("data/cat/1.png"), PurePath("data"))
    'cat/1.png'
    """
    return path.as_posix().removeprefix(f"{root.as_posix().rstrip('/')}/")  # a tenth of the time of relative_to


def _common_folder(rows: Sequence[SplitRow], paths: Sequence[str]) -> str:
    """What stands before the rows' paths: the shortest path that ends as a row, as items may repeat a name deeper."""
    for row in rows:
        if fits := [path for path in paths if path.endswith("/" + row.path)]:
            return min(fits, key=len).removesuffix(row.path)
    return ""


def _ends_with(path: str, name: str) -> bool:
    return path == name or path.endswith("/" + name)


def label_text(label: Any) -> str:
    """A label as the table has it."""
    return LABEL_SEPARATOR.join(map(str, label)) if isinstance(label, (list, tuple)) else str(label)


def _refuse_unknown(unknown: list[str], n: int, file: str) -> None:
    if unknown:
        raise DataError(
            f"{len(unknown):,} of {n:,} files named in {file} are not among the items: {first_few(unknown)}"
        )


def _unreadable(path: str | Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(f"cannot read {path}: {reason}", hint="it must be text in UTF-8")
