"""Checkpoints that survive a kill at any moment: `last`, `last-1`, `best` and an index over them.

Two files cannot be replaced in one step, so each checkpoint is a pair that proves itself by checksums (`pair`). A
save completes the new pair in a temporary folder, lets the old one have the next name too (last -> last-1), then
puts the new one in place, and only then deletes what is too many. So at every moment one good pair stands under one
of the names, and `Checkpoints.load` finds it. `index.json` repeats sizes, checksums, epochs and metrics for people
and other programs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcli.errors import FastcliError
from fastcli.run.files import make_directory, write_json, writing
from fastcli.run.nested import STATE, model_tensors, unpacked
from fastcli.run.pair import FORMAT, Record, link, place, read_record, read_tensors, staged, verified

if TYPE_CHECKING:
    from torch import Tensor

STAND_INS = {"last": ("last",), "best": ("best", "last")}
"""Whose checkpoints may be read in place of a damaged one."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as it was saved."""

    name: str
    """The one that was read; another than was asked for when `warning` says why."""
    tensors: dict[str, Tensor]
    """The model's."""
    meta: dict[str, Any]
    warning: str | None = None
    state: dict[str, Any] | None = None
    """What a training goes on from, where it was saved with the weights."""


def save(directory: Path, name: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Save tensors and JSON values as the checkpoint `name`, in place of what has this name.

    Tensors that share memory are stored each in full. Raises FastcliError, with the older checkpoint intact, when
    the disk is full or cannot be written.
    """
    Checkpoints(directory).insert(name, tensors, meta, keep=1)


def load(directory: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the JSON values of the checkpoint `name`.

    Raises FastcliError where it is missing or its checksums differ.
    """
    record = verified(directory, name)
    return read_tensors(directory / f"{name}.safetensors"), record.meta


class Checkpoints:
    """The checkpoints of one run: `last`, `last-1`, … by age and `best`, `best-1`, … by the monitored metric."""

    def __init__(
        self, directory: Path, keep_best: int = 1, keep_last: int = 2, *, lower_is_better: bool = True
    ) -> None:
        self.directory = directory
        self.keep_best = keep_best
        self.keep_last = keep_last
        self.lower_is_better = lower_is_better
        self._proven: set[str] = set()

    def __repr__(self) -> str:
        return f"Checkpoints({str(self.directory)!r}, {', '.join(self.available()) or 'none yet'})"

    def save_last(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Save the newest state as `last`; the one before becomes `last-1`."""
        self.insert("last", tensors, meta, keep=self.keep_last)

    def save_best(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], value: float) -> bool:
        """Save a state at its rank by `value`; False, and nothing saved, where `would_keep` says so."""
        keeps = self.would_keep(value, meta.get("step"))
        if keeps:
            self.insert("best", tensors, meta, keep=self.keep_best, rank=self._rank(value), value=value)
        return keeps

    def would_keep(self, value: float, step: int | None = None) -> bool:
        """Whether `save_best` would save a state with this value; never for NaN.

        Nor for one of the same step that is kept already: a resumed training comes to it again.
        """
        kept = [record for name, record in self.available().items() if _family(name) == "best"]
        again = step is not None and any((r.value, r.meta.get("step")) == (value, step) for r in kept)
        return not again and self._rank(value) < self.keep_best

    def available(self) -> dict[str, Record]:
        """The readable checkpoints by name; their tensors are not verified."""
        found = {}
        for path in sorted(self.directory.glob("*.json"), key=lambda path: (_family(path.stem), _number(path.stem))):
            try:
                found[path.stem] = read_record(self.directory, path.stem)
            except FastcliError:  # the index, or a damaged one, which `load` will name
                continue
        return found

    def load(self, name: str = "best") -> Loaded:
        """The checkpoint `best` or `last`, or the next good one with a warning that says so.

        After `last` comes `last-1`, after the best ones come the last ones. Raises FastcliError where none is good.
        """
        problems = []
        for candidate in self._candidates(name):
            try:
                tensors, meta = load(self.directory, candidate)
            except FastcliError as error:
                problems.append(error.message)
                continue
            epoch = f" of epoch {meta['epoch']}" if "epoch" in meta else ""
            warning = f"{'; '.join(problems)}; using {candidate!r}{epoch}" if problems else None
            described = meta.pop(STATE, None)
            state = None if described is None else unpacked(tensors, described)
            return Loaded(candidate, model_tensors(tensors), meta, warning, state)
        raise FastcliError("; ".join(problems), hint="no other checkpoint of this run can stand in for it")

    def insert(
        self,
        family: str,
        tensors: Mapping[str, Tensor],
        meta: Mapping[str, Any],
        *,
        keep: int,
        rank: int = 0,
        value: float | None = None,
    ) -> None:
        """Save a checkpoint at `rank` of its family: those from there on move one down, the surplus goes last."""
        if keep < 1:
            return
        name = _name(family, rank)
        make_directory(self.directory)
        with staged(self.directory, name, tensors, meta, value) as folder, writing(self.directory / name):
            for number in reversed(range(rank, max(rank + 1, keep - 1))):
                self._move_down(_name(family, number), _name(family, number + 1))
            self._proven.discard(name)
            place(folder, self.directory, name)
            self._proven.add(name)
        self._write_index(family, keep)
        self._delete_surplus(family, keep)

    def _move_down(self, old: str, new: str) -> None:
        if old not in self._proven:
            try:
                verified(self.directory, old)
            except FastcliError:  # missing, or cut off by a kill: it must not take the place of a good one
                return
        self._proven -= {new}
        link(self.directory, old, new)
        self._proven |= {old, new}

    def _rank(self, value: float) -> int:
        """How many of the best ones are at least as good as `value`; NaN comes after all."""
        if math.isnan(value):
            return self.keep_best
        values = [record.value for name, record in self.available().items() if _family(name) == "best"]
        sign = 1 if self.lower_is_better else -1
        return sum(1 for old in values if old is not None and sign * old <= sign * value)

    def _candidates(self, name: str) -> list[str]:
        stems = sorted((path.stem for path in self.directory.glob("*.safetensors")), key=_number)
        others = [stem for family in STAND_INS.get(name, ()) for stem in stems if _family(stem) == family]
        return list(dict.fromkeys([name, *others]))

    def _write_index(self, family: str, keep: int) -> None:
        described = {
            name: {
                "file": f"{name}.safetensors",
                "bytes": record.bytes,
                "sha256": record.sha256,
                "epoch": record.meta.get("epoch"),
                "metrics": record.meta.get("metrics"),
                "value": record.value,
            }
            for name, record in self.available().items()
            if _family(name) != family or _number(name) < keep
        }
        write_json(self.directory / "index.json", {"format": FORMAT, "checkpoints": described})

    def _delete_surplus(self, family: str, keep: int) -> None:
        for path in self.directory.glob(f"{family}-*"):
            if _family(path.stem) == family and _number(path.stem) >= keep:
                self._proven.discard(path.stem)
                with writing(path):
                    path.unlink(missing_ok=True)


def _name(family: str, number: int) -> str:
    """The name of a family's checkpoint.

    >>> _name("last", 0), _name("last", 1)
    ('last', 'last-1')
    """
    return family if number == 0 else f"{family}-{number}"


def _family(name: str) -> str:
    head, _, tail = name.rpartition("-")
    return head if head and tail.isdigit() else name


def _number(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if _family(name) != name else 0
