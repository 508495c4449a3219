"""What differs between configurations, compared by their values and not by how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcli.config.trust import Trust


def values_of_file(path: Path, trust: Trust | None = None) -> dict[str, Any]:
    """Every value of a configuration, defaults included; its data need not be there.

    Raises InvalidConfigError as `load` does.
    """
    from fastcli.config.load import load

    return load(path, check_files=False, trust=trust).with_defaults().model_dump(mode="json")


def values_of_run(resolved: Path) -> dict[str, Any]:
    """Every value of a run's resolved configuration, read as it is, without the plugins that it may name.

    Raises InvalidConfigError where the file is missing or damaged.
    """
    from fastcli.config.problems import Problems
    from fastcli.config.source_file import read_yaml

    problems = Problems()
    tree = read_yaml(str(resolved), problems)
    problems.raise_if_any()
    assert tree is not None  # else there is a problem
    values: dict[str, Any] = tree.plain()
    return values


def differences(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The dotted keys whose values are not the same everywhere, with the value in each; `MISSING` where there is none.

    >>> differences([{"train": {"epochs": 1}, "loss": None}, {"train": {"epochs": 5}, "loss": None}])
    {'train.epochs': [1, 5]}
    """
    flat = [dict(_flat(config)) for config in configs]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = {key: [one.get(key, MISSING) for one in flat] for key in keys}
    return {key: values for key, values in found.items() if any(_differ(values[0], value) for value in values[1:])}


class _Missing:
    def __repr__(self) -> str:
        return "-"


MISSING = _Missing()
"""Stands for a key that one configuration has and another has not."""


def _differ(first: Any, second: Any) -> bool:
    """Whether two values differ; a number and a truth value do, 1 and 1.0 do not.

    >>> _differ(1, 1.0), _differ([1], [1]), _differ(1, True), _differ(2e-3, 0.002)
    (False, False, True, False)
    """
    return isinstance(first, bool) != isinstance(second, bool) or first != second


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted key. A list of components is taken apart where it has any, and a list of scalars is a value."""
    if isinstance(value, dict) and value:
        for part, inner in value.items():
            yield from _flat(inner, f"{key}.{part}" if key else str(part))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for i, inner in enumerate(value):
            yield from _flat(inner, f"{key}.{i}")
    else:
        yield key, value
