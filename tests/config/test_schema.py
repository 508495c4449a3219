import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from fastcli.components import load_components
from fastcli.config import models
from fastcli.config.schema import generate, to_text
from fastcli.config.shapes import Shapes, shipped_text
from fastcli.registry import REGISTRIES, Registry


def test_the_shipped_schema_is_current():
    made = generate(load_components())
    assert to_text(made) == shipped_text(), "renew it with `fastcli config schema --write`"


def test_every_key_is_described():
    schema = json.loads(shipped_text())
    sections = [
        schema,
        *(rule for name, rule in schema["$defs"].items() if name.endswith("Section") or name == "Statistics"),
    ]
    assert len(sections) == 6
    for section in sections:
        for key, rule in section["properties"].items():
            assert rule.get("description"), key


def test_every_component_is_described():
    for kind, name, rule in Shapes.shipped().components():
        assert rule["description"], f"{kind}.{name}"


def test_every_reference_has_a_target_and_every_choice_an_end():
    schema = json.loads(shipped_text())

    def visit(rule):
        if isinstance(rule, dict):
            if "$ref" in rule:
                assert rule["$ref"].removeprefix("#/$defs/") in schema["$defs"]
            assert rule.get("anyOf", True)
            for inner in rule.values():
                visit(inner)
        elif isinstance(rule, list):
            for inner in rule:
                visit(inner)

    visit(schema)


@dataclass
class Point:
    x: float
    y: float = 0.0


class Opaque:
    pass


OPAQUE = Opaque()


def shape(target: Any, /, size: Annotated[int, Field(ge=1)], kind: Literal["a", "b"] = "a", at: Point | None = None,
          pair: tuple[float, float] = (0.0, 1.0), call: Opaque = OPAQUE, name_of: dict[str, float] | None = None,
          file: Path | None = None):  # fmt: skip
    """A loss with one of
    everything.

    More words.
    """


def plain(target: Any, /, lr: float = 0.1):
    """Has no required parameter."""


@pytest.fixture
def schema():
    losses = Registry("loss", given=("target",))
    losses(shape)
    losses(plain)
    return generate({**{kind: Registry(kind) for kind in REGISTRIES}, "loss": losses})


def test_a_signature_becomes_a_closed_object(schema):
    made = schema["$defs"]["loss.shape"]
    assert made["description"] == "A loss with one of everything."
    assert made["required"] == ["name", "size"]
    assert made["additionalProperties"] is False
    assert made["properties"] == {
        "name": {"const": "shape"},
        "size": {"type": "integer", "minimum": 1},
        "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "at": {"anyOf": [{"$ref": "#/$defs/loss.shape:Point"}, {"type": "null"}], "default": None},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "number"}, {"type": "number"}],
            "minItems": 2,
            "maxItems": 2,
            "default": [0.0, 1.0],
        },
        "call": {},
        "name_of": {
            "anyOf": [{"type": "object", "additionalProperties": {"type": "number"}}, {"type": "null"}],
            "default": None,
        },
        "file": {"anyOf": [{"type": "string", "format": "path"}, {"type": "null"}], "default": None},
    }
    assert schema["$defs"]["loss.shape:Point"]["required"] == ["x"]


def test_a_component_is_offered_bare_only_where_that_is_enough(schema):
    assert schema["$defs"]["loss"]["anyOf"] == [
        {"description": "Has no required parameter.", "const": "plain"},
        {"$ref": "#/$defs/loss.plain"},
        {"$ref": "#/$defs/loss.shape"},
    ]
    assert schema["properties"]["loss"]["anyOf"] == [{"$ref": "#/$defs/loss"}, {"type": "null"}]


def test_kinds_of_the_places_are_kinds_of_registries():
    kinds = {name for name, rule in Shapes.shipped().definitions.items() if "x-component" in rule}
    assert kinds == set(REGISTRIES)


def test_recipes_share_a_rule_for_when_none_is_named():
    recipes = Registry("recipe", given=("learner",))

    def one(learner: Any, /, epochs: int = 1, lr: float = 0.1):
        """First."""

    def two(learner: Any, /, epochs: int, cycles: str = "a"):
        """Second."""

    recipes(one)
    recipes(two)
    both = generate({"recipe": recipes})["$defs"]["recipe.*"]
    assert both["required"] == []
    assert both["properties"] == {
        "recipe": {"type": "null"},
        "epochs": {"type": "integer"},
        "lr": {"type": "number"},
        "cycles": {"type": "string"},
    }


def test_timm_takes_all_names_that_are_not_taken():
    shapes = Shapes.shipped()
    timm = shapes.component(shapes.mark_at(("model",)), "resnet18")
    assert timm["properties"]["name"]["not"] == {"enum": ["linear", "mlp", "unet"]}
    assert "architecture" not in timm["properties"]
    assert timm["required"] == ["name"]
    assert shapes.component(shapes.mark_at(("model",)), "mlp")["properties"]["name"] == {"const": "mlp"}


def test_all_models_are_exported():
    sections = {
        cls.__name__ for cls in vars(models).values() if isinstance(cls, type) and cls.__module__ == models.__name__
    }
    assert set(models.__all__) == sections - {"Section"}
