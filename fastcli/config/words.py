"""How types, values and near misses are called in messages."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

from fastcli.config.shapes import Rule, Shapes

TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
    "object": "a section of keys",
}
PLURALS = {"integer": "whole numbers", "number": "numbers", "boolean": "truth values", "string": "texts"}


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that is most like `word`, if any is alike.

    >>> closest("bacth_size", ["batch_size", "source"]), closest("zzz", ["batch_size"])
    ('batch_size', None)
    """
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lowered, 1, cutoff)
    return lowered[found[0]] if found else None


def type_of(value: Any) -> str:
    """The JSON type of a node's value.

    >>> type_of(True), type_of(1), type_of(1.0), type_of({})
    ('boolean', 'integer', 'number', 'object')
    """
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return names.get(type(value), "null")


def show(value: Any) -> str:
    """A node's value as a message shows it.

    >>> show("many"), show(None), show(True), show(0.001), show([]), show({"a": 1})
    ("'many'", 'null', 'true', '0.001', 'an empty list', 'a mapping')
    """
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def expected(rule: Rule, shapes: Shapes) -> str:
    """What a rule allows, in words: "'auto' or a whole number"."""
    return either(_alternatives(rule, shapes))


def _alternatives(rule: Rule, shapes: Shapes) -> list[str]:
    rule = shapes.resolve(rule)
    if "x-expected" in rule:
        return [rule["x-expected"]]
    if "x-component" in rule:
        return ["a name", "{" + rule["x-component"]["by"] + ": …}"]
    if "anyOf" in rule:
        return [words for branch in rule["anyOf"] for words in _alternatives(branch, shapes)]
    if "const" in rule or "enum" in rule:
        return [show(choice) for choice in choices(rule)]
    if rule.get("type") == "array":
        return [_list_words(rule, shapes)]
    if rule.get("format") in ("path", "file-path", "directory-path"):
        return ["a path"]
    return TYPE_WORDS.get(rule.get("type", ""), "a value").split(" or ")


def _list_words(rule: Rule, shapes: Shapes) -> str:
    item = shapes.resolve((rule.get("prefixItems") or [rule.get("items", {})])[0])
    of = PLURALS.get(item.get("type", ""))
    if rule.get("minItems") and rule.get("minItems") == rule.get("maxItems"):
        return f"a list of {rule['minItems']} {of or 'items'}"
    return f"a list of {of}" if of else "a list"


def choices(rule: Rule) -> list[Any]:
    """The values that a rule names one by one."""
    return [rule["const"]] if "const" in rule else list(rule.get("enum", []))


def either(words: Iterable[str]) -> str:
    """Alternatives in one phrase, each once.

    >>> either(["a number", "'auto'", "a number", "null"])
    "a number, 'auto' or null"
    """
    *rest, last = dict.fromkeys(words)
    return f"{', '.join(rest)} or {last}" if rest else last


def type_hint(value: Any, wanted: set[str]) -> str | None:
    """What to write instead, where a value has the wrong one of two types that are easily confused.

    >>> type_hint("yes", {"boolean"}), type_hint("64", {"integer"}), type_hint(3, {"string"}), type_hint("a", {"array"})
    ('write true or false', 'write 64 without quotes', "write '3' in quotes", 'write [a]')
    """
    if isinstance(value, str) and "boolean" in wanted and value.lower() in ("yes", "no", "on", "off", "y", "n"):
        return "write true or false"
    if isinstance(value, str) and wanted & {"integer", "number"} and _is_number(value):
        return (
            f"write {value.replace('_', '')} without quotes" if "_" not in value else f"write {value.replace('_', '')}"
        )
    if isinstance(value, (bool, int, float)) and "string" in wanted:
        return f"write '{show(value)}' in quotes"
    if "array" in wanted and isinstance(value, (str, int, float)):
        return f"write [{value}]"
    if isinstance(value, float) and "integer" in wanted and math.isfinite(value) and value == int(value):
        return f"write {int(value)}"
    return None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
