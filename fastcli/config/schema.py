"""The JSON schema of a configuration, made from the models and from the signatures of all components.

It ships as `schema.json`: editors complete and explain keys by it, and files are checked against it without importing
torch. `fastcli config schema --write` renews it; a test holds it to the code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import core_schema

from fastcli.config.models import Config
from fastcli.config.shapes import ANY_NAME, Rule
from fastcli.registry import Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Without titles that repeat the key; what JSON cannot say (a tensor, a function) may be anything."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:
        return {}


def generate(registries: Mapping[str, Registry]) -> Rule:
    """The schema for the components that are registered. `registries` by kind, as `registry.REGISTRIES`."""
    schema = Config.model_json_schema(schema_generator=_Generator)
    schema["properties"] = {"extends": _EXTENDS, **schema["properties"]}
    marks = _marks(schema)
    for kind, mark in marks.items():
        schema["$defs"][kind] = {"x-component": mark}
    _refer(schema)
    for kind, registry in registries.items():
        for name in registry:
            add_component(schema, kind, registry, name)
    return {"$schema": DIALECT, **schema}


_EXTENDS = {
    "description": "A file, or a list of files, that this one is laid over: maps merge, lists replace.",
    "anyOf": [{"type": "string", "format": "path"}, {"type": "array", "items": {"type": "string", "format": "path"}}],
}


def to_text(schema: Rule) -> str:
    """The schema as it is shipped."""
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def _marks(schema: Any) -> dict[str, Rule]:
    """All `x-component` marks below a schema by their kind."""
    if isinstance(schema, dict):
        own = {schema["x-component"]["kind"]: schema["x-component"]} if "x-component" in schema else {}
        return {key: mark for value in schema.values() for key, mark in _marks(value).items()} | own
    if isinstance(schema, list):
        return {key: mark for value in schema for key, mark in _marks(value).items()}
    return {}


def _refer(schema: Any) -> None:
    """Replace each mark in a section by a reference to the definition of its kind."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "$defs":
                for section in value.values():
                    if "x-component" not in section:
                        _refer(section)
            else:
                _refer(value)
        if "x-component" in schema:
            schema["$ref"] = f"#/$defs/{schema.pop('x-component')['kind']}"
    elif isinstance(schema, list):
        for value in schema:
            _refer(value)


def add_component(schema: Rule, kind: str, registry: Registry, name: str) -> None:
    """Put the definition of one component into the schema, and its name among the choices of its kind."""
    definitions = schema["$defs"]
    mark = definitions[kind]["x-component"]
    definition = _definition(kind, registry, name, definitions)
    selector: Rule = {"const": name}
    if "other" in mark and name == mark["other"][0]:
        own = [other for other in registry if other != name]
        selector = {"type": "string", "not": {"enum": own}, "description": definition["description"]}
        definition["properties"].pop(mark["other"][1])
        definition["required"].remove(mark["other"][1])
    if name != mark.get("unnamed"):
        definition["required"].insert(0, mark["by"])
    definition["properties"] = {mark["by"]: selector, **definition["properties"]}
    definitions[f"{kind}.{name}"] = definition
    if mark.get("unnamed") == ANY_NAME:
        _widen(definitions, f"{kind}.{ANY_NAME}", definition, mark["by"])
    definitions[kind] = {"x-component": mark, "anyOf": _choices(kind, definitions, mark)}


def _definition(kind: str, registry: Registry, name: str, definitions: Rule) -> Rule:
    """A component's parameters as a closed object, described by the first sentence of its docstring."""
    template = f"#/$defs/{kind}.{name}:{{model}}"
    made = registry.schema(name).model_json_schema(schema_generator=_Generator, ref_template=template)
    for inner, rule in made.pop("$defs", {}).items():
        definitions[f"{kind}.{name}:{inner}"] = rule
    paragraph = " ".join((inspect.getdoc(registry[name]) or "").partition("\n\n")[0].split())
    return {
        "type": "object",
        "description": paragraph,
        "properties": made.get("properties", {}),
        "required": made.get("required", []),
        "additionalProperties": False,
    }


def _widen(definitions: Rule, name: str, definition: Rule, by: str) -> None:
    """Let the component without a name take the parameters of this one too."""
    start = {"type": "object", "properties": {by: {"type": "null"}}, "required": [], "additionalProperties": False}
    properties = definitions.setdefault(name, start)["properties"]
    for key, rule in definition["properties"].items():
        if key == by:
            continue
        bare = {word: value for word, value in rule.items() if word != "default"}
        before = properties.get(key)
        if before is None:
            properties[key] = bare
        elif bare != before and bare not in before.get("anyOf", []):
            properties[key] = {"anyOf": [*before.get("anyOf", [before]), bare]}


def _choices(kind: str, definitions: Rule, mark: Rule) -> list[Rule]:
    """The ways to write a component: a bare name where no parameter is required, or one of the mappings."""
    starts = f"{kind}."
    found = {name: rule for name, rule in definitions.items() if name.startswith(starts) and ":" not in name}
    bare: list[Rule] = []
    for rule in found.values():
        selector = rule["properties"][mark["by"]]
        if selector.get("type") != "null" and not set(rule["required"]) - {mark["by"]}:
            bare.append({"description": rule["description"], **selector})
    return [*bare, *({"$ref": f"#/$defs/{name}"} for name in found)]
