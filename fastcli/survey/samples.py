"""Which picture is what, and where it takes part: found by the very components that training uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastcli.data.items
import fastcli.data.labellers
import fastcli.data.splitters
from fastcli.data.download import Source
from fastcli.data.labellers import beside
from fastcli.data.splitters import guess_layout
from fastcli.errors import DataError
from fastcli.registry import items as item_finders
from fastcli.registry import labellers, splitters

Choice = Mapping[str, Any]
"""A component as a configuration has it: its name and its parameters."""
SPLITS = ("train", "valid")
CLASSES = ("category", "multi_category")
"""The targets whose labels are classes."""


@dataclass(frozen=True)
class Sample:
    """A picture, its classes, and the split in which it takes part ("" for none)."""

    path: Path
    labels: tuple[str, ...] = ()
    split: str = ""
    mask: Path | None = None


@dataclass(frozen=True)
class Samples:
    """All pictures of a data set, with what had to be assumed about them."""

    all: list[Sample]
    root: Path
    target: str = "category"
    split: str = "random"
    """Name of the splitter."""
    problems: list[str] = field(default_factory=list)
    """Why there are no labels or no split, where there are none."""

    def __len__(self) -> int:
        return len(self.all)

    def counts(self, split: str | None = None) -> Counter[str]:
        """How many pictures there are of each class, in one split or in both."""
        return Counter(label for s in self.all if (s.split == split if split else s.split) for label in s.labels)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted(self.counts())

    def size(self, split: str) -> int:
        """How many pictures take part in a split."""
        return sum(sample.split == split for sample in self.all)


def find_samples(
    source: Source,
    *,
    items: Choice | None = None,
    label: Choice | None = None,
    split: Choice | None = None,
    target: str = "category",
    seed: int = 42,
) -> Samples:
    """The pictures of a source with their labels and splits; what is left open is guessed, as training guesses it.

    A labeller or a splitter that fails is a problem of the samples and no error, so that the pictures are looked at all
    the same. Raises DataError where there are no pictures, ConfigError for components that do not exist.
    """
    chosen = items or {"name": source.default_items}
    found = _bound(item_finders, chosen)(source.path)
    guessed_label, guessed_split = guess_layout(found, source.path)
    problems: list[str] = []
    labels = _labels(found, label or {"name": guessed_label}, source.folder if target == "mask" else None, problems)
    splitter = {"seed": seed, **(split or guessed_split)}
    sides = _sides(found, labels or [""] * len(found), splitter, problems)
    return Samples(_samples(found, labels, sides, target), source.folder, target, splitter["name"], problems)


def _bound(registry: Any, choice: Choice) -> Any:
    """The component with its parameters; a seed that it does not take is left out."""
    params = {key: value for key, value in choice.items() if key != "name"}
    known = registry.keys_of(choice["name"])
    if "seed" in params and "seed" not in known:
        del params["seed"]
    return registry.bind(choice["name"], **params)


def _labels(found: Sequence[Any], label: Choice, folder: Path | None, problems: list[str]) -> list[Any]:
    labeller = _bound(labellers, label)
    if folder is not None:
        labeller = beside(folder, labeller)
    try:
        return [labeller(item) for item in found]
    except DataError as error:
        problems.append(f"labels: {error.message}")
        return []


def _sides(found: Sequence[Any], labels: Sequence[Any], split: Choice, problems: list[str]) -> list[str]:
    """The split of each item; all of them train where they cannot be split."""
    if split.get("seed") is None:
        split = {**split, "seed": 0}
    try:
        indices = _bound(splitters, split)(found, labels)
    except DataError as error:
        problems.append(f"split: {error.message}")
        return ["train"] * len(found)
    sides = [""] * len(found)
    for name, side in zip(SPLITS, indices, strict=True):
        for i in side:
            sides[i] = name
    return sides


def _samples(found: Sequence[Any], labels: Sequence[Any], sides: Sequence[str], target: str) -> list[Sample]:
    made = []
    for i, item in enumerate(found):
        label = labels[i] if labels else None
        made.append(
            Sample(
                fastcli.data.items.item_path(item),
                _classes_of(label) if target in CLASSES and label is not None else (),
                sides[i],
                Path(label) if target == "mask" and label is not None else None,
            )
        )
    return made


def _classes_of(label: Any) -> tuple[str, ...]:
    """The classes that a label names, each once.

    >>> _classes_of(["river", "clear", "river"]), _classes_of("cat")
    (('river', 'clear'), ('cat',))
    """
    return tuple(dict.fromkeys(map(str, label))) if isinstance(label, (list, tuple)) else (str(label),)
