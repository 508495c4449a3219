"""A whole learner in one file, for prediction: its weights, and in words how everything around them is made again.

The file is the one that `save` writes, without the optimizer; its header names the registered components (transforms
with their parameters, encoders with their vocabulary, the model with its arguments). Nothing in it is code. What is not
registered cannot be named: it is refused when the learner is exported, but for a model, which can be given when it is
loaded.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastcli.data.blocks import Block
from fastcli.data.datasets import Datasets
from fastcli.data.encoders import Categorize, MultiCategorize, OneHotEncoded, OpenImage, ToNumbers
from fastcli.data.loader import Loader
from fastcli.data.loaders import DataLoaders
from fastcli.data.sources import Sources
from fastcli.data.spatial_encoders import BoxesEncoder, BoxLabels, OpenMask, PointsEncoder
from fastcli.errors import ConfigError
from fastcli.learner.learner import Learner
from fastcli.learner.saving import load, read_header, write
from fastcli.losses import default_loss
from fastcli.models.create import remake
from fastcli.registry import Registry, batch_transforms, item_transforms, losses
from fastcli.transforms import batch, foreign, item, jpeg, placement  # noqa: F401 - they register what files name
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline
from fastcli.transforms.normalize import Normalize
from fastcli.types import InputInfo, TargetInfo

__all__ = ["export", "load_exported"]

ENCODERS: dict[str, tuple[type, tuple[str, ...]]] = {
    "image": (OpenImage, ("mode",)),
    "category": (Categorize, ("classes", "add_na")),
    "multi_category": (MultiCategorize, ("classes", "add_na")),
    "one_hot": (OneHotEncoded, ("classes",)),
    "numbers": (ToNumbers, ("n_out",)),
    "mask": (OpenMask, ("classes",)),
    "points": (PointsEncoder, ("count", "order")),
    "boxes": (BoxesEncoder, ("order",)),
    "box_labels": (BoxLabels, ("classes", "add_na")),
}
"""The name of each encoder in a file, and what it has to know."""


def export(learner: Any, path: str | Path) -> Path:
    """The file from which `load_exported` makes a learner that predicts as this one does.

    Raises ConfigError for a part that is not registered, and for loaders that are not of a data block.
    """
    loaders = learner.loaders
    if not getattr(loaders, "encoders", None):
        raise ConfigError("a learner on plain tensors cannot be exported", hint="save its weights with save")
    items, batches = loaders.valid.items, loaders.valid.batches
    normalize = batches.normalize
    about = {
        "items": [_described(part, item_transforms) for part in items.transforms],
        "batches": [_described(part, batch_transforms) for part in batches.transforms],
        "normalize": None if normalize is None else {"mean": normalize.mean_list, "std": normalize.std_list},
        "encoders": [_encoder(encoder) for encoder in loaders.encoders],
        "n_inputs": loaders.n_inputs,
        "input": dataclasses.asdict(loaders.input),
        "target": dataclasses.asdict(loaders.target),
        "batch_size": loaders.valid.batch_size,
        "seed": loaders.valid.seed,
        "model": getattr(learner.model, "made_of", None),
        "modules": _modules(learner.model),
    }
    try:
        json.dumps(about)
    except TypeError as error:
        raise ConfigError(f"a part of the learner cannot be written in words: {error}") from None
    return write(path, dict(learner.weights()), {"learner": about})


def load_exported(path: str | Path, *, model: nn.Module | None = None, device: torch.device | str = "cpu") -> Learner:
    """The exported learner, in evaluation mode, with no items of its own.

    `model` is needed where the file does not name one: a module built as the exported one was. Its plugins must have
    been imported. Raises FastcliError for a file that is none of `export`, or of which a part is unknown.
    """
    source, header = read_header(path)
    about = header.get("learner")
    if about is None:
        raise ConfigError(f"{source} holds weights, but no learner", hint="export writes learners, save their weights")
    target = _target(**about["target"])
    loaders = _loaders(about, target, torch.device(device))
    model = model if model is not None else _model(source, about["model"], about["modules"])
    learner = Learner(loaders, model, _loss(target), seed=about["seed"], device=device)
    load(learner, source, with_optimizer=False)
    learner.model.eval()
    return learner


def _loaders(about: Mapping[str, Any], target: TargetInfo, device: torch.device) -> DataLoaders:
    """Loaders over no items, which can make others."""
    items = ItemPipeline([_built(part, item_transforms) for part in about["items"]])
    normalize = about["normalize"] and Normalize(about["normalize"]["mean"], about["normalize"]["std"])
    batches = BatchPipeline([_built(part, batch_transforms) for part in about["batches"]], normalize)
    encoders = [ENCODERS[part["name"]][0](**part["params"]) for part in about["encoders"]]
    datasets = Datasets([], [[] for _ in encoders], [Block(encoder) for encoder in encoders], [], [], about["n_inputs"])
    sources = Sources(encoders, items, device=device, cache="off")
    loader = Loader([torch.empty(0)], [], items=items, batches=batches, batch_size=about["batch_size"],
                    seed=about["seed"], device=device)  # fmt: skip
    inputs = InputInfo(about["input"]["channels"], tuple(about["input"]["size"]))
    return DataLoaders(loader, loader, inputs, target, about["n_inputs"], datasets=datasets, sources=sources)


def _target(kind: str, n_out: int, classes: Any, counts: Any, loss: str, metrics: Any) -> TargetInfo:
    return TargetInfo(kind, n_out, tuple(classes), tuple(counts), loss, tuple(metrics))


def _described(part: Any, registry: Registry) -> dict[str, Any]:
    """A transform as its registered name and its parameters."""
    name = next((name for name in registry if registry[name] is type(part)), None)
    if name is None or not dataclasses.is_dataclass(part):
        raise ConfigError(
            f"{part!r} cannot be exported: a file can only name what is registered",
            hint=f"make it a dataclass and register it as a plugin does, as a {registry.kind}",
        )
    return {"name": name, "params": {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}}


def _built(part: Mapping[str, Any], registry: Registry) -> Any:
    return registry.build(part["name"], **part["params"])


def _encoder(encoder: Any) -> dict[str, Any]:
    for name, (kind, parameters) in ENCODERS.items():
        if type(encoder) is kind:
            return {"name": name, "params": {parameter: getattr(encoder, parameter) for parameter in parameters}}
    raise ConfigError(
        f"the encoder {type(encoder).__name__} cannot be exported: a file can only name fastcli's own",
        hint="save the weights, and make the learner again before loading them",
    )


def _model(source: Path, made_of: Mapping[str, Any] | None, modules: Sequence[str]) -> nn.Module:
    hint = "give one that is built as the exported one was: load_exported(path, model=…)"
    if made_of is None:
        raise ConfigError(f"{source} does not say how its model is built", hint=hint)
    model = remake(made_of)
    if _modules(model) != list(modules):
        raise ConfigError(f"the model in {source} was changed after it was made", hint=hint)
    return model


def _modules(model: nn.Module) -> list[str]:
    """The kinds of all layers: layers without weights would not be missed otherwise."""
    return [type(module).__name__ for module in model.modules()]


def _loss(target: TargetInfo) -> Any:
    """The usual loss of the target; one that explains itself where there is none."""
    try:
        return losses.build(default_loss(target), target)
    except ConfigError as unknown:
        error = unknown

    def no_loss(prediction: Tensor, targets: Tensor) -> Tensor:
        raise error

    return no_loss
