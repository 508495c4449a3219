"""`set_value`: one scalar of a YAML file changed in place; comments, order and style stay as they are."""

from __future__ import annotations

from pathlib import Path

import yaml

from fastcli.config.yaml_reader import Loader
from fastcli.errors import ConfigError
from fastcli.run.files import atomic_write


def set_value(path: Path, key: str, value: float | str | int) -> None:
    """Write `value` at `key` ("train.lr"); a missing key, or a missing section, is added.

    Raises ConfigError, the file untouched, where the result would not read back as meant.
    """
    before = path.read_text(encoding="utf-8")
    section, name = key.split(".")
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    after = edited(before, section, name, text)
    expected = yaml.load(before, Loader) or {}  # noqa: S506 - our safe loader
    mapping = expected.get(section)
    mapping = {"recipe": mapping} if isinstance(mapping, str) else dict(mapping or {})
    expected = {**expected, section: {**mapping, name: yaml.load(text, Loader)}}  # noqa: S506
    if yaml.load(after, Loader) != expected:  # noqa: S506
        raise ConfigError(f"cannot write {key} into {path} without changing something else", hint=f"set {key}: {text}")
    atomic_write(path, after)


def edited(source: str, section: str, name: str, text: str) -> str:
    """`source` with `section.name` set to `text`.

    >>> edited("train: {recipe: fit}  # how\\n", "train", "lr", "0.1")
    'train: {recipe: fit, lr: 0.1}  # how\\n'
    >>> edited("train:\\n  lr: 1  # rate\\n", "train", "lr", "0.1")
    'train:\\n  lr: 0.1  # rate\\n'
    """
    root = yaml.compose(source, Loader)
    node = _child(root, section)
    if node is None:
        return source.rstrip("\n") + f"\n{section}: {{{name}: {text}}}\n"
    if isinstance(node, yaml.ScalarNode):
        inner = f"recipe: {node.value}, " if node.value and section == "train" else ""
        return _replaced(source, node, f"{{{inner}{name}: {text}}}")
    old = _child(node, name)
    if old is not None:
        return _replaced(source, old, text)
    return _inserted(source, node, f"{name}: {text}") if isinstance(node, yaml.MappingNode) else source


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _replaced(source: str, node: yaml.Node, text: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    space = " " if start > 0 and source[start - 1] == ":" else ""
    return source[:start] + space + text + source[end:]


def _inserted(source: str, mapping: yaml.MappingNode, entry: str) -> str:
    """The entry as the last of the mapping, in its style."""
    if mapping.flow_style:
        end = mapping.end_mark.index - 1
        before = source[:end].rstrip()
        return before + (", " if mapping.value else "") + entry + source[end:]
    first, last = mapping.value[0][0], mapping.value[-1][1]
    line_end = source.find("\n", last.end_mark.index if isinstance(last, yaml.ScalarNode) else _last(last))
    line_end = len(source) if line_end < 0 else line_end
    column: int = first.start_mark.column
    return source[:line_end] + "\n" + " " * column + entry + source[line_end:]


def _last(node: yaml.Node) -> int:
    """Where the text of a collection ends, blank lines and comments behind it left out."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        final = node.value[-1]
        return _last(final[1] if isinstance(final, tuple) else final)
    return int(node.end_mark.index)
