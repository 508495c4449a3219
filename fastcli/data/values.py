"""What labels say, as lists, names and numbers, and the errors that name the file of one that does not fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from fastcli.errors import DataError, first_few


def listed(value: Any) -> Sequence[Any]:
    """The parts of a label of several parts, or the label as the only part.

    >>> listed("dog"), listed(["sea", "sun"])
    (['dog'], ['sea', 'sun'])
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    return value if isinstance(value, (list, tuple)) else [value]


def names_of(value: Any) -> list[str]:
    """The parts of a label as class names."""
    return [str(name) for name in listed(value)]


def numbers_of(value: Any) -> list[float]:
    """The parts of a label as numbers, one after the other, however they are nested.

    >>> numbers_of([["1.5", 2], (3, 4)])
    [1.5, 2.0, 3.0, 4.0]
    """
    numbers: list[float] = []
    for part in listed(value):
        numbers += numbers_of(part) if isinstance(part, (list, tuple)) or hasattr(part, "tolist") else [float(part)]
    return numbers


def vocabulary(values: Sequence[Any], sort: bool = True) -> list[Any]:
    """Each label once; numbers are sorted as numbers, or else labels stand as they first appear.

    >>> vocabulary([10, 9, 10]), vocabulary(["b", "a", "b"], sort=False)
    ([9, 10], ['b', 'a'])
    """
    labels = list({str(value): value for value in values}.values())
    if sort:
        labels.sort(key=None if all(isinstance(label, Real) for label in labels) else str)
    return labels


def number_rows(values: Sequence[Any], paths: Sequence[Path], count: int | None = None) -> list[list[float]]:
    """Each value as finite numbers, `count` of them unless it is None. Raises DataError naming the file of another."""
    rows: list[list[float]] = []
    for value, path in zip(values, paths, strict=True):
        try:
            rows.append(numbers_of(value))
        except (TypeError, ValueError):
            raise DataError(f"{path}: the target {value!r} is not a number") from None
        if not all(math.isfinite(number) for number in rows[-1]):
            raise DataError(f"{path}: the target {value!r} is not finite")
    if odd := [i for i, row in enumerate(rows) if count is not None and len(row) != count]:
        fits = [path for row, path in zip(rows, paths, strict=True) if len(row) == count]
        other = f"{fits[0]} has {count}" if fits else f"{count} are expected"
        raise DataError(f"{paths[odd[0]]}: {len(rows[odd[0]])} numbers, but {other}", hint="give every item as many")
    return rows


def refuse_unknown(labels: Iterable[Sequence[str]], known: dict[str, int], paths: Sequence[Path]) -> None:
    """Raise a DataError that names files, if a label is not a class of the training split."""
    strangers: dict[str, list[Path]] = {}
    for names, path in zip(labels, paths, strict=True):
        for name in names:
            if name not in known:
                strangers.setdefault(name, []).append(path)
    if not strangers:
        return
    name, files = next(iter(sorted(strangers.items())))
    others = f" (and {len(strangers) - 1} more unknown classes)" if len(strangers) > 1 else ""
    raise DataError(
        f"class {name!r} is not in the training split{others}: {first_few(files)}",
        hint="move one of its images to the training split, remove these files, or list all classes in data.classes",
    )
