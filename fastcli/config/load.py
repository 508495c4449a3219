"""`load`: a YAML file and overrides to a checked `Config`, or an error that shows every mistake at its line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcli.config.check import Checker
from fastcli.config.layers import read_layers, spell_out
from fastcli.config.marks import DEFAULT, Key, Node, Place, dotted, plant
from fastcli.config.overrides import apply_overrides
from fastcli.config.paths import resolve
from fastcli.config.plugins import load_plugins
from fastcli.config.problems import InvalidConfigError, Problems
from fastcli.config.shapes import Shapes
from fastcli.config.trust import Trust
from fastcli.errors import ConfigError

if TYPE_CHECKING:
    from fastcli.config.models import Config


@dataclass(frozen=True, repr=False)
class LoadedConfig:
    """A checked configuration that remembers where each of its values was written."""

    config: Config
    tree: dict[str, Any]
    """What was written, as plain data: merged, bare names spelled out, paths resolved, no defaults."""
    path: Path
    files: tuple[str, ...]
    """Every file read: the configuration and those it extends."""
    shapes: Shapes
    """The schema it was checked against, with the components of its plugins."""
    _root: Node
    _sources: dict[str, list[str]]

    @property
    def name(self) -> str:
        """The experiment's name: as written, or the file's."""
        return self.config.experiment.name or self.path.stem

    @property
    def origin(self) -> dict[Key, Place]:
        """Where each value is from: a file and line, `command line`, or `default`; components' defaults included."""
        written = {key: node.key_place for key, node in self._root.walk()}
        everything = plant(self.with_defaults().model_dump(), DEFAULT)
        return {key: written.get(key, DEFAULT) for key, _ in everything.walk() if key}

    def with_defaults(self) -> Config:
        """The configuration with the defaults of all its components written out."""
        from fastcli.config.defaults import fill_defaults

        return fill_defaults(self.config, self.shapes)

    def error_at(self, key: str, message: str, hint: str | None = None) -> InvalidConfigError:
        """An error about the value at `key` ("data.batch_size"), shown with its line as the errors of `load` are."""
        problems = Problems()
        problems.sources = self._sources
        problems.add(self._place(key), message, hint, key)
        return problems.error()

    def explain(self, error: ConfigError) -> ConfigError:
        """The error with the line that its key is about, where it names a key and does not show lines already."""
        if error.key is None or isinstance(error, InvalidConfigError):
            return error
        return self.error_at(error.key, error.message, error.hint)

    def _place(self, key: str) -> Place:
        """Where `key` is written, or what it would stand in."""
        parts: Key = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        node = self._root.nearest(parts)
        if node is self._root:
            return Place(node.place.file)
        return node.place

    def __repr__(self) -> str:
        return f"LoadedConfig({str(self.path)!r})"


def load(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    set_values: Mapping[str, Any] | None = None,
    check_files: bool = True,
    trust: Trust | None = None,
) -> LoadedConfig:
    """The configuration in a YAML file, with `KEY=VALUE` overrides and then `set_values` (by dotted key) laid over it.

    `check_files=False` allows for data and plugins that are gone, as where a finished run is only asked to predict.
    `trust` decides on plugins that a run names; without it, those alone are imported that were trained with here.
    Raises InvalidConfigError with all mistakes at once. Imports neither torch nor, where the file is wrong, pydantic.
    """
    file = os.fspath(path)
    problems, shapes = Problems(), Shapes.shipped()
    root = read_layers(file, shapes, problems)
    if root is None:
        raise problems.error()
    files = tuple(problems.sources)
    apply_overrides(root, overrides, set_values or {}, shapes, problems)
    spell_out(root, shapes.schema, shapes)
    all_plugins = load_plugins(root, shapes, problems, must_exist=check_files, trust=trust)
    checker = Checker(shapes, root, problems, trust_names=not all_plugins)
    checker.check()
    for key, (node, form) in checker.paths.items():
        resolve(node, dotted(key), form, problems, must_exist=check_files)
    problems.raise_if_any()
    config = _build(root, problems)
    return LoadedConfig(config, root.plain(), Path(file), files, shapes, root, problems.sources)


def _build(root: Node, problems: Problems) -> Config:
    """The pydantic models; what only they can say becomes a problem too."""
    from pydantic import ValidationError

    from fastcli.config.models import Config

    try:
        return Config.model_validate(root.plain())
    except ValidationError as error:
        found = error.errors()
        for one in [each for each in found if each["type"] == "value_error"] or found:
            node = root.nearest(one["loc"])
            problems.add(node.place, one["msg"].removeprefix("Value error, "), key=dotted(one["loc"]))
        raise problems.error() from None
