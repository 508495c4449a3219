"""A tree held against the schema: every mistake becomes a problem at its own place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastcli.config.marks import Key, Node, Place, dotted
from fastcli.config.paths import ENV_START, PATH_FORMATS
from fastcli.config.problems import Problems
from fastcli.config.shapes import Rule, Shapes
from fastcli.config.strangers import hint_for
from fastcli.config.words import choices, closest, expected, show, type_hint, type_of
from fastcli.errors import did_you_mean

BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "at least"),
    "maximum": (lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "more than"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "less than"),
}


class Checker:
    """Walks a tree and the schema side by side. `paths` are the values that are paths, with their format."""

    def __init__(self, shapes: Shapes, root: Node, problems: Problems, *, trust_names: bool = False) -> None:
        self.shapes, self.root, self.problems = shapes, root, problems
        self.trust_names = trust_names
        """Say nothing of unknown components: a plugin that may hold them could not be read."""
        self.paths: dict[Key, tuple[Node, str]] = {}

    def check(self) -> None:
        """Check the whole tree."""
        self._node(self.root, self.shapes.schema, ())
        for key, node in self.root.walk():
            if isinstance(node.value, str) and ENV_START in node.value and key not in self.paths:
                self._add(node.place, "${env:…} is only read in paths", None, key)

    def _add(self, place: Place, message: str, hint: str | None, key: Key) -> None:
        self.problems.add(place, message, hint, dotted(key) or None)

    def _node(self, node: Node, rule: Rule, key: Key) -> None:
        rule = self.shapes.resolve(rule)
        kind = type_of(node.value)
        if "x-component" in rule:
            self._component(node, rule, key)
        elif "anyOf" in rule:
            self._any_of(node, rule, key)
        elif not self._accepts(rule, node):
            self._wrong(node, rule, key)
        elif kind == "object":
            self._section(node, rule, key)
        elif kind == "array":
            self._items(node, rule, key)
        elif kind == "string":
            self._text(node, rule, key)
        elif kind in ("integer", "number"):
            self._number(node, rule, key)

    def _accepts(self, rule: Rule, node: Node) -> bool:
        """Whether the value is of the rule's type, and among its choices; not yet whether its parts are right."""
        kind = type_of(node.value)
        if "x-component" in rule:
            return kind == "object"  # bare names are spelled out before
        if "anyOf" in rule:
            return any(self._accepts(self.shapes.resolve(branch), node) for branch in rule["anyOf"])
        if "const" in rule or "enum" in rule:
            return any(type_of(choice) == kind and choice == node.value for choice in choices(rule))
        wanted = rule.get("type")
        return wanted is None or kind == wanted or (kind, wanted) == ("integer", "number")

    def _wrong(self, node: Node, rule: Rule, key: Key) -> None:
        """A value of the wrong type, or none of the choices."""
        branches = [self.shapes.resolve(branch) for branch in rule.get("anyOf", [rule])]
        known = [choice for branch in branches for choice in choices(branch) if isinstance(choice, str)]
        near = closest(node.value, known) if isinstance(node.value, str) else None
        types = {branch.get("type", "") for branch in branches}
        hint = f"did you mean {near!r}?" if near else type_hint(node.value, types - {type_of(node.value)})
        self._add(node.place, f"{dotted(key)} must be {expected(rule, self.shapes)}, not {show(node.value)}", hint, key)

    def _any_of(self, node: Node, rule: Rule, key: Key) -> None:
        """One of several: the mistakes of the one that was meant, or else what all of them are."""
        branches = [self.shapes.resolve(branch) for branch in rule["anyOf"]]
        attempts = [self._attempt(node, branch, key) for branch in branches if self._accepts(branch, node)]
        good = [attempt for attempt in attempts if not attempt.problems]
        if good or len(attempts) == 1:
            chosen = (good or attempts)[0]
            self.paths.update(chosen.paths)
            self.problems.take(chosen.problems)
        else:
            self._wrong(node, rule, key)

    def _attempt(self, node: Node, rule: Rule, key: Key) -> Checker:
        """A trial of one alternative, with problems of its own."""
        trial = Checker(self.shapes, self.root, Problems(), trust_names=self.trust_names)
        trial._node(node, rule, key)
        return trial

    def _section(self, node: Node, rule: Rule, key: Key) -> None:
        known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        strangers = set()
        for part, child in node.value.items():
            if part in known or others is not False:
                inner = known.get(part, others)
                self._node(child, inner if isinstance(inner, dict) else {}, (*key, part))
            else:
                strangers.add(closest(part, known))
                where = f" in {dotted(key)}" if key else ""
                hint = hint_for(part, list(known), key, self.shapes, self.root)
                self._add(child.key_place, f"unknown key {part!r}{where}", hint, (*key, part))
        self._required(node, rule, key, strangers)

    def _required(self, node: Node, rule: Rule, key: Key, strangers: set[str | None]) -> None:
        """Complain of missing keys, but for those that a misspelt one was meant to be."""
        for part in rule.get("required", []):
            if part in node.value or part in strangers:
                continue
            about = self.shapes.resolve(rule["properties"][part]).get("description")
            where = f" in {dotted(key)}" if key else ""
            self._add(node.key_place, f"missing key {part!r}{where}", about, (*key, part))

    def _items(self, node: Node, rule: Rule, key: Key) -> None:
        least, most = rule.get("minItems", 0), rule.get("maxItems", len(node.value))
        if not least <= len(node.value) <= most:
            count = (
                f"{least}" if least == most else f"at least {least}" if len(node.value) < least else f"at most {most}"
            )
            plural = "s" if count != "1" and not count.endswith(" 1") else ""
            self._add(node.place, f"{dotted(key)} must have {count} item{plural}, not {len(node.value)}", None, key)
            return
        each = rule.get("prefixItems") or [rule.get("items", {})] * len(node.value)
        for index, (child, inner) in enumerate(zip(node.value, each, strict=False)):
            self._node(child, inner, (*key, index))

    def _text(self, node: Node, rule: Rule, key: Key) -> None:
        if rule.get("format") in PATH_FORMATS and node.value:
            self.paths[key] = (node, rule["format"])
        elif len(node.value) < rule.get("minLength", 0):
            self._add(node.place, f"{dotted(key)} must not be empty", None, key)
        if "pattern" in rule and not re.search(rule["pattern"], node.value):
            wanted = expected(rule, self.shapes)
            self._add(node.place, f"{dotted(key)} must be {wanted}, not {show(node.value)}", None, key)

    def _number(self, node: Node, rule: Rule, key: Key) -> None:
        limits = [(holds, words, rule[name]) for name, (holds, words) in BOUNDS.items() if name in rule]
        broken = [f"{words} {limit}" for holds, words, limit in limits if not holds(node.value, limit)]
        if broken:
            self._add(node.place, f"{dotted(key)} must be {' and '.join(broken)}, not {show(node.value)}", None, key)

    def _component(self, node: Node, rule: Rule, key: Key) -> None:
        mark = rule["x-component"]
        name = node.value.get(mark["by"]) if isinstance(node.value, dict) else None
        if not isinstance(node.value, dict):
            self._wrong(node, rule, key)
        elif name is None and "unnamed" not in mark:
            self._nameless(node, rule, key)
        elif name is not None and not isinstance(name.value, (str, type(None))):
            self._wrong(name, {"type": "string"}, (*key, mark["by"]))
        else:
            self._chosen(node, name, mark, key)

    def _nameless(self, node: Node, rule: Rule, key: Key) -> None:
        """A component without its name, which may be misspelt."""
        mark = rule["x-component"]
        by = mark["by"]
        typo = closest(by, node.value)
        if typo is None:
            hint = rule.get("description") if "other" in mark else did_you_mean("", self.shapes.names(mark["kind"]))
            self._add(node.key_place, f"missing key {by!r} in {dotted(key)}", hint, (*key, by))
        else:
            place = node.value[typo].key_place
            self._add(place, f"unknown key {typo!r} in {dotted(key)}", f"did you mean {by!r}?", (*key, typo))

    def _chosen(self, node: Node, name: Node | None, mark: Rule, key: Key) -> None:
        """A component by its name: it must exist, and its parameters must fit."""
        definition = self.shapes.component(mark, name.value if name is not None else None)
        if definition is not None:
            self._parameters(node, definition, mark, key)
        elif name is not None and not self.trust_names:
            kind, known = mark["kind"], self.shapes.names(mark["kind"])
            what = f"unknown {kind.replace('_', ' ')} {show(name.value)}"
            self._add(name.place, what, did_you_mean(str(name.value), known), key)

    def _parameters(self, node: Node, definition: Rule, mark: Rule, key: Key) -> None:
        """The parameters given to a component, against its signature."""
        parts = dict(node.value)
        name = parts.pop(mark["by"], None)
        known = {part: rule for part, rule in definition["properties"].items() if part != mark["by"]}
        kind = mark["kind"].replace("_", " ")
        title = f"{kind} {name.value!r}" if name is not None and name.value else f"any {kind}"
        strangers = set()
        for part, child in parts.items():
            if part in known:
                self._node(child, known[part], (*key, part))
            else:
                strangers.add(closest(part, known))
                hint = hint_for(part, list(known), key, self.shapes, self.root)
                self._add(child.key_place, f"{title} has no parameter {part!r}", hint, (*key, part))
        for part in definition.get("required", []):
            if part in known and part not in parts and part not in strangers:
                place = name.place if name is not None else node.key_place
                self._add(place, f"{title} needs {part!r}", known[part].get("description"), (*key, part))
