"""A configuration as YAML text that reads the same under YAML 1.1 and 1.2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from fastcli.config.marks import Key
from fastcli.config.models import Config
from fastcli.config.paths import as_written
from fastcli.config.problems import Problems
from fastcli.config.yaml_reader import CORE_SCHEMA, parse

LINE_BREAKS = re.compile("[\n\r\x85\u2028\u2029]")


class Dumper(yaml.SafeDumper):
    """Quotes every text that either version of YAML takes for something else: `no`, `1e-3`, `on`, a date."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: everything is written out."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A text with line breaks is written in one line, so that each value has one."""
    style = '"' if LINE_BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _represent_text)
for _tag, _pattern, _first in CORE_SCHEMA:
    Dumper.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def dump(config: Config, notes: Mapping[Key, str] | None = None) -> str:
    """YAML that `load` reads to an equal configuration; `notes` by key become comments behind the values."""
    text = to_yaml(_without_secrets(config.model_dump(mode="python")))
    return text if notes is None else _annotate(text, notes)


def _without_secrets(value: Any) -> Any:
    """The values as they may be kept: secrets out of the environment stay there."""
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    return as_written(value) if isinstance(value, str) else value


def to_yaml(data: Any) -> str:
    """Plain data as YAML text in block style, keys in their own order.

    >>> print(to_yaml({"lr": 1e-05, "names": ["no", "1e-3"], "tags": []}), end="")
    lr: 1.0e-05
    names:
    - 'no'
    - '1e-3'
    tags: []
    """
    dumped: str = yaml.dump(
        data, Dumper=Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=float("inf")
    )
    return dumped


def _annotate(text: str, notes: Mapping[Key, str]) -> str:
    """The text with each note as a comment at the end of its value's line."""
    tree = parse(text, "", Problems())
    assert tree is not None  # it is our own text
    lines = text.splitlines()
    for key, node in tree.walk():
        if key in notes and not (isinstance(node.value, (dict, list)) and node.value):
            lines[node.place.line - 1] += f"  # {notes[key]}"
    return "\n".join(lines) + "\n"
