"""A CSV or TSV that names pictures: which column is the file, which the label, which the split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fastcli.data.download import CSV_SUFFIXES
from fastcli.data.items import IMAGE_EXTENSIONS, read_table
from fastcli.data.splitters import FALSE_WORDS, TEST_FOLDERS, TRUE_WORDS
from fastcli.errors import DataError
from fastcli.survey.layout import Layout, Listing

LABEL_COLUMNS = ("label", "labels", "class", "classes", "category", "target", "tags", "species", "breed")
SPLIT_COLUMNS = ("is_valid", "split", "set", "subset", "partition")
TABLE_NAMES = ("labels", "train", "data", "annotations")
DELIMITERS = ("|", ";", ",", " ")
LOOKED_AT = 20
"""Rows whose files are looked for to find the column that names them."""
FEW = 20
"""Whole numbers of so few values are taken as classes."""


class Columns(NamedTuple):
    """The cells of a table by column."""

    names: list[str]
    rows: list[list[str]]
    header: bool

    def cells(self, name: str) -> list[str]:
        """The column's cells, without the blanks around them."""
        place = self.names.index(name)
        return [row[place].strip() for row in self.rows]


def table_in(listing: Listing) -> Layout | None:
    """The table in a folder that names pictures; None where there is none."""
    tables = [name for name in listing.others if "/" not in name and name.lower().endswith(CSV_SUFFIXES)]
    tables.sort(key=lambda name: (Path(name).stem.lower() not in TABLE_NAMES, name))
    for name in tables:
        try:
            layout = table_layout(listing.folder / name)
        except DataError:  # a table of something else
            continue
        items = {**(layout.items or {}), "file": name}
        others = tuple(f"{other} is there too: fastcli init {other}" for other in tables if other != name)
        return replace(layout, items=items, remarks=(*layout.remarks, *others))
    return None


def table_layout(table: Path) -> Layout:
    """How a table says what its pictures show. Raises DataError where no column names files, or none is a label."""
    columns, files = _with_files(table)
    split = _split(columns)
    label, target, words, remarks = _label(columns, files["path_column"], split, table)
    params = {key: value for key, value in files.items() if value != ""}
    if split:
        chosen: dict[str, Any] = {"name": "column", "column": split}
    else:
        share = "stratified" if target == "category" else "random"
        chosen = {"name": share, "valid_pct": 0.2}
    return Layout(
        "table",
        f"the table {table.name}",
        label,
        chosen,
        {"name": "csv_rows", **params, **({} if columns.header else {"header": False})},
        target=target,
        label_words=words,
        remarks=remarks,
    )


def _with_files(table: Path) -> tuple[Columns, dict[str, str]]:
    """The table, and how the paths of its pictures are made of a column."""
    for header in (False, True):  # only where the first line names a picture too is there no header
        names, rows = read_table(table, None, header)
        columns = Columns(names, rows, header)
        if not rows:
            continue
        for column in names:
            cells = [row[names.index(column)].strip() for row in rows[:: max(1, len(rows) // LOOKED_AT)]]
            for folder, suffix in _places(table.parent):
                if all(cell and (table.parent / folder / (cell + suffix)).is_file() for cell in cells):
                    return columns, {"path_column": column, "folder": folder, "suffix": suffix}
    raise DataError(f"no column of {table} names pictures that are there",
                    hint="give data.items: csv_rows its path_column, folder and suffix")  # fmt: skip


def _places(folder: Path) -> Iterator[tuple[str, str]]:
    """Folders and suffixes to try, the simplest first."""
    inside = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    for suffix in ("", *(f".{extension}" for extension in IMAGE_EXTENSIONS)):
        for name in ("", *inside[:100]):
            yield name, suffix


def _split(columns: Columns) -> str | None:
    """The column that says what validates."""
    for name in columns.names:
        if name.lower() in SPLIT_COLUMNS:
            words = {cell.lower() for cell in columns.cells(name)}
            if words <= TRUE_WORDS | FALSE_WORDS | set(TEST_FOLDERS) and words & TRUE_WORDS and words & FALSE_WORDS:
                return name
    return None


def _label(
    columns: Columns, path: str, split: str | None, table: Path
) -> tuple[dict[str, Any], str, str, tuple[str, ...]]:
    """The labeller, the target, what to say of it, and remarks."""
    candidates = [name for name in columns.names if name not in (path, split)]
    candidates.sort(key=lambda name: name.lower() not in LABEL_COLUMNS)
    useful = [name for name in candidates if len(set(columns.cells(name))) > 1]
    if not useful:
        raise DataError(f"{table} has no column of labels beside {path!r}", hint="add one, such as label")
    chosen = next((name for name in useful if _target(columns.cells(name)) != "unclear"), useful[0])
    cells = columns.cells(chosen)
    target = _target(cells)
    remarks = [f"other columns: {', '.join(name for name in useful if name != chosen)}"] if useful[1:] else []
    label: dict[str, Any] = {"name": "column", "column": chosen}
    if target in DELIMITERS:
        label["delimiter"] = target
        return label, "multi_category", f"the cell is a list, parted by {target!r}", tuple(remarks)
    if target == "regression":
        return label, target, "the number to predict", tuple(remarks)
    if all(_number(cell) is not None for cell in cells):
        remarks.append(
            f"the numbers in {chosen!r} are taken as classes; are they measured? then data.target: regression"
        )
    return label, "category", "the column with the class", tuple(remarks)


def _target(cells: Sequence[str]) -> str:
    """`category`, `regression`, `unclear`, or the delimiter of several classes in a cell.

    >>> _target(["cat", "dog", "cat", "dog"]), _target(["a b", "b", "a", "b a"]), _target(["0.5", "0.25", "1"])
    ('category', ' ', 'regression')
    """
    distinct = Counter(cells)
    numbers = [_number(cell) for cell in cells]
    if None not in numbers:
        whole = all(number is not None and number == int(number) for number in numbers)
        return "category" if whole and len(distinct) <= FEW else "regression"
    for mark in DELIMITERS:
        parts = [[part.strip() for part in cell.split(mark) if part.strip()] for cell in distinct]
        vocabulary = {part for some in parts for part in some}
        if any(len(some) > 1 for some in parts) and 2 <= len(vocabulary) < len(distinct):
            return mark
    return "category" if len(distinct) <= max(2, len(cells) / 2) else "unclear"


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None  # neither nan nor inf: bool(nan < x) is False
