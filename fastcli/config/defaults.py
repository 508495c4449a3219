"""The defaults of components, written out from the schema, so that a configuration can be read without the code."""

from __future__ import annotations

from typing import Any

from fastcli.config.layers import name_of
from fastcli.config.marks import DEFAULT, Node, plant
from fastcli.config.models import Config
from fastcli.config.shapes import Rule, Shapes

RECIPES_OWN = {("optimizer", "lr")}
"""Not filled in: the recipe sets the learning rate, and a second one would contradict it."""


def fill_defaults(config: Config, shapes: Shapes) -> Config:
    """`config` with every parameter of every component; those without a default are left out."""
    tree = plant(config.model_dump(), DEFAULT)
    _fill(tree, shapes.schema, shapes)
    return Config.model_validate(tree.plain())


def _fill(node: Node, rule: Rule, shapes: Shapes) -> None:
    rule = shapes.unwrap(rule)
    mark = rule.get("x-component")
    if mark is not None and isinstance(node.value, dict):
        definition = shapes.component(mark, name_of(node, mark)) or {}
        _fill_component(node, definition, mark["kind"], shapes)
        return
    for part, child in node.children():
        inner: Any = rule.get("items") if isinstance(part, int) else rule.get("properties", {}).get(part)
        if inner:
            _fill(child, inner, shapes)


def _fill_component(node: Node, definition: Rule, kind: str, shapes: Shapes) -> None:
    for part, rule in definition.get("properties", {}).items():
        rule = shapes.resolve(rule)
        if part not in node.value and "default" in rule and (kind, part) not in RECIPES_OWN:
            node.value[part] = plant(rule["default"], DEFAULT)
