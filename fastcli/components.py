"""Names in a configuration and the components that they mean; every value left open is noted when it is resolved."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastcli.config.models import Component, Config
from fastcli.errors import ConfigError
from fastcli.registry import REGISTRIES, Registry
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline
from fastcli.transforms.normalize import Normalize

COMPONENT_MODULES = (
    "fastcli.data.items",
    "fastcli.data.labellers",
    "fastcli.data.blocks",
    "fastcli.data.splitters",
    "fastcli.transforms.item",
    "fastcli.transforms.placement",
    "fastcli.transforms.jpeg",
    "fastcli.transforms.foreign",
    "fastcli.transforms.batch",
    "fastcli.models.create",
    "fastcli.losses",
    "fastcli.metrics",
    "fastcli.optim.algorithms",
    "fastcli.optim.lookahead",
    "fastcli.optim.torch_optimizers",
    "fastcli.learner.recipes",
    "fastcli.learner.auto",
    "fastcli.callbacks.schedule",
    "fastcli.callbacks.activations",
    "fastcli.callbacks.ema",
    "fastcli.callbacks.epochs",
    "fastcli.callbacks.gradients",
    "fastcli.callbacks.mix",
    "fastcli.callbacks.modes",
    "fastcli.callbacks.plateau",
    "fastcli.callbacks.precision",
    "fastcli.callbacks.save",
    "fastcli.callbacks.smoothing",
    "fastcli.callbacks.stop",
)
KINDS = {
    "data.items": "items",
    "data.target": "target",
    "data.label": "label",
    "data.split": "split",
    "data.item_transforms": "item_transform",
    "data.batch_transforms": "batch_transform",
    "loss": "loss",
    "optimizer": "optimizer",
    "metrics": "metric",
    "train": "recipe",
    "callbacks": "callback",
}
"""Which registry serves which place of the configuration."""


def load_components() -> dict[str, Registry]:
    """Import every module that registers components; returns all registries by kind."""
    for module in COMPONENT_MODULES:
        importlib.import_module(module)
    return REGISTRIES


def item_pipeline(config: Config) -> ItemPipeline:
    """The item transforms of a resolved configuration."""
    return ItemPipeline([_made("item_transform", chosen) for chosen in config.data.item_transforms or ()])


def batch_pipeline(config: Config) -> BatchPipeline:
    """The batch transforms and the normalisation of a resolved configuration."""
    transforms = [t for chosen in config.data.batch_transforms for t in as_list(_made("batch_transform", chosen))]
    given = config.data.normalize
    return BatchPipeline(transforms, None if isinstance(given, str) else Normalize(given.mean, given.std))


def _made(kind: str, component: Component) -> Any:
    return REGISTRIES[kind].build(component.name, **component.params)


class Parts:
    """Makes the parts that `config` names, and keeps in `resolved` what each of them came to."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.resolved: dict[str, Any] = {}
        """Dotted keys of the configuration and their values."""

    def one(self, key: str, chosen: Component | None, default: Any, **fill: Any) -> partial[Any]:
        """The component at `key`, or else `default`, with its parameters checked, waiting for the program's arguments.

        `fill` gives values for parameters that are null. A ConfigError of the component is about `key`; but not of a
        recipe, in which everything happens.
        """
        chosen = chosen or Component.model_validate(default)
        registry = REGISTRIES[KINDS[key]]
        with about(key):
            params = registry.check(chosen.name, **chosen.params)
        params |= {name: value for name, value in fill.items() if params.get(name, ...) is None}
        self.resolved[key] = {"name": chosen.name, **params}
        component = registry[chosen.name]
        return partial(component if key == "train" else _about(key, component), **params)

    def several(self, key: str, chosen: Sequence[Component], *given: Any) -> list[Any]:
        """The components of the list at `key`, called with the program's arguments `given`."""
        registry, made = REGISTRIES[KINDS[key]], []
        self.resolved[key] = []
        for i, component in enumerate(chosen):
            with about(f"{key}.{i}"):
                params = registry.check(component.name, **component.params)
                self.resolved[key].append({"name": component.name, **params})
                made.append(registry[component.name](*given, **params))
        return made

    def config(self) -> Config:
        """The configuration with every resolved value in its place."""
        tree = self._config.model_dump()
        for key, value in self.resolved.items():
            *sections, last = key.split(".")
            place = tree
            for section in sections:
                place = place[section]
            place[last] = value
        return Config.model_validate(_plain(tree))


def as_list(made: Any) -> list[Any]:
    """A component that is several in one (aug_transforms) as a list, like the others."""
    return made if isinstance(made, list) else [made]


@contextlib.contextmanager
def about(key: str) -> Iterator[None]:
    """A ConfigError that does not say what in the configuration it is about is about `key`."""
    try:
        yield
    except ConfigError as error:
        error.key = error.key or key
        raise


def _about(key: str, component: Callable[..., Any]) -> Callable[..., Any]:
    """The component, whose errors are about `key`."""

    @functools.wraps(component)
    def call(*given: Any, **params: Any) -> Any:
        try:  # and not `about`, which takes longer than a labeller that is called for each item
            return component(*given, **params)
        except ConfigError as error:
            error.key = error.key or key
            raise

    return call


def _plain(value: Any) -> Any:
    """Tuples as lists and paths as text, as YAML has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
