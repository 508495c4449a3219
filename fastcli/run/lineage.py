"""What a resumed run needs to know besides its state: what may change in it, what it was made of, and its recipes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastcli.errors import FastcliError
from fastcli.run.checkpoint import Checkpoints, Loaded
from fastcli.run.files import make_directory, read_json, write_json, writing
from fastcli.run.status import now_text

START = "start"
"""The checkpoint of weights that a run was begun from which is the fork of another."""
FREE = (
    "train",
    "checkpoint",
    "runtime",
    "experiment.tags",
    "experiment.notes",
    "data.cache",
    "data.workers",
    "data.on_bad_image",
    "data.max_pixels",
)
"""What may change in a run that has begun. All else makes another training of it."""
COPIED = ("config.yaml", "config.resolved.yaml", "overrides.txt", "environment.json", "classes.json", "split.csv",
          "metrics.jsonl", "metrics.csv", "recipes.json")  # fmt: skip


def differences(before: Mapping[str, Any], after: Mapping[str, Any], *, given_only: bool = False) -> list[str]:
    """The dotted keys at which two configurations differ.

    With `given_only`, keys that `before` does not have, and values in it that leave the choice open, count for nothing.

    >>> differences({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "d": 2})
    ['a.c']
    >>> differences({"a": {"b": "auto"}, "c": [{"d": 1}]}, {"a": {"b": 3}, "c": [{"d": 1, "e": 2}]}, given_only=True)
    []
    """
    found: list[str] = []
    for key in before if given_only else dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += [f"{key}.{rest}" for rest in differences(old, new, given_only=given_only)]
        elif not _same(old, new, given_only):
            found.append(str(key))
    return found


def _same(old: Any, new: Any, given_only: bool) -> bool:
    if given_only and old in (None, "auto"):
        return True
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return all(not differences({"": a}, {"": b}, given_only=given_only) for a, b in pairs)
    return bool(old == new)


def is_free(key: str) -> bool:
    """Whether a key may change in a run that has begun.

    >>> is_free("train.epochs"), is_free("train.recipe"), is_free("model.name")
    (True, False, False)
    """
    return key != "train.recipe" and any(key == free or key.startswith(f"{free}.") for free in FREE)


def load_state(checkpoints: Path) -> Loaded | None:
    """The checkpoint that a training goes on from; None where it was ended before the first was complete.

    Raises FastcliError where there are some and none is good, or it has no state.
    """
    if not list(checkpoints.glob("last*.json")):
        return None
    loaded = Checkpoints(checkpoints).load("last")
    if loaded.state is None:
        raise FastcliError(f"{checkpoints / loaded.name}.json has weights only: an older fastcli wrote it",
                           hint="--fork begins a new run from its weights")  # fmt: skip
    return loaded


def read_recipes(directory: Path) -> list[dict[str, Any]]:
    """The recipes that the run goes through one after the other; none where it is the one of its configuration."""
    path = directory / "recipes.json"
    return list(read_json(path)) if path.is_file() else []


def write_recipes(directory: Path, recipes: Sequence[Mapping[str, Any]]) -> None:
    """Keep the recipes that the run goes through one after the other."""
    write_json(directory / "recipes.json", list(recipes))


def copy_run(parent: Path, child: Path) -> None:
    """Copy all that a training goes on from into a new directory, which goes on by itself then."""
    with writing(child):
        for name in COPIED:
            if (parent / name).is_file():
                shutil.copyfile(parent / name, child / name)
        make_directory(child / "checkpoints")
        for path in (parent / "checkpoints").glob("[!.]*"):
            shutil.copyfile(path, child / "checkpoints" / path.name)


def write_parent(directory: Path, parent: Path, loaded: Loaded | None) -> None:
    """Keep what a run was forked from, and when."""
    at = {} if loaded is None else {"checkpoint": loaded.name, "epoch": loaded.meta.get("epoch"),
                                    "step": loaded.meta.get("step")}  # fmt: skip
    write_json(directory / "parent.json", {"run": str(parent.resolve()), **at, "forked": now_text()})
