"""From a configuration to real objects: the only place where a name in the YAML becomes an object.

`build` reads top to bottom in the order of the flow: data (`experiment_data`), loss, loaders, model, precision,
learner. Every value that was left open (`null`, `auto`, a default) is resolved once and stored, so that
`Experiment.config` runs again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastcli.callbacks.stop import TerminateOnNaN
from fastcli.components import about, load_components
from fastcli.config.models import Component, Config
from fastcli.data.datablock import Datasets
from fastcli.data.download import home
from fastcli.data.seeding import own_random_state
from fastcli.errors import ConfigError, did_you_mean
from fastcli.events import Callback
from fastcli.experiment_data import DataBuilder
from fastcli.learner.features import keeps_features
from fastcli.learner.learner import Learner
from fastcli.learner.outputs import check_outputs
from fastcli.learner.settings import Running, choose_running
from fastcli.losses import default_loss
from fastcli.metrics import Metric, default_metrics
from fastcli.models.create import component_of, create_model
from fastcli.registry import REGISTRIES
from fastcli.training import Experiment, epochs_of
from fastcli.types import InputInfo

SMOKE_LENGTHS = {"epochs": 1, "freeze_epochs": 1, "cycles": 1, "cycle_len": 1, "views": 1, "head_passes": 4,
                 "body_epochs": 1}  # fmt: skip
"""The most of each that a smoke run takes."""


def build(config: Config, *, max_batches: int | None = None, split: Path | None = None) -> Experiment:
    """The experiment that `config` describes; with `max_batches` a smoke run: one epoch, and that many batches of it.

    `split` is the table of a run that goes on, which is kept to whatever became of the data.

    Raises ConfigError with the key at fault, or DataError. Nothing is written but to the data and probe caches.
    """
    load_components()
    return _Builder(config, max_batches, split).build()


class _Builder:
    def __init__(self, config: Config, max_batches: int | None, split: Path | None) -> None:
        self.config, self.max_batches = config, max_batches
        self.data = DataBuilder(config, max_batches=max_batches, split=split)
        self.parts = self.data.parts

    def build(self) -> Experiment:
        seed = self.config.experiment.seed
        device = self.data.device()
        datasets = self.data.datasets()
        loss_fn = self.parts.one("loss", self.config.loss, default_loss(datasets.target))(datasets.target)
        metrics = self._metrics(datasets)
        with own_random_state(device):
            torch.manual_seed(seed)
            loaders = self.data.loaders(datasets, device)
            model = self._model(loaders.input, loss_fn.n_out)
            batch = loaders.one_batch()
            self._check_outputs(model.to(device), batch, datasets, loss_fn)
        chosen, optimizer, recipe = self._callbacks(), self._optimizer(), self._recipe(model)
        running = self._running(model, batch, len(loaders.train), loss_fn)
        learner = Learner(
            loaders, model, loss_fn, optimizer, metrics=metrics, device=device, seed=seed,
            callbacks=[*running.callbacks(device), *chosen],
        )  # fmt: skip
        learner.notes += running.notes
        self._check(learner, chosen)
        monitor = self._monitor(metrics)
        return Experiment(self.parts.config(), datasets, loaders, learner, recipe, running.choice, monitor,
                          loss_fn.n_out, self.data.notes)  # fmt: skip

    # Model, loss, optimizer.

    def _model(self, inputs: InputInfo, n_out: int) -> nn.Module:
        chosen = self.config.model
        component, params = component_of(chosen.name, chosen.params)
        try:
            checked = REGISTRIES["model"].check(component, **params)
            self.parts.resolved["model"] = {
                "name": chosen.name,
                **{k: checked[k] for k in checked if k != "architecture" or component == chosen.name},
            }
            return create_model(chosen.name, inputs, n_out, **chosen.params)
        except ConfigError as error:
            error.key = error.key or "model"
            raise

    def _optimizer(self) -> Callable[[Any], torch.optim.Optimizer]:
        """Makes the optimizer; its rate is the recipe's, which sets it at every step."""
        return self.parts.one("optimizer", self.config.optimizer, "adam")

    def _default_recipe(self, model: nn.Module) -> str:
        """`auto` where the features of a pretrained body can be kept, and nothing is said that another recipe knows."""
        if not self.parts.resolved["model"].get("pretrained", False):
            return "fit_one_cycle"
        knows = set(self.config.train.params) <= set(REGISTRIES["recipe"].keys_of("auto"))
        # Callbacks would see features where they may expect pictures.
        return "auto" if knows and keeps_features(model) and not self.config.callbacks else "fine_tune"

    def _recipe(self, model: nn.Module) -> Callable[[Learner], None]:
        name, params = self.config.train.recipe or self._default_recipe(model), dict(self.config.train.params)
        if self.max_batches is not None:
            keys = REGISTRIES["recipe"].keys_of(name)
            params |= {key: most if params.get(key) is None else min(most, params[key])
                       for key, most in SMOKE_LENGTHS.items() if key in keys}  # fmt: skip
        given = self.config.optimizer.params.get("lr")
        if given is not None and params.setdefault("lr", given) != given:
            raise ConfigError(
                f"the learning rate is given twice: optimizer.lr is {given}, train.lr is {params['lr']}",
                hint="keep train.lr", key="optimizer.lr",
            )  # fmt: skip
        bound = self.parts.one("train", Component.model_validate({"name": name, **params}), name)
        self.parts.resolved["train"] = {"recipe": name, **bound.keywords}
        self.parts.resolved["optimizer"].pop("lr", None)
        return bound

    def _metrics(self, datasets: Datasets) -> list[Metric]:
        chosen = self.config.metrics
        if chosen is None:
            chosen = [Component(name=name) for name in default_metrics(datasets.target)]
        made: list[Metric] = self.parts.several("metrics", chosen, datasets.target)
        for i, metric in enumerate(made):
            if metric.name in [other.name for other in made[:i]]:
                raise ConfigError(f"{metric.name} is measured twice, and there is one column of that name",
                                  hint="leave one of them out", key=f"metrics.{i}")  # fmt: skip
        return made

    def _callbacks(self) -> list[Callback]:
        made: list[Callback] = self.parts.several("callbacks", self.config.callbacks)
        return made if any(isinstance(c, TerminateOnNaN) for c in made) else [*made, TerminateOnNaN()]

    @staticmethod
    def _check(learner: Learner, chosen: Sequence[Callback]) -> None:
        """Raise ConfigError for an optimizer or a callback that does not fit, before anything is trained or written."""
        learner.create_optimizer()
        for i, callback in enumerate(chosen):
            with about(f"callbacks.{i}"):
                callback.check(learner)
        learner.optimizer = None

    def _monitor(self, metrics: Sequence[Metric]) -> str:
        """The checked column that decides which checkpoint is best."""
        columns = ["valid_loss", *(metric.name for metric in metrics), "train_loss"]
        asked = {"checkpoint.monitor": self.config.checkpoint.monitor or "valid_loss"}
        asked |= {f"callbacks.{i}.monitor": c.params["monitor"]
                  for i, c in enumerate(self.config.callbacks) if "monitor" in c.params}  # fmt: skip
        for key, column in asked.items():
            if column not in columns:
                raise ConfigError(f"{column!r} is not measured, so it cannot be monitored", key=key,
                                  hint=did_you_mean(column, columns))  # fmt: skip
        self.parts.resolved["checkpoint.monitor"] = asked["checkpoint.monitor"]
        return asked["checkpoint.monitor"]

    # How the model trains on its device.

    def _check_outputs(self, model: nn.Module, batch: tuple[Tensor, ...], datasets: Datasets, loss_fn: Any) -> None:
        images, *_, targets = batch
        check_outputs(self.config.model.name, model, images, targets, datasets.target, loss_fn.n_out)

    def _running(self, model: nn.Module, batch: tuple[Tensor, ...], per_epoch: int, loss_fn: Any) -> Running:
        """How the model trains on its device; it is compiled then, if that was chosen."""
        runtime, train = self.config.runtime, self.parts.resolved["train"]
        epochs = epochs_of(train)
        running = choose_running(
            model, batch, loss_fn, name=str(self.parts.resolved["model"]), precision=runtime.precision,
            channels_last=runtime.channels_last, compile=runtime.compile, graph=runtime.graph,
            benchmark=runtime.deterministic != "strict", steps=None if epochs is None else epochs * per_epoch,
            phases=3 if train.get("freeze_epochs") else 1, memory=home() / "probe.json",
        )  # fmt: skip
        self.parts.resolved |= running.resolved
        return running
