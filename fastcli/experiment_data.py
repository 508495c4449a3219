"""The data side of an experiment: its device, its labelled items and its loaders, without a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from fastcli.components import Parts, as_list, load_components
from fastcli.config.models import Component, Config
from fastcli.data.blocks import Block, ImageBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.datasets import Datasets
from fastcli.data.download import home, resolve_source
from fastcli.data.labellers import beside
from fastcli.data.loaders import DataLoaders
from fastcli.data.seeding import own_random_state
from fastcli.data.splitters import guess_layout
from fastcli.data.stored_split import StoredSplit
from fastcli.errors import ConfigError, DataError
from fastcli.models.create import input_config_of
from fastcli.models.finetune import InputConfig
from fastcli.transforms.normalize import IMAGENET, Normalize

DEFAULT_SIZE = 224
"""Pixels for a model that does not say what it was trained on."""


def datasets_of(config: Config, split: Path) -> tuple[Datasets, list[str]]:
    """The labelled items of `config` in the split that is written in the file `split`, and what became of them since.

    Raises ConfigError with the key at fault, or DataError.
    """
    load_components()
    builder = DataBuilder(config, split=split)
    return builder.datasets(), builder.notes


def loaders_of(config: Config) -> DataLoaders:
    """The loaders that `config` describes, without a model. Raises ConfigError with the key at fault, or DataError."""
    load_components()
    builder = DataBuilder(config)
    device = builder.device()
    with own_random_state(device):
        torch.manual_seed(config.experiment.seed)
        return builder.loaders(builder.datasets(), device)


class DataBuilder:
    """Makes what `config` says of data and device, part by part; values that are found go into `parts.resolved`.

    `split` is the table of a run that goes on, which is kept to; `notes` are what became of the data since. With
    `max_batches` no pass takes more.
    """

    def __init__(self, config: Config, *, max_batches: int | None = None, split: Path | None = None) -> None:
        self.config, self.max_batches, self.split, self.notes = config, max_batches, split, list[str]()
        self.parts = Parts(config)

    @cached_property
    def architecture(self) -> InputConfig | None:
        """What pictures the timm architecture was trained on; None for other models."""
        return input_config_of(self.config.model.name, self.config.model.params)

    def datasets(self) -> Datasets:
        """The labelled, split items."""
        data = self.config.data
        source = resolve_source(data.source)
        find = self.parts.one("data.items", data.items, source.default_items)
        items = find(source.path)
        label, split = guess_layout(items, source.path)
        folder = source.folder
        blocks = (ImageBlock(data.image_mode, data.max_pixels), self._target_block())
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
        known = self.architecture
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
            known, pretrained = self.architecture, model.params.get("pretrained", True) is not False
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
