"""Python files named by `plugins`: imported for their decorators, and their components added to the schema."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from fastcli.config.marks import Node
from fastcli.config.paths import resolve
from fastcli.config.problems import Problems
from fastcli.config.shapes import Shapes
from fastcli.config.trust import Trust, digest_of
from fastcli.registry import REGISTRIES, AlreadyRegisteredError

if TYPE_CHECKING:
    from fastcli.registry import Registry


IMPORTED: dict[str, str] = {}
"""The plugins that were imported: file and SHA-256 of what was run."""


def load_plugins(
    root: Node, shapes: Shapes, problems: Problems, *, must_exist: bool = True, trust: Trust | None = None
) -> bool:
    """Import the files in `plugins` and add what they registered to the shapes; whether all could be imported.

    One that is named by a run is imported where `trust` allows it.
    """
    plugins = root.value.get("plugins")
    good = True
    for index, node in plugins.children() if plugins is not None and isinstance(plugins.value, list) else ():
        if isinstance(node.value, str):
            good = _load(node, f"plugins.{index}", shapes, problems, must_exist, trust or Trust()) and good
    add_registered(shapes)
    return good


def imported(paths: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of those of these plugins that were imported, by path."""
    return {path: IMPORTED[path] for path in paths if path in IMPORTED}


def _load(node: Node, key: str, shapes: Shapes, problems: Problems, must_exist: bool, trust: Trust) -> bool:
    given = node.value
    resolve(node, key, "file-path", problems, must_exist=must_exist)
    path = Path(node.value)
    if not path.is_absolute() or not path.is_file():  # resolve has said so, where it matters
        return False
    try:
        source = path.read_bytes()
        refusal = trust.refusal(path, digest_of(source), node.place.file)
        if refusal is not None and not _is_imported(path):
            problems.add(node.place, *refusal, key)
            return False
        module = import_file(path, source)
    except AlreadyRegisteredError as error:
        _add_clash(error.component, given, node, key, problems)
        return False
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        problems.add(node.place, _describe(error, path, given), "python shows the whole traceback", key)
        return False
    clashes = [
        f"{registry.kind} {name!r}" for registry, name in _registered_by(module) if _known(shapes, registry, name)
    ]
    for clash in clashes:
        _add_clash(clash, given, node, key, problems)
    return not clashes


def _add_clash(component: str, given: str, node: Node, key: str, problems: Problems) -> None:
    problems.add(node.place, f"plugin {given} registers {component}, which fastcli has", "choose another name", key)


class _ReadSource(importlib.machinery.SourceFileLoader):
    """Runs the bytes that were read: nothing in `__pycache__` takes their place, and nothing is written there."""

    source = b""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.source, self.path)


def import_file(path: Path, source: bytes | None = None) -> ModuleType:
    """The module in the file `path`, whose content is `source`, under its own name; imported once.

    Raises what the file raises, and ImportError where another module has this name.
    """
    name = path.stem
    if _is_imported(path):
        return sys.modules[name]
    if path.suffix != ".py":
        raise ImportError("not a Python file; its name must end in .py")
    there = sys.modules.get(name)
    found = importlib.util.find_spec(name) if there is None else None
    if there is not None or (found is not None and not _is_file(found.origin, path)):
        raise ImportError(f"another module is called {name!r}; rename the file")
    loader = _ReadSource(name, str(path))
    loader.source = path.read_bytes() if source is None else source
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # the loader says all that is asked
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    IMPORTED[str(path)] = digest_of(loader.source)
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_imported(path: Path) -> bool:
    return getattr(sys.modules.get(path.stem), "__file__", None) == str(path)


def _is_file(origin: str | None, path: Path) -> bool:
    """Whether a module is the file itself, found because its folder is on Python's path (`python -m fastcli`)."""
    return origin is not None and Path(origin).resolve() == path.resolve()


def at_fault(error: BaseException) -> str | None:
    """The plugin and the line of it that raised the error or called what raised it; None where no plugin took part."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in IMPORTED]
    return f"plugin {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else None


def _describe(error: BaseException, path: Path, given: str) -> str:
    """The plugin, the line of it that failed, and what happened."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else lines[-1:] and lines[-1]
    return f"plugin {given}{f', line {line}' if line else ''}: {type(error).__name__}: {error}"


def _registered_by(module: ModuleType) -> list[tuple[Registry, str]]:
    found = [(registry, name) for registry in REGISTRIES.values() for name in registry]
    return [(registry, name) for registry, name in found if registry[name].__module__ == module.__name__]


def _known(shapes: Shapes, registry: Registry, name: str) -> bool:
    return any(kind for kind, other in REGISTRIES.items() if other is registry and name in shapes.names(kind))


def add_registered(shapes: Shapes) -> None:
    """Add the registered components that the schema lacks: those of plugins and of the program at hand."""
    missing = [(kind, name) for kind, names in REGISTRIES.items() for name in names if name not in shapes.names(kind)]
    if not missing:
        return
    from fastcli.config.schema import add_component

    for kind, name in missing:
        add_component(shapes.schema, kind, REGISTRIES[kind], name)
