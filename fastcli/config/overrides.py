"""`KEY=VALUE` and `~KEY` from the command line, put into the tree.

An override sets: a mapping or list that is given replaces the one that was there. Setting the name of a component to
another one drops the parameters that the file gave to the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastcli.config.layers import name_of, named
from fastcli.config.marks import COMMAND_LINE, Key, Node, Place, dotted, plant
from fastcli.config.problems import Problems
from fastcli.config.shapes import Shapes
from fastcli.config.words import show
from fastcli.config.yaml_reader import parse
from fastcli.errors import did_you_mean


@dataclass(frozen=True)
class Override:
    """One override: the parts of its key with their places, and the value; no value removes the key."""

    parts: tuple[str, ...]
    places: tuple[Place, ...]
    value: Node | None

    @property
    def place(self) -> Place:
        """The place of the whole key."""
        first, last = self.places[0], self.places[-1]
        return Place(COMMAND_LINE, first.line, first.column, last.column + last.width - first.column)


def apply_overrides(
    root: Node, overrides: Sequence[str], set_values: Mapping[str, Any], shapes: Shapes, problems: Problems
) -> None:
    """Put the overrides and then `set_values` (dotted key: value) into the tree."""
    lines = problems.sources[COMMAND_LINE] = []
    for text in overrides:
        first = len(lines) + 1
        lines.extend(text.splitlines() or [""])
        override = read_override(text, first, problems)
        if override is not None:
            apply(root, override, shapes, problems)
    for key, value in set_values.items():
        lines.append(f"{key}={show(value)}")
        parts, places = _split(key, len(lines), 1)
        place = Place(COMMAND_LINE, len(lines), len(key) + 2, len(show(value)))
        apply(root, Override(parts, places, plant(value, place)), shapes, problems)


def read_override(text: str, line: int, problems: Problems) -> Override | None:
    """The override written in `text`, with `line` as the number of its first line, or None after a problem."""
    removes = text.startswith("~")
    key, equals, value = text.partition("=")
    key_text = key[1:] if removes else key
    whole = Place(COMMAND_LINE, line, 1, len(text))
    if not all(part.strip() for part in key_text.split(".")):
        problems.add(whole, f"the override {text!r} has an empty key", "write section.key=value")
        return None
    if removes == bool(equals):
        message = "takes no value" if removes else "has no value"
        hint = f"write ~{key_text}" if removes else f"write {text}=VALUE, or ~{text} to go back to the default"
        problems.add(whole, f"the override {text!r} {message}", hint)
        return None
    parts, places = _split(key_text, line, 1 + removes)
    if removes:
        return Override(parts, places, None)
    # Blanks in the place of the key give the value's places their columns on the command line.
    node = parse(" " * (len(key) + 1) + value, COMMAND_LINE, problems, first_line=line)
    if node is None:
        return None
    spot = Override(parts, places, None).place
    return Override(parts, places, Node(node.value, node.place if node.place.width and value.strip() else spot, spot))


def _split(key: str, line: int, column: int) -> tuple[tuple[str, ...], tuple[Place, ...]]:
    parts, places = [], []
    for part in key.split("."):
        parts.append(part.strip())
        places.append(Place(COMMAND_LINE, line, column, len(part)))
        column += len(part) + 1
    return tuple(parts), tuple(places)


def apply(root: Node, override: Override, shapes: Shapes, problems: Problems) -> None:
    """Put one override into the tree, or report why it has no place there."""
    parent = _parent(root, override, shapes, problems)
    if parent is None:
        return
    part, key = override.parts[-1], override.parts[:-1]
    if override.parts == ("extends",):
        problems.add(override.place, "extends can only be written in a file", key="extends")
    elif isinstance(parent.value, list):
        _put_item(parent.value, part, override, problems)
    elif override.value is None:
        if parent.value.pop(part, None) is None:
            there = dotted(override.parts)
            hint = did_you_mean(part, parent.value) if parent.value else None
            problems.add(override.place, f"there is no {there} to remove", hint, there)
    else:
        _drop_parameters(parent, part, override.value, _as_key(root, key), shapes)
        parent.value[part] = Node(override.value.value, override.value.place, override.places[-1])


def _parent(root: Node, override: Override, shapes: Shapes, problems: Problems) -> Node | None:
    """The node that holds the last part of the key; missing mappings on the way are made."""
    node = root
    for depth, (part, place) in enumerate(zip(override.parts[:-1], override.places, strict=False)):
        inner = _step(node, part, place, override, problems)
        if inner is None:
            return None
        node = inner
        mark = shapes.mark_at(_as_key(root, override.parts[: depth + 1]))
        if mark is not None:  # a bare name becomes a mapping that can take parameters
            node.value = named(node, mark).value
        if not isinstance(node.value, (dict, list)):
            there = dotted(override.parts[: depth + 1])
            problems.add(override.place, f"{there} is {show(node.value)}; it has no keys", key=there)
            return None
    return node


def _step(node: Node, part: str, place: Place, override: Override, problems: Problems) -> Node | None:
    """The child of `node` called `part`. In a mapping it is made where it is missing or null."""
    if isinstance(node.value, list):
        index = _index(node.value, part, override, problems)
        return None if index is None else node.value[index]
    inner: Node | None = node.value.get(part)
    if override.value is None and (inner is None or inner.value is None):
        problems.add(override.place, f"there is no {dotted(override.parts)} to remove", key=dotted(override.parts))
        return None
    if inner is None or inner.value is None:
        inner = node.value[part] = Node({}, place, place)
    return inner


def _index(items: list[Node], part: str, override: Override, problems: Problems) -> int | None:
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    count = f"{len(items)} item{'s' if len(items) != 1 else ''}, counted from 0"
    problems.add(override.place, f"there is no {dotted(override.parts)}", f"the list has {count}")
    return None


def _put_item(items: list[Node], part: str, override: Override, problems: Problems) -> None:
    index = _index(items, part, override, problems)
    if index is None:
        return
    if override.value is None:
        del items[index]
    else:
        items[index] = Node(override.value.value, override.value.place, override.places[-1])


def _drop_parameters(parent: Node, part: str, value: Node, key: Key, shapes: Shapes) -> None:
    """Forget the file's parameters when a component's name is set to that of another one."""
    mark = shapes.mark_at(key)
    if mark is None or part != mark["by"] or part not in parent.value:
        return
    name = value.value if isinstance(value.value, str) else None
    if shapes.chosen(mark, name) != shapes.chosen(mark, name_of(parent, mark)):
        kept = {key: node for key, node in parent.value.items() if node.key_place.file == COMMAND_LINE}
        parent.value = {part: parent.value[part], **kept}


def _as_key(root: Node, parts: Sequence[str]) -> Key:
    """The parts as a key, with numbers where they count items of a list."""
    key: Key = ()
    node: Node | None = root
    for part in parts:
        is_list = node is not None and isinstance(node.value, list)
        key = (*key, int(part) if is_list and part.isdecimal() else part)
        node = dict(node.children()).get(key[-1]) if node is not None else None
    return key
