"""A file and the files that it extends, merged into one tree: maps merge, lists and single values replace."""

from __future__ import annotations

import os

from fastcli.config.marks import Key, Node
from fastcli.config.paths import expand
from fastcli.config.problems import Problems
from fastcli.config.shapes import Rule, Shapes
from fastcli.config.source_file import read_yaml


def read_layers(
    file: str, shapes: Shapes, problems: Problems, named_by: Node | None = None, above: tuple[str, ...] = ()
) -> Node | None:
    """The tree of `file` laid over the trees that it extends, or None after a problem that stops the reading.

    `named_by` is the entry of `extends` that names the file, `above` the files on the way to it.
    """
    identity = os.path.abspath(file)  # noqa: PTH100
    if named_by is not None and identity in above:
        circle = " → ".join(os.path.basename(name) for name in (*above[above.index(identity) :], identity))  # noqa: PTH119
        problems.add(named_by.place, f"extends goes in a circle: {circle}", key="extends")
        return None
    tree = read_yaml(file, problems, named_by.place if named_by is not None else None)
    if tree is None:
        return None
    below: Node | None = Node({}, tree.place, tree.key_place)
    for entry in _entries(tree, problems):
        base = read_layers(_beside(file, entry.value), shapes, problems, entry, (*above, identity))
        below = merge(below, base, shapes) if below and base else None
    return merge(below, tree, shapes) if below else None


def _entries(tree: Node, problems: Problems) -> list[Node]:
    """The nodes of `extends`, taken out of the tree, with `${env:NAME}` put in."""
    extends = tree.value.pop("extends", None)
    if extends is None:
        return []
    entries = extends.value if isinstance(extends.value, list) else [extends]
    good = [entry for entry in entries if isinstance(entry.value, str) and entry.value]
    for entry in entries:
        if entry not in good:
            problems.add(entry.place, "extends must be a path or a list of paths", key="extends")
    filled = [(entry, expand(entry, "extends", problems)) for entry in good]
    return [Node(path, entry.place, entry.key_place) for entry, path in filled if path]


def _beside(file: str, path: str) -> str:
    """The path of a file named in `file`, in the style that `file` was given in."""
    return os.path.normpath(os.path.join(os.path.dirname(file), os.path.expanduser(path)))  # noqa: PTH111,PTH118,PTH120


def merge(base: Node, over: Node, shapes: Shapes, key: Key = ()) -> Node:
    """`over` laid over `base`; a component of another name does not inherit the first one's parameters."""
    mark = shapes.mark_at(key)
    if mark is not None:
        base, over = named(base, mark), named(over, mark)
        if not _same_component(base, over, mark, shapes):
            return over
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(base.value)
    for part, node in over.value.items():
        merged[part] = merge(merged[part], node, shapes, (*key, part)) if part in merged else node
    return Node(merged, over.place, over.key_place)


def named(node: Node, mark: Rule) -> Node:
    """A component as a mapping: the bare `adam` becomes `{name: adam}`."""
    if not isinstance(node.value, str):
        return node
    return Node({mark["by"]: Node(node.value, node.place, node.key_place)}, node.place, node.key_place)


def spell_out(node: Node, rule: Rule, shapes: Shapes) -> None:
    """Write all bare names of components below `node`, which `rule` describes, as mappings."""
    rule = shapes.unwrap(rule)
    if mark := rule.get("x-component"):
        node.value = named(node, mark).value
        rule = (shapes.component(mark, name_of(node, mark)) if isinstance(node.value, dict) else None) or {}
    for part, child in node.children():
        inner = rule.get("items") if isinstance(part, int) else rule.get("properties", {}).get(part)
        if inner:
            spell_out(child, inner, shapes)


def _same_component(base: Node, over: Node, mark: Rule, shapes: Shapes) -> bool:
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return False
    if mark["by"] not in over.value:
        return True
    return shapes.chosen(mark, name_of(base, mark)) == shapes.chosen(mark, name_of(over, mark))


def name_of(component: Node, mark: Rule) -> str | None:
    """The name written in a component's mapping, None where there is none."""
    node = component.value.get(mark["by"])
    return node.value if node is not None and isinstance(node.value, str) else None
