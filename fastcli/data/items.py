"""What a data set consists of: image files below a folder, or rows of a CSV that name them."""

from __future__ import annotations

import contextlib
import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fastcli.errors import ConfigError, DataError, did_you_mean, first_few
from fastcli.registry import items

IMAGE_EXTENSIONS = (
    *("jpg", "jpeg", "jfif", "jp2", "png", "gif", "webp", "avif", "bmp", "tif", "tiff"),
    *("pbm", "pgm", "ppm"),
)
Folder = tuple[int, int]
"""Device and inode, which tell a folder reached by two ways."""


class Row(dict[str, str]):
    """One row of a CSV by column name, in the file's order, with the image that it names."""

    def __init__(self, values: dict[str, str], path: Path) -> None:
        super().__init__(values)
        self.path = path

    def __repr__(self) -> str:
        return f"Row({dict(self)!r}, path={str(self.path)!r})"

    def cell(self, column: str | int) -> str:
        """The value in a column given by name or position. Raises DataError where there is none."""
        return self[column_name(column, tuple(self))]


def item_path(item: Any) -> Path:
    """The file of an item that is a path or a `Row`.

    >>> item_path(Path("cat/1.jpg")) == item_path(Row({"label": "cat"}, Path("cat/1.jpg")))
    True
    """
    if isinstance(item, Path):  # as it is: making a Path of a Path costs more than all else that is done to an item
        return item
    if isinstance(item, Row):
        return item.path
    if isinstance(item, (str, os.PathLike)):
        return Path(item)
    raise ConfigError(f"an item of type {type(item).__name__} has no path", hint="give paths, or rows from csv_rows")


def paths_of(items: Sequence[Any], pictures: Sequence[Any] = ()) -> list[Path]:
    """The file of every item, or else of its picture; `item 0` and so on where neither is a file.

    >>> [str(path) for path in paths_of(["a.png", 3, 4], [None, None, "b.png"])]
    ['a.png', 'item 1', 'b.png']
    """
    return [next(_known_paths(candidates), Path(f"item {i}"))
            for i, candidates in enumerate(zip_longest(items, pictures))]  # fmt: skip


def _known_paths(candidates: Iterable[Any]) -> Iterator[Path]:
    for candidate in candidates:
        with contextlib.suppress(ConfigError):
            yield item_path(candidate)


def column_name(column: str | int, names: Sequence[str]) -> str:
    """The name of a column given by name or position. Raises DataError with the nearest name.

    >>> column_name(1, ["path", "label"])
    'label'
    """
    if isinstance(column, int):
        if not 0 <= column < len(names):
            raise DataError(f"no column {column}: there are {len(names)}, from 0", hint=f"columns: {', '.join(names)}")
        return names[column]
    if column not in names:
        raise DataError(f"no column {column!r}", hint=did_you_mean(column, names))
    return column


@items
def image_files(
    root: Path,
    /,
    path: str | None = None,
    recurse: bool = True,
    folders: list[str] | None = None,
    extensions: list[str] | None = None,
) -> list[Path]:
    """Every image file in the folder `path` of `root`, sorted by its relative path.

    `folders` keeps only these folders of the first level ("." for the files beside them). Names that begin with a dot
    are skipped, links are followed, and no folder is listed twice. Raises DataError where there is no image.
    """
    base = _base(Path(root), path)
    found: list[str] = []
    others: Counter[str] = Counter()
    wanted = frozenset(extension.lower().lstrip(".") for extension in (extensions or IMAGE_EXTENSIONS))
    for name in file_names(str(base), recurse, _chosen(base, folders)):
        extension = name.rpartition(".")[2].lower() if "." in name else ""
        if extension in wanted:
            found.append(name)
        else:
            others[extension] += 1
    if not found:
        raise _no_images(base, others, recurse)
    _refuse_undecodable(found)
    return [base / name for name in sorted(found)]


def _refuse_undecodable(names: list[str]) -> None:
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        shown = ascii(next(name for name in names if error.object[error.start] in name))
        raise DataError(f"the name of {shown} is not UTF-8", hint="rename it: it could not be written down") from None


def _base(root: Path, path: str | None) -> Path:
    if root.is_file():
        raise DataError(f"{root} is a file, not a folder of images", hint="read a CSV with data.items: csv_rows")
    base = root / path if path else root
    if not base.is_dir():
        inside = [entry.name for entry in root.iterdir() if entry.is_dir()] if root.is_dir() else []
        raise DataError(f"no folder {base}", hint=did_you_mean(path, inside) if path and inside else None)
    return base


def _chosen(base: Path, folders: list[str] | None) -> frozenset[str] | None:
    if folders is None:
        return None
    known = [".", *(entry.name for entry in base.iterdir() if entry.is_dir())]
    for folder in folders:
        if folder not in known:
            raise DataError(f"no folder {folder!r} in {base}", hint=did_you_mean(folder, known))
    return frozenset(folders)


def file_names(base: str, recurse: bool = True, chosen: frozenset[str] | None = None) -> Iterator[str]:
    """Paths of files relative to `base`, with `/`. Real folders come before linked ones, which may repeat them."""
    pending, linked = [""], list[str]()
    seen: set[Folder] = set()
    while pending or linked:
        here = pending.pop() if pending else linked.pop(0)
        state = os.stat(os.path.join(base, here))  # noqa: PTH116, PTH118 - a Path for each folder is slow
        if (folder := (state.st_dev, state.st_ino)) in seen:
            continue
        seen.add(folder)
        for entry in _entries(os.path.join(base, here)):  # noqa: PTH118
            name = f"{here}/{entry.name}" if here else entry.name
            if _is_folder(entry):
                if recurse and (here or chosen is None or entry.name in chosen):
                    (linked if entry.is_symlink() else pending).append(name)
            elif (here or chosen is None or "." in chosen) and _is_file(entry):
                yield name


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file or a broken link, which is listed so that opening it tells which it is."""
    try:
        return entry.is_file() or not os.path.exists(entry.path)  # noqa: PTH110
    except OSError:
        return True


def _no_images(base: Path, others: Counter[str], recurse: bool) -> DataError:
    if not others:
        hint = "it holds no files" if recurse else "it holds no files itself; look below it with recurse: true"
    else:
        seen = ", ".join(f"{n:,} {f'.{name}' if name else 'without extension'}" for name, n in others.most_common(5))
        hint = f"other files are there: {seen}; name theirs with data.items.extensions"
    return DataError(f"no images in {base}", hint=hint)


@items
def csv_rows(
    root: Path,
    /,
    path_column: str | int = 0,
    folder: str = "",
    suffix: str = "",
    file: str | None = None,
    delimiter: str | None = None,
    header: bool = True,
) -> list[Row]:
    """The rows of a CSV, in its order; `root` is the file, or a folder in which `file` (labels.csv) is.

    Images are at `folder`/cell + `suffix`, relative to the CSV. The `delimiter` left out is a tab in a .tsv, else a
    comma, or `;` or a tab where the first line has these and no comma. Without `header` columns are named "0", "1", …
    Raises DataError for a missing column or file and for a row of another length.
    """
    table = _csv_path(Path(root), file)
    names, lines = read_table(table, delimiter, header)
    key = column_name(path_column, names)
    base = table.parent / folder
    rows = [
        Row(values, base / (values[key] + suffix)) for values in (dict(zip(names, line, strict=True)) for line in lines)
    ]
    if not rows:
        raise DataError(f"{table} has no rows")
    if missing := [row.path for row in rows if not os.path.isfile(row.path)]:  # noqa: PTH113 - called per row
        raise _missing_files(table, missing, len(rows))
    return rows


def _csv_path(root: Path, file: str | None) -> Path:
    folder = root.parent if root.is_file() else root
    table = root if root.is_file() and file is None else folder / (file or "labels.csv")
    if not table.is_file():
        there = [p.name for p in table.parent.glob("*.?sv")] if table.parent.is_dir() else []
        hint = f"data.items.file: {' or '.join(sorted(there)[:5])}" if there else "give its name as data.items.file"
        raise DataError(f"no file {table}", hint=hint)
    return table


def read_table(table: Path, delimiter: str | None, header: bool) -> tuple[list[str], list[list[str]]]:
    """Column names and the cells of each row that is not empty."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter or _delimiter(table, first), skipinitialspace=True)
            lines = [(reader.line_num, line) for line in reader if line]
    except (UnicodeDecodeError, csv.Error, TypeError) as error:
        raise DataError(f"cannot read {table}: {error}", hint="it must be a CSV in UTF-8") from error
    if not lines:
        raise DataError(f"{table} is empty")
    names = [name.strip() for name in lines[0][1]] if header else [str(i) for i in range(len(lines[0][1]))]
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise DataError(f"{table} has the column {twice[0]!r} twice")
    body = lines[1:] if header else lines
    if odd := [(number, len(line)) for number, line in body if len(line) != len(names)]:
        raise DataError(f"{table}:{odd[0][0]}: {odd[0][1]} cells where there are {len(names)} columns")
    return names, [line for _, line in body]


def _delimiter(table: Path, first_line: str) -> str:
    if table.suffix.lower() == ".tsv":
        return "\t"
    return next((mark for mark in ",;\t" if mark in first_line), ",")


def _missing_files(table: Path, missing: list[Path], n: int) -> DataError:
    endings = [e for e in IMAGE_EXTENSIONS if missing[0].with_name(f"{missing[0].name}.{e}").is_file()]
    hint = f"did you mean data.items.suffix: .{endings[0]}?" if endings else "set data.items.folder or .suffix"
    return DataError(f"{len(missing):,} of {n:,} files named in {table} are missing: {first_few(missing)}", hint=hint)
