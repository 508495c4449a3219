"""StoredSplit: a run keeps to the split that it wrote down, whatever became of the folder meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastcli.data.items import item_path
from fastcli.data.split_file import SplitRow, label_text, read_split, relative_name, split_rows
from fastcli.errors import DataError, first_few

Items = Sequence[Any]
Split = tuple[list[int], list[int]]
FORK = "--fork begins a new run with the data that is there"


class StoredSplit:
    """A splitter that gives the split in `path` again; paths are relative to `root`.

    Files that are new since take no part, and `notes` is told of them. Raises DataError where files are
    gone, or have other labels.
    """

    def __init__(self, path: Path, splitter: Callable[[Items, Items], Split], root: Path, notes: list[str]) -> None:
        self.path, self.splitter, self.root, self.notes = path, splitter, root, notes

    def __call__(self, items: Items, labels: Items) -> Split:
        """Indices that train and that validate."""
        stored = read_split(self.path)
        try:
            train, valid = self.splitter(items, labels)
            if split_rows(items, labels, train, valid, self.root) == sorted(stored):
                return train, valid
        except DataError:  # what was named is gone, as will be told
            pass
        return self._matched(stored, items, labels)

    def _matched(self, stored: Sequence[SplitRow], items: Items, labels: Items) -> Split:
        names = [relative_name(item_path(item), self.root) for item in items]
        by_row: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, name in enumerate(names):
            by_row[name, label_text(labels[index])].append(index)
        sides: dict[str, list[int]] = {"train": [], "valid": []}
        strange = []
        for row in stored:
            fits = by_row[row.path, row.label]
            if fits:
                sides[row.split].append(fits.pop(0))
            else:
                strange.append(row.path)
        self._refuse(strange, set(names), len(stored))
        self._tell_new(sorted(set(names) - {row.path for row in stored}))
        return sorted(sides["train"]), sorted(sides["valid"])

    def _refuse(self, strange: Sequence[str], present: set[str], n: int) -> None:
        gone = [path for path in strange if path not in present]
        if gone:
            raise DataError(f"the data has changed since the split: {len(gone):,} of {n:,} files are gone: "
                            f"{first_few(gone)}", hint=f"bring them back; {FORK}")  # fmt: skip
        if strange:
            raise DataError(f"the data has changed since the split: {len(strange):,} of {n:,} files have other labels: "
                            f"{first_few(strange)}", hint=FORK)  # fmt: skip

    def _tell_new(self, new: Sequence[str]) -> None:
        if new:
            files = "file is new and takes" if len(new) == 1 else "files are new and take"
            self.notes.append(f"the data has changed since the split: {len(new):,} {files} no part: {first_few(new)}")
