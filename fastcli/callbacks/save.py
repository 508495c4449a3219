"""SaveModel, CSVLogger and GatherPredictions: files of a training that a user asked for."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from fastcli.callbacks.monitor import Mode, Tracker
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.losses import loss_per_item
from fastcli.models.hooks import mapped
from fastcli.registry import callbacks
from fastcli.run.files import atomic_write, decoded, make_directory
from fastcli.run.pair import read_tensors, write_tensors

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

FileInRun = Annotated[
    str,
    Field(
        pattern=r"^[^./\\~][^/\\]*(/[^./\\][^/\\]*)*$",
        json_schema_extra={"x-expected": "a path inside the run's folder, of names that do not begin with a dot"},
    ),
]


@callbacks(name="save_model")
class SaveModel(Tracker):
    """Writes the weights to a safetensors file when `monitor` improves, at the end, or after every n-th epoch.

    With a number n for `when` the epoch is added to the name. `load_best` puts the best weights back into the model
    when the fit ends.
    """

    order = 65

    def __init__(
        self,
        file: FileInRun = "model.safetensors",
        when: Literal["improved", "end"] | Annotated[int, Field(ge=1)] = "improved",
        monitor: str = "valid_loss",
        min_delta: Annotated[float, Field(ge=0)] = 0.0,
        mode: Mode = "auto",
        load_best: bool = False,
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        if load_best and when != "improved":
            raise ConfigError("load_best needs the best weights, which are not saved", hint="use when: improved")
        self.file, self.when, self.load_best = file, when, load_best
        self._written = False

    def before_fit(self, learner: Learner) -> None:
        super().before_fit(learner)
        self._written = False

    def after_epoch(self, learner: Learner) -> None:
        if self.when == "improved":
            super().after_epoch(learner)
        elif learner.epoch_done and self.when != "end" and (learner.epoch + 1) % self.when == 0:
            path = learner.directory / self.file
            self._write(learner, path.with_name(f"{path.stem}-{learner.history[-1]['epoch']}{path.suffix}"))

    def judge(self, learner: Learner, improved: bool) -> None:
        """Save the best."""
        if improved:
            self._write(learner, learner.directory / self.file)

    def after_fit(self, learner: Learner) -> None:
        if self.when == "end":
            self._write(learner, learner.directory / self.file)

    def cleanup_fit(self, learner: Learner) -> None:
        # Here and not before, because an average of the weights has taken their place by now.
        if self.load_best and self._written:
            learner.model.load_state_dict(read_tensors(learner.directory / self.file))

    def _write(self, learner: Learner, path: Path) -> None:
        make_directory(path.parent)
        write_tensors(path, learner.weights())
        self._written = True

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long ago it was, and whether there is a file."""
        return {**super().state_dict(), "written": self._written}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, in a fit that has begun."""
        super().load_state_dict(state)
        self._written = state["written"]


@callbacks(name="csv_logger")
class CSVLogger(Callback):
    """Writes the rows of the epochs to a CSV file; with `append` after the rows that it has."""

    order = 50
    in_search = False

    def __init__(self, file: FileInRun = "history.csv", append: bool = False) -> None:
        self.file, self.append = file, append
        self._text: str | None = None
        self._columns: list[str] = []

    def before_fit(self, learner: Learner) -> None:
        path = learner.directory / self.file
        if self._text is None:  # the first fit of a training; the others go on
            make_directory(path.parent)
            self._text = decoded(path.read_bytes()) if self.append and path.is_file() else ""

    def after_epoch(self, learner: Learner) -> None:
        if not learner.epoch_done:
            return
        row, text = learner.history[-1], io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if list(row) != self._columns:  # a new head where the columns are others
            self._columns = list(row)
            writer.writerow(self._columns)
        writer.writerow(row.values())
        self._text = (self._text or "") + text.getvalue()
        atomic_write(learner.directory / self.file, self._text)

    def state_dict(self) -> dict[str, Any]:
        """What was written so far."""
        return {"text": self._text, "columns": self._columns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._text, self._columns = state["text"], list(state["columns"])


@callbacks(name="gather_predictions")
class GatherPredictions(Callback):
    """Keeps the predictions and targets of the last validation on the CPU; on demand its inputs and losses.

    `gathered` has them by name: `predictions` (n, …) as the model gave them, `targets`, `inputs`, `losses` (n,);
    several are `targets_0`, `targets_1` and so on. With `file` they are written there as safetensors after each
    validation.
    """

    orders = {"after_loss": 100}
    in_search = False

    def __init__(self, inputs: bool = False, losses: bool = False, file: FileInRun | None = None) -> None:
        self.inputs, self.losses, self.file = inputs, losses, file
        self.gathered: dict[str, Tensor] = {}
        self._parts: dict[str, list[Tensor]] = {}

    def before_validate(self, learner: Learner) -> None:
        self._parts = {}

    def after_loss(self, learner: Learner) -> None:
        if learner.training:
            return
        parts = _numbered("predictions", mapped(Tensor.float, learner.prediction))
        parts |= _numbered("targets", learner.targets)
        if self.inputs:
            parts |= _numbered("inputs", learner.inputs if len(learner.inputs) > 1 else learner.inputs[0])
        if self.losses:
            per_item = loss_per_item(learner.loss_fn)
            if per_item is None:
                raise ConfigError("this loss knows batches only, so there are no losses of single items to gather")
            parts["losses"] = per_item(learner.prediction, learner.targets)
        for name, part in parts.items():
            self._parts.setdefault(name, []).append(part.cpu())

    def after_validate(self, learner: Learner) -> None:
        self.gathered = {name: torch.cat(parts) for name, parts in self._parts.items()}
        self._parts = {}
        if self.file is not None:
            path = learner.directory / self.file
            make_directory(path.parent)
            write_tensors(path, self.gathered)


def _numbered(name: str, part: Any) -> dict[str, Tensor]:
    """A tensor under `name`, or each of a tuple under `name` and its number."""
    return {f"{name}_{i}": each for i, each in enumerate(part)} if isinstance(part, tuple | list) else {name: part}
