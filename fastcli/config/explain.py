"""What a key or a component means, in words, from the shipped schema: neither torch nor pydantic is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastcli.config.shapes import ANY_NAME, Rule, Shapes
from fastcli.config.words import choices, expected
from fastcli.errors import UsageError, did_you_mean

PLACES = {
    "items": "data: {items: %s}",
    "target": "data: {target: %s}",
    "label": "data: {label: %s}",
    "split": "data: {split: %s}",
    "item_transform": "data: {item_transforms: [%s]}",
    "batch_transform": "data: {batch_transforms: [%s]}",
    "model": "model: %s",
    "loss": "loss: %s",
    "optimizer": "optimizer: %s",
    "metric": "metrics: [%s]",
    "recipe": "train: %s",
    "callback": "callbacks: [%s]",
}
"""How a component of each kind is written."""
EXAMPLES: dict[str, Any] = {
    "pattern": "^(.+)_\\d+", "path": "valid.txt", "valid": [0, 5], "size": 224, "target_size": [224, 224],
    "min_size": 192, "max_size": 256, "kernel_size": 3, "padding": 4, "quality": 80, "degrees": 10, "bits": 4,
    "sharpness_factor": 2.0, "threshold": 0.5, "base": "adam", "algorithm": "nadamw", "beta": 2.0, "p": 3.0,
    "train_pct": 0.5, "hyperparameter": "lr",
}  # fmt: skip
"""Values to show for parameters that have no default."""
BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
    "minItems": "at least so many:", "maxItems": "at most so many:",
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """A key of a section or component."""

    name: str
    allowed: str
    default: str | None
    """As YAML; None where a value must be given."""
    about: str = ""

    @property
    def shown_default(self) -> str:
        """The default, or that there is none."""
        return "(required)" if self.default is None else self.default


@dataclass(frozen=True)
class Part:
    """A registered component."""

    kind: str
    name: str
    about: str
    parameters: list[Parameter] = field(default_factory=list)
    example: str = ""

    @property
    def signature(self) -> str:
        """The name with its parameters and defaults.

        >>> Part("metric", "top_k", "", [Parameter("k", "any", "5"), Parameter("of", "text", None)]).signature
        'top_k(k=5, of)'
        """
        inside = (p.name if p.default is None else f"{p.name}={p.default}" for p in self.parameters)
        return f"{self.name}({', '.join(inside)})"


def parts(shapes: Shapes) -> list[Part]:
    """All components by kind and name."""
    found = [part(shapes, kind, name) for kind, name, _ in shapes.components()]
    order = list(PLACES)
    return sorted(found, key=lambda one: (order.index(one.kind) if one.kind in order else 99, one.name))


def part(shapes: Shapes, kind: str, name: str) -> Part:
    """One component."""
    rule = shapes.definitions[f"{kind}.{name}"]
    by = shapes.definitions[kind]["x-component"]["by"]
    inside = parameters(rule, shapes, leave_out=by)
    return Part(kind, name, rule.get("description", ""), inside, _example(kind, name, by, rule, shapes))


def parameters(rule: Rule, shapes: Shapes, leave_out: str = "") -> list[Parameter]:
    """The keys of a section or a component."""
    return [
        Parameter(name, allowed(inner, shapes), _default(inner, shapes), shapes.resolve(inner).get("description", ""))
        for name, inner in rule.get("properties", {}).items()
        if name != leave_out
    ]


def allowed(rule: Rule, shapes: Shapes) -> str:
    """What may be written, with its bounds: "a number, at least 0 and below 1, or null"."""
    rule = shapes.resolve(rule)
    branches = [rule] if "x-component" in rule else [shapes.resolve(one) for one in rule.get("anyOf", [rule])]
    limits = list(dict.fromkeys(f"{word} {one[key]:g}" for one in branches for key, word in BOUNDS.items()
                                if key in one and one.get("minItems") != one.get("maxItems", object())))  # fmt: skip
    words = expected(rule, shapes)
    return f"{words} ({' and '.join(limits)})" if limits else words


def _default(rule: Rule, shapes: Shapes) -> str | None:
    rule = shapes.resolve(rule)
    return as_yaml(rule["default"]) if "default" in rule else None


def as_yaml(value: Any) -> str:
    """A value as it is written on one line.

    >>> as_yaml({"name": "adam", "lr": 1e-3}), as_yaml([0.95, None, True]), as_yaml(""), as_yaml("no: 1")
    ('{name: adam, lr: 0.001}', '[0.95, null, true]', "''", "'no: 1'")
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {as_yaml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        bare = (
            value and all(c.isalnum() or c in "_-./" for c in value) and not value[0].isdigit() and value[0] not in "-."
        )
        return value if bare else "'" + value.replace("'", "''") + "'"
    return str(value)


def _example(kind: str, name: str, by: str, rule: Rule, shapes: Shapes) -> str:
    """A line of YAML that works: the parameters without a default, and else the first two with theirs."""
    needed = [key for key in rule.get("required", []) if key != by]
    optional = [key for key, inner in rule["properties"].items() if key != by and key not in needed
                and shapes.resolve(inner).get("default") is not None]  # fmt: skip
    shown = "resnet34" if (kind, name) == ("model", "timm") else name
    values = {by: shown, **{key: _value(key, rule["properties"][key], shapes) for key in needed}}
    values |= {key: shapes.resolve(rule["properties"][key])["default"] for key in optional[: max(0, 2 - len(needed))]}
    return PLACES.get(kind, f"{kind}: %s") % (as_yaml(values) if len(values) > 1 else shown)


def _value(key: str, rule: Rule, shapes: Shapes) -> Any:
    """A value that the rule allows."""
    if key in EXAMPLES:
        return EXAMPLES[key]
    rule = shapes.unwrap(rule)
    rule = shapes.resolve(rule["anyOf"][0]) if "anyOf" in rule else rule
    if "enum" in rule or "const" in rule:
        return choices(rule)[0]
    plain: dict[str, Any] = {
        "integer": max(1, rule.get("minimum", 1)),
        "number": 0.1,
        "boolean": True,
        "string": "name",
    }
    if rule.get("type") == "array":
        items = rule.get("prefixItems") or [rule.get("items", {})] * max(1, rule.get("minItems", 1))
        return [_value("", item, shapes) for item in items]
    return plain.get(rule.get("type", ""), {})


@dataclass(frozen=True)
class Explanation:
    """What there is to say of a key."""

    key: str
    about: str
    allowed: str
    default: str | None
    keys: list[Parameter] = field(default_factory=list)
    """Of a section or a component: what stands in it."""
    choices: list[Part] = field(default_factory=list)
    """Of a place for a component: which there are; of a parameter: which have it, if not all mean the same."""


def explain(shapes: Shapes, key: str) -> Explanation:
    """The meaning of a dotted key such as `data.batch_size`, `optimizer.lr` or `optimizer.adamw.lr`.

    Raises UsageError, with the nearest key, where there is none.
    """
    words = [word for word in key.strip().split(".") if not word.isdecimal()]
    rule, done = shapes.schema, list[str]()
    for place, word in enumerate(words):
        rule = _entered(rule, shapes)
        mark = rule.get("x-component")
        if mark is not None:
            return _in_component(shapes, mark["kind"], words[place:], key)
        if word not in rule.get("properties", {}):
            raise _unknown(shapes, key, rule.get("properties", {}), done)
        rule = rule["properties"][word]
        done.append(word)
    return _of_rule(shapes, ".".join(words), rule)


def _entered(rule: Rule, shapes: Shapes) -> Rule:
    """The rule of what stands in a section, or of an item of a list."""
    rule = shapes.unwrap(rule)
    return shapes.unwrap(rule["items"]) if rule.get("type") == "array" and "items" in rule else rule


def _of_rule(shapes: Shapes, key: str, rule: Rule) -> Explanation:
    shown = shapes.resolve(rule)
    inner = _entered(rule, shapes)
    mark = inner.get("x-component")
    choices = [part(shapes, mark["kind"], name) for name in shapes.names(mark["kind"])] if mark is not None else []
    keys = parameters(inner, shapes) if mark is None else []
    about = shown.get("description", "")
    return Explanation(key, about, allowed(rule, shapes), _default(rule, shapes), keys, choices)


def _in_component(shapes: Shapes, kind: str, words: Sequence[str], key: str) -> Explanation:
    """The meaning of words behind a component's place: perhaps its name, and a parameter."""
    word, *rest = words
    mark = shapes.definitions[kind]["x-component"]
    if word == mark["by"] and not rest:
        choices = [part(shapes, kind, name) for name in shapes.names(kind)]
        return Explanation(key, f"Which {kind.replace('_', ' ')}.", "a name", mark.get("unnamed"), [], choices)
    names = shapes.names(kind)
    if word in names:
        one = part(shapes, kind, word)
        if not rest:
            return Explanation(key, one.about, "", None, one.parameters)
        names, word = [word], rest[0]
    having = [part(shapes, kind, name) for name in names]
    having = [one for one in having if any(p.name == word for p in one.parameters)]
    if not having:
        known = [*shapes.names(kind), *(p.name for name in names for p in part(shapes, kind, name).parameters)]
        raise UsageError(f"there is no key {key!r}", hint=did_you_mean(word, known))
    found = [next(p for p in one.parameters if p.name == word) for one in having]
    default = _default_name(shapes, kind, [one.name for one in having])
    main = found[default]
    several = [] if len({(p.allowed, p.default) for p in found}) == 1 and len(found) == len(names) else having
    return Explanation(
        key, main.about or f"A parameter of {having[default].name}.", main.allowed, main.default, [], several
    )


def _default_name(shapes: Shapes, kind: str, names: Sequence[str]) -> int:
    """The place of the kind's default component among the names."""
    usual = shapes.definitions[kind]["x-component"].get("unnamed")
    return names.index(usual) if usual in names else 0


def _unknown(shapes: Shapes, key: str, known: Rule, done: Sequence[str]) -> UsageError:
    word = key.split(".")[len(done)]
    elsewhere = [one for one in all_keys(shapes) if one.rpartition(".")[2] == word]
    if elsewhere:
        return UsageError(f"there is no key {key!r}", hint=f"did you mean {elsewhere[0]!r}?")
    near = did_you_mean(word, known)
    where = ".".join(done)
    return UsageError(f"there is no key {word!r}{f' in {where}' if where else ''}", hint=near)


def all_keys(shapes: Shapes) -> list[str]:
    """The dotted keys of all sections and of the parameters of all components, each once."""
    return list(dict.fromkeys(_keys(shapes, shapes.schema, "")))


def _keys(shapes: Shapes, rule: Rule, prefix: str) -> Iterator[str]:
    rule = shapes.unwrap(rule)
    mark = rule.get("x-component")
    if mark is not None:
        every = shapes.definitions.get(f"{mark['kind']}.{ANY_NAME}")
        definitions = (
            [every] if every else [shapes.definitions[f"{mark['kind']}.{n}"] for n in shapes.names(mark["kind"])]
        )
        yield from (f"{prefix}{name}" for one in definitions for name in one["properties"])
        return
    for name, inner in rule.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _keys(shapes, inner, f"{prefix}{name}.")
