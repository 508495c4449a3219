"""Experiment: everything one training needs, and how it is run, recorded and reported."""

from __future__ import annotations

import contextlib
import copy
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from fastcli.callbacks.checkpoint import Checkpoint, WriteMetrics
from fastcli.callbacks.monitor import Best, direction
from fastcli.callbacks.precision import autocast
from fastcli.callbacks.shapes import has_static_shapes
from fastcli.callbacks.stop import StopOnSignal
from fastcli.config.dump import dump
from fastcli.config.models import Config
from fastcli.config.paths import as_written
from fastcli.config.plugins import imported
from fastcli.config.trust import remember
from fastcli.data.datablock import Datasets
from fastcli.data.loaders import DataLoaders
from fastcli.data.seeding import own_random_state
from fastcli.errors import ConfigError, DeviceMemoryError, Stopped
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.limit import Speed, measure
from fastcli.learner.lr_find import LRFind, lr_find
from fastcli.learner.probe import Choice
from fastcli.learner.settings import gpu_settings
from fastcli.models.create import describe
from fastcli.report.card import model_card
from fastcli.report.training import PlotBatch, finish_drawing, plot_training
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run
from fastcli.run.status import FAILED, INTERRUPTED, RUNNING

CPU_FULL = "can't allocate memory"
"""What torch's RuntimeError says on a CPU, which has no error class for it."""


@dataclass
class Experiment:
    """Everything a training needs, built from one configuration."""

    config: Config
    """With every value resolved."""
    datasets: Datasets
    loaders: DataLoaders
    learner: Learner
    recipe: Callable[[Learner], None]
    choice: Choice
    """Precision and layout, and why."""
    monitor: str
    n_out: int
    """Outputs of the model."""
    notes: list[str] = field(default_factory=list)
    """What became of the data since a run that goes on was begun."""

    def train(
        self, run: Run, callbacks: Sequence[Callback] = (), *, state: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run the recipe, recorded in `run`, with these callbacks besides; returns one row per epoch.

        With the `state` of a checkpoint it goes on from there. Whatever ends the training early is told in the run's
        status before it is raised. Raises UsageError where another process trains in `run`.
        """
        with run.held():
            self._write_start(run, state)
            self.learner.directory = run.path
            stop = StopOnSignal(run.path)
            self.learner.callbacks += [*callbacks, *self._recording(run), stop]
            with stop.listening():
                self._go(run)
        return self.learner.history

    def _go(self, run: Run) -> None:
        try:
            with self._settings(), self._memory_told():
                self.recipe(self.learner)
            if self.learner.resumed is not None:
                raise ConfigError("the recipe has fewer fits than when the run was begun", key="train",
                                  hint="--fork begins another run from its weights")  # fmt: skip
        except BaseException as error:
            self._end_early(run, error)
            raise
        self._keep_choices(run)
        self._report(run)
        run.finish()

    def _keep_choices(self, run: Run) -> None:
        """Write what the recipe chose while it ran into the configuration, so that it can be repeated."""
        if self.learner.chosen:
            train = {**self.config.train.model_dump(), **self.learner.chosen}
            self.config = Config.model_validate({**self.config.model_dump(), "train": train})
            run.write_resolved(dump(self.config))

    def _settings(self) -> contextlib.AbstractContextManager[None]:
        mode, static = self.config.runtime.deterministic, has_static_shapes(self.learner)
        return settings(mode, self.learner.device, static_shapes=static)

    @contextlib.contextmanager
    def _memory_told(self) -> Iterator[None]:
        """Running out of memory becomes a DeviceMemoryError that names the numbers to lower."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError | torch.OutOfMemoryError) and CPU_FULL not in str(error):
                raise
            data = self.config.data
            raise DeviceMemoryError(
                f"{self.learner.device} ran out of memory with batches of {data.batch_size}",
                hint="lower data.batch_size or the size in data.item_transforms, or take a smaller model",
            ) from error

    def lr_find(self, **options: Any) -> LRFind:
        """The learning-rate curve of the phase that the recipe begins with, everything left as it was."""
        if self._begins_frozen:
            self._freeze()
        try:
            with self._settings(), self._memory_told():
                return lr_find(self.learner, **options)
        finally:
            if self._begins_frozen:
                self.learner.unfreeze()

    def speed(self, **options: Any) -> list[Speed]:
        """The speed of each phase of the recipe beside its limit; the learner is no good for training afterwards."""
        found = []
        with self._settings(), self._memory_told():
            if self._begins_frozen:
                self._freeze()
                found.append(measure(self.learner, "frozen", **options))
                self.learner.unfreeze(norms="freeze" if self._keeps_norms else "follow")
            return [*found, measure(self.learner, "whole", **options)]

    @property
    def _begins_frozen(self) -> bool:
        """Whether the recipe trains the head alone at first."""
        return self.config.train.recipe == "auto" or self.config.train.params.get("freeze_epochs", 0) > 0

    @property
    def _keeps_norms(self) -> bool:
        return bool(self.config.train.params.get("freeze_bn", True))

    def _freeze(self) -> None:
        self.learner.freeze(norms="follow" if self._keeps_norms else "train")

    def _end_early(self, run: Run, error: BaseException) -> None:
        if isinstance(error, Stopped):
            run.update_status(state=INTERRUPTED, exit_code=error.exit_code)
            self._report(run)
        else:
            code = getattr(error, "exit_code", 1)
            run.update_status(state=FAILED, error=f"{type(error).__name__}: {error}", exit_code=code)
            run.log("".join(traceback.format_exception(error)))
            try:
                finish_drawing(self.learner)
            except Exception as other:  # noqa: BLE001 - it is the first error that counts; this one is kept beside it
                run.log("".join(traceback.format_exception(other)))

    def _recording(self, run: Run) -> list[Callback]:
        keep = self.config.checkpoint
        store = Checkpoints(run.checkpoints, keep.keep_best, keep.keep_last, lower_is_better=self.lower_is_better)
        about = {"input": vars(self.loaders.input), "n_out": self.n_out}
        return [
            WriteMetrics(run, self._tracker()),
            Checkpoint(store, self.monitor, every_minutes=keep.every_minutes, about=about),
        ]

    def _write_start(self, run: Run, state: Mapping[str, Any] | None) -> None:
        rows = [] if state is None else state["history"]
        run.cut_metrics(len(rows))
        run.update_status(state=RUNNING, epoch=len(rows), epochs=self.total_epochs)
        if state is not None:
            self.learner.resume(state)
            return
        plugins = imported(self.config.plugins)
        remember(plugins)  # so that `predict` need not ask about them
        run.write_environment(str(self.learner.device), plugins)
        self.learner.callbacks.append(PlotBatch(run, self.loaders))
        if self.loaders.target.classes:
            run.write_classes(self.loaders.target.classes)
        run.write_split(self.datasets.split_rows())

    def _report(self, run: Run) -> None:
        finish_drawing(self.learner)
        plot_training(run, self.learner, self.monitor, lower_is_better=self.lower_is_better)
        if best := self.best:
            run.write_card(self._card(run, best))

    @property
    def lower_is_better(self) -> bool:
        """Whether less of the monitored figure is better."""
        return direction(self.monitor, self.learner.metrics) == "min"

    @property
    def total_epochs(self) -> int | None:
        """Epochs of the whole recipe; None where it decides that while it runs."""
        return epochs_of(self.config.train.params)

    @property
    def total_steps(self) -> int:
        """Training batches of the whole recipe, or of one epoch where it decides while it runs how many there are."""
        return (self.total_epochs or 1) * len(self.loaders.train)

    def try_step(self) -> float:
        """Seconds of one forward and backward pass, as the training will take it; a copy of the model takes it."""
        model, learner = copy.deepcopy(self.learner.model), self.learner
        *inputs, targets = self.loaders.one_batch()
        started = time.perf_counter()
        with own_random_state(learner.device), autocast(learner.device, self.choice.precision):
            loss = learner.loss_fn(model(*inputs), targets)
        loss.backward()
        loss.item()  # waits for the device
        return time.perf_counter() - started

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best epoch by the monitored figure, or None before the first."""
        tracker, best = self._tracker(), None
        for row in self.learner.history:
            best = row if tracker.improved(row) or best is None else best
        return best

    def _tracker(self) -> Best:
        return Best(self.monitor, "min" if self.lower_is_better else "max")

    def _card(self, run: Run, best: Mapping[str, Any]) -> str:
        figures = {"valid_loss": best["valid_loss"]} | {m.name: best[m.name] for m in self.learner.metrics}
        train, valid = self.loaders.train.n, self.loaders.valid.n
        return model_card(
            name=self.config.experiment.name or run.name,
            model=self.config.network,
            data={"source": as_written(self.config.data.source), "training images": train, "validation images": valid},
            figures=figures,
            config=dump(self.config),
            environment=run.read_environment(),
            classes=self.loaders.target.classes,
            parameters=describe(self.learner.model)[0],
            epoch=best["epoch"],
            predict=f"fastcli predict {run.shown} image.jpg",
            tags=self.config.experiment.tags,
            kind=self.loaders.target.kind,
        )


@contextlib.contextmanager
def settings(mode: str, device: torch.device, *, static_shapes: bool) -> Iterator[None]:
    """How torch computes meanwhile: on a GPU by `gpu_settings`, and repeatably.

    Operations that may differ from run to run are refused with the mode `strict`, and warned of with `warn` on a GPU.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    wanted = mode == "strict" or (mode == "warn" and device.type == "cuda")
    torch.use_deterministic_algorithms(wanted or before[0], warn_only=mode != "strict")
    try:
        with gpu_settings(device, benchmark=static_shapes and mode != "strict"):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def epochs_of(params: Mapping[str, Any]) -> int | None:
    """Epochs that a recipe with these parameters runs; None where it decides that while it runs.

    >>> epochs_of({"epochs": 2, "freeze_epochs": 1}), epochs_of({"cycles": 2, "cycle_len": 1, "cycle_mult": 2})
    (3, 3)
    """
    if "cycles" in params:
        return int(sum(params["cycle_len"] * params["cycle_mult"] ** k for k in range(params["cycles"])))
    if "epochs" not in params:
        return None
    return int(params["epochs"]) + int(params.get("freeze_epochs", 0))
