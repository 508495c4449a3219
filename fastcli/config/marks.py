"""Values that know where they were written: the tree that loading, merging and checking work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Key = tuple[str | int, ...]
"""The way to a value from the top: ("callbacks", 0, "patience")."""

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Place:
    """A place in a file or on the command line. Line and column count from 1; 0 where there is none.

    >>> str(Place("configs/pets.yaml", 12, 3)), str(Place("command line", 2, 1)), str(DEFAULT)
    ('configs/pets.yaml:12', 'command line', 'default')
    """

    file: str
    line: int = 0
    column: int = 0
    width: int = 1
    """Characters to underline."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line and self.file != COMMAND_LINE else self.file


DEFAULT = Place("default")


@dataclass
class Node:
    """A value with its place and the place of its key. Mappings hold nodes by key, lists hold nodes."""

    value: Any
    place: Place
    key_place: Place

    def plain(self) -> Any:
        """The value without places: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """Keys or indices with their nodes; nothing for a scalar."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def walk(self, key: Key = ()) -> Iterator[tuple[Key, Node]]:
        """This node and all below it with their keys, in the order of writing."""
        yield key, self
        for part, node in self.children():
            yield from node.walk((*key, part))

    def nearest(self, key: Key) -> Node:
        """The node at `key`, or where that is missing the lowest one above it."""
        for part, node in self.children() if key else ():
            if part == key[0]:
                return node.nearest(key[1:])
        return self


def plant(value: Any, place: Place) -> Node:
    """A tree made of plain data, all of it at one place.

    >>> plant({"a": [1]}, DEFAULT).nearest(("a", 0)).value
    1
    """
    if isinstance(value, dict):
        return Node({str(key): plant(item, place) for key, item in value.items()}, place, place)
    if isinstance(value, (list, tuple)):
        return Node([plant(item, place) for item in value], place, place)
    return Node(value, place, place)


def dotted(key: Key) -> str:
    """A key as people write it.

    >>> dotted(("callbacks", 0, "patience"))
    'callbacks.0.patience'
    """
    return ".".join(map(str, key))
