"""The schema as the checker reads it: the rule for a key, and the components that a name may choose.

A component's place carries the mark `x-component`: {kind, by, unnamed, other} (see `models.chosen_from`). The rules of
the components themselves are the definitions `kind.name`, `optimizer.adam`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from fastcli.config.marks import Key

Rule = dict[str, Any]
"""A JSON schema, or a part of one."""
ANY_NAME = "*"
"""The definition that holds every key of a kind's components: what is checked when none is named."""


@functools.cache
def shipped_text() -> str:
    """The text of the schema that ships with the package."""
    return resources.files("fastcli.config").joinpath("schema.json").read_text("utf-8")


class Shapes:
    """A schema with look-up by key and by component."""

    def __init__(self, schema: Rule) -> None:
        self.schema = schema
        self.definitions: dict[str, Rule] = schema.get("$defs", {})

    @classmethod
    def shipped(cls) -> Shapes:
        """The schema of the package, in a copy that plugins may add to."""
        return cls(json.loads(shipped_text()))

    def resolve(self, rule: Rule) -> Rule:
        """The rule with its reference followed; keys beside the reference (default, description) win."""
        while "$ref" in rule:
            target = self.definitions[rule["$ref"].removeprefix("#/$defs/")]
            rule = {**target, **{key: value for key, value in rule.items() if key != "$ref"}}
        return rule

    def unwrap(self, rule: Rule) -> Rule:
        """The rule of a value that may also be null, without the null."""
        rule = self.resolve(rule)
        branches = [branch for branch in map(self.resolve, rule.get("anyOf", [])) if branch.get("type") != "null"]
        return branches[0] if "x-component" not in rule and len(branches) == 1 else rule

    def rule_at(self, key: Key) -> Rule:
        """The rule for the value at `key`; empty where the schema knows none."""
        rule = self.unwrap(self.schema)
        for part in key:
            inner = rule.get("items") if isinstance(part, int) else rule.get("properties", {}).get(part)
            rule = self.unwrap(inner or {})
        return rule

    def mark_at(self, key: Key) -> Rule | None:
        """The `x-component` mark of the place `key`, if a component stands there."""
        return self.rule_at(key).get("x-component")

    def components(self) -> Iterator[tuple[str, str, Rule]]:
        """Kind, name and rule of every component that can be named."""
        for definition, rule in self.definitions.items():
            kind, dot, name = definition.partition(".")
            if dot and name != ANY_NAME and ":" not in name:
                yield kind, name, rule

    def names(self, kind: str) -> list[str]:
        """The components of a kind that can be named."""
        return sorted(name for its_kind, name, _ in self.components() if its_kind == kind)

    def chosen(self, mark: Rule, name: str | None) -> str | None:
        """The component that `name` chooses at a place with this mark, known or not.

        All names of timm's architectures choose the component `timm`; no name chooses the place's default, if any.
        """
        if name is None:
            return mark.get("unnamed")
        own = f"{mark['kind']}.{name}" in self.definitions
        return name if own or "other" not in mark else str(mark["other"][0])

    def component(self, mark: Rule, name: str | None) -> Rule | None:
        """The rule of the component that `name` chooses at a place with this mark."""
        chosen = self.chosen(mark, name)
        return None if chosen is None else self.definitions.get(f"{mark['kind']}.{chosen}")
