"""Where an unknown key may belong: another section, a component in use, or a word misspelt."""

from __future__ import annotations

from collections.abc import Iterator

from fastcli.config.layers import name_of
from fastcli.config.marks import Key, Node, dotted
from fastcli.config.shapes import Rule, Shapes
from fastcli.config.words import closest, either
from fastcli.errors import did_you_mean

TOP = "the top level"
SURE = 0.8
"""How alike a key of another section must be to be offered."""


def hint_for(word: str, own: list[str], section: Key, shapes: Shapes, root: Node) -> str:
    """What to do about the key `word`, which `section`, with the keys `own`, does not have."""
    if word == "<<":
        return "merge keys are not supported; use extends"
    elsewhere = _elsewhere(shapes, root, section)
    if word in elsewhere:
        return f"{word!r} belongs in {either(elsewhere[word])}"
    mark = shapes.mark_at(section)
    siblings = _components_with(word, shapes, mark["kind"]) if mark else []
    if siblings:
        return f"{word!r} belongs to {either(siblings[:3])}"
    if closest(word, own):
        return did_you_mean(word, own)
    near = closest(word, elsewhere, SURE)
    if near:
        places = elsewhere[near]
        return f"did you mean {near!r} in {either(places)}?" if places != [TOP] else f"did you mean {near!r}?"
    owners = _components_with(word, shapes)
    return f"{word!r} belongs to {either(owners[:3])}" if owners else did_you_mean(word, own)


def _elsewhere(shapes: Shapes, root: Node, section: Key) -> dict[str, list[str]]:
    """Every key that can be written outside `section`, in this configuration, with the sections that have it."""
    found: dict[str, list[str]] = {}
    for place, label, keys in _sections(shapes, root):
        for key in keys if place != section else ():
            places = found.setdefault(key, [])
            if label not in places:
                places.append(label)
    return found


def _sections(shapes: Shapes, root: Node, key: Key = ()) -> Iterator[tuple[Key, str, list[str]]]:
    """Each section and each component in use: its place, what it is called, and its keys."""
    rule = shapes.rule_at(key)
    mark = rule.get("x-component")
    if mark is not None:
        chosen = root.nearest(key) if _exists(root, key) else None
        name = name_of(chosen, mark) if chosen is not None and isinstance(chosen.value, dict) else None
        definition = shapes.component(mark, name) or shapes.component(mark, None) or {}
        yield key, dotted(tuple(part for part in key if isinstance(part, str))), _without(definition, mark["by"])
    elif "properties" in rule:
        yield key, dotted(key) or TOP, list(rule["properties"])
        for part in rule["properties"]:
            yield from _sections(shapes, root, (*key, part))
    elif "items" in rule and _exists(root, key):
        for index, _ in root.nearest(key).children():
            yield from _sections(shapes, root, (*key, index))


def _exists(root: Node, key: Key) -> bool:
    node = root
    for part in key:
        inner = dict(node.children()).get(part)
        if inner is None:
            return False
        node = inner
    return True


def _without(definition: Rule, by: str) -> list[str]:
    return [key for key in definition.get("properties", {}) if key != by]


def _components_with(word: str, shapes: Shapes, of_kind: str | None = None) -> list[str]:
    """All components, in use or not, that have a parameter `word`: "loss 'cross_entropy'"."""
    owners = []
    for kind, name, rule in shapes.components():
        if of_kind in (None, kind) and word in rule["properties"] and word not in ("name", "recipe"):
            owners.append(f"{kind.replace('_', ' ')} {name!r}")
    return owners
