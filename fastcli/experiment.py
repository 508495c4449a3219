"""From a configuration to real objects: the only place where a name in the YAML becomes an object.

`build` reads top to bottom in the order of the flow: data, loss, model, loaders, precision, learner. Every value that
was left open (`null`, `auto`, a default) is resolved once and stored, so that `Experiment.config` runs again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastcli.callbacks.stop import TerminateOnNaN
from fastcli.components import Parts, about, as_list, load_components
from fastcli.config.models import Component, Config
from fastcli.data.blocks import Block, ImageBlock
from fastcli.data.datablock import DataBlock, Datasets
from fastcli.data.download import home, resolve_source
from fastcli.data.labellers import beside
from fastcli.data.loaders import DataLoaders
from fastcli.data.seeding import own_random_state
from fastcli.data.splitters import guess_layout
from fastcli.data.stored_split import StoredSplit
from fastcli.errors import ConfigError, DataError, did_you_mean
from fastcli.events import Callback
from fastcli.learner.features import keeps_features
from fastcli.learner.learner import Learner
from fastcli.learner.outputs import check_outputs
from fastcli.learner.settings import Running, choose_running
from fastcli.losses import default_loss
from fastcli.metrics import Metric, default_metrics
from fastcli.models.create import component_of, create_model, input_config_of
from fastcli.models.finetune import InputConfig
from fastcli.registry import REGISTRIES
from fastcli.training import Experiment, epochs_of
from fastcli.transforms.normalize import IMAGENET, Normalize
from fastcli.types import InputInfo

SMOKE_LENGTHS = {"epochs": 1, "freeze_epochs": 1, "cycles": 1, "cycle_len": 1, "views": 1, "head_passes": 4,
                 "body_epochs": 1}  # fmt: skip
"""The most of each that a smoke run takes."""
DEFAULT_SIZE = 224
"""Pixels for a model that does not say what it was trained on."""


def build(config: Config, *, max_batches: int | None = None, split: Path | None = None) -> Experiment:
    """The experiment that `config` describes; with `max_batches` a smoke run: one epoch, and that many batches of it.

    `split` is the table of a run that goes on, which is kept to whatever became of the data.

    Raises ConfigError with the key at fault, or DataError. Nothing is written but to the data and probe caches.
    """
    load_components()
    return _Builder(config, max_batches, split).build()


def datasets_of(config: Config, split: Path) -> tuple[Datasets, list[str]]:
    """The labelled items of `config` in the split that is written in the file `split`, and what became of them since.

    Raises ConfigError with the key at fault, or DataError.
    """
    load_components()
    builder = _Builder(config, None, split)
    return builder.datasets(), builder.notes


def loaders_of(config: Config) -> DataLoaders:
    """The loaders that `config` describes, without a model. Raises ConfigError with the key at fault, or DataError."""
    load_components()
    builder = _Builder(config, None, None)
    device = builder.device()
    with own_random_state(device):
        torch.manual_seed(config.experiment.seed)
        return builder.loaders(builder.datasets(), device)


class _Builder:
    def __init__(self, config: Config, max_batches: int | None, split: Path | None) -> None:
        self.config, self.max_batches, self.split, self.notes = config, max_batches, split, list[str]()
        self.parts = Parts(config)

    def build(self) -> Experiment:
        seed = self.config.experiment.seed
        device = self.device()
        datasets = self.datasets()
        loss_fn = self.parts.one("loss", self.config.loss, default_loss(datasets.target))(datasets.target)
        metrics = self._metrics(datasets)
        with own_random_state(device):
            torch.manual_seed(seed)
            loaders = self.loaders(datasets, device)
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
                          loss_fn.n_out, self.notes)  # fmt: skip

    @cached_property
    def _architecture(self) -> InputConfig | None:
        """What pictures the timm architecture was trained on; None for other models."""
        return input_config_of(self.config.model.name, self.config.model.params)

    # Data.

    def datasets(self) -> Datasets:
        """The labelled, split items."""
        data = self.config.data
        source = resolve_source(data.source)
        find = self.parts.one("data.items", data.items, "csv_rows" if source.kind == "csv" else "image_files")
        items = find(source.path)
        label, split = guess_layout(items, source.path)
        folder = source.path if source.path.is_dir() else source.path.parent
        blocks = (ImageBlock("L" if data.input == "image_bw" else "RGB", data.max_pixels), self._target_block())
        get_y: Callable[[Any], Any] = self.parts.one("data.label", data.label, label)
        block = DataBlock(
            blocks,
            get_items=lambda root: items,
            get_y=beside(folder, get_y) if blocks[-1].encoder.made_from == "file" else get_y,
            splitter=self._splitter(split, folder),
        )
        datasets = block.datasets(folder)
        target = datasets.target
        if target.kind == "category" and target.n_out < 2:
            raise DataError(
                f"all {len(datasets.train)} training images are of one class, {target.classes[0]!r}",
                hint="data.label says how a label is found: parent, regex, is_cat, column, …",
            )
        if target.classes:
            self.parts.resolved["data.classes"] = list(target.classes)
            self.parts.resolved["data.target"].pop("codes", None)  # a mask's other way to say the same
        self._check_sizes(datasets)
        return datasets

    def _splitter(self, guessed: Any, folder: Path) -> Callable[..., Any]:
        given = self.parts.one("data.split", self.config.data.split, guessed, seed=self.config.experiment.seed)
        return given if self.split is None else StoredSplit(self.split, given, folder, self.notes)

    def _target_block(self) -> Block:
        block: Block = self.parts.one("data.target", self.config.data.target, "category")(self.config.data.classes)
        return block

    def _check_sizes(self, datasets: Datasets) -> None:
        data, n = self.config.data, len(datasets.train)
        if data.batch_size <= n:
            return
        if "batch_size" in data.model_fields_set:
            raise ConfigError(
                f"batch_size {data.batch_size} is larger than the {n} training images",
                hint=f"use {n} or less", key="data.batch_size",
            )  # fmt: skip
        self.parts.resolved["data.batch_size"] = n

    def loaders(self, datasets: Datasets, device: torch.device) -> DataLoaders:
        """The loaders of these items."""
        data = self.config.data
        known = self._architecture
        default = [Component.model_validate({"name": "resize", "size": known.size[0] if known else DEFAULT_SIZE})]
        shown = data.item_transforms if data.item_transforms is not None else self._default_items(datasets, default)
        loaders = datasets.dataloaders(
            self.parts.several("data.item_transforms", shown),
            [t for made in self.parts.several("data.batch_transforms", data.batch_transforms) for t in as_list(made)],
            normalize=self._normalize(),
            batch_size=self.parts.resolved.get("data.batch_size", data.batch_size),
            sampler=data.sampler,
            seed=self.config.experiment.seed,
            device=device,
            cache=data.cache,
            workers=None if data.workers == "auto" else data.workers,
            skip_bad=data.on_bad_image == "skip",
            cache_folder=home() / "cache",
            epochs=None if self.max_batches is None else 1,
        )
        loaders.train.max_batches = loaders.valid.max_batches = self.max_batches
        self._note_data(loaders)
        return loaders

    def _default_items(self, datasets: Datasets, resize: list[Component]) -> list[Component]:
        """Resized to the model's size, but small pictures of one size are left as they are."""
        encode = datasets.blocks[0].encoder.encode
        sample = datasets.train.indices[:: max(1, len(datasets.train) // 8)][:8]
        sizes = {tuple(encode(datasets.values[0][i]).shape[-2:]) for i in sample}
        return [] if len(sizes) == 1 and max(*sizes.pop()) < DEFAULT_SIZE // 2 else resize

    def _normalize(self) -> Any:
        """The normalisation, or how to find it; `auto` is the pretrained model's, or else the data's."""
        data, model = self.config.data, self.config.model
        channels = 1 if data.input == "image_bw" else 3
        if not isinstance(data.normalize, str):
            return Normalize(data.normalize.mean, data.normalize.std)
        if data.normalize == "auto":
            known, pretrained = self._architecture, model.params.get("pretrained", True) is not False
            return Normalize(known.mean, known.std).for_channels(channels) if known and pretrained else "dataset"
        return {"imagenet": IMAGENET.for_channels(channels), "dataset": "dataset", "none": None}[data.normalize]

    def _note_data(self, loaders: DataLoaders) -> None:
        normalize, stores = loaders.train.batches.normalize, loaders.train.stores
        statistics = {"mean": normalize.mean_list, "std": normalize.std_list} if normalize else "none"
        self.parts.resolved |= {
            "data.normalize": statistics,
            "data.cache": stores[0].tier,
            "data.workers": stores[0].workers,
        }

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

    # Device, and how a model trains on it.

    def device(self) -> torch.device:
        """The device of the training."""
        name = self.config.runtime.device
        if self.config.runtime.devices > 1:
            raise ConfigError("training on several devices is not built yet", hint="use 1", key="runtime.devices")
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        device = torch.device(name)
        usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not usable[device.type] or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
            raise ConfigError(
                f"there is no device {name!r} on this machine", key="runtime.device", hint="use auto or cpu"
            )
        self.parts.resolved["runtime.device"] = name
        return device

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
