"""Nested values with tensors in them, as JSON and named tensors: what an optimizer's state is without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastcli.errors import FastcliError

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = (str, int, float, bool, type(None))
STATE = "state"
"""The key of a state among the JSON values of a checkpoint, and what the names of its tensors begin with."""


def split_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON; its tensors go into `tensors`, named by their place below `name`.

    Dictionaries (their keys too), lists, tuples, numbers, words and tensors come back from `join_tensors` as they were.
    Raises FastcliError for anything else.

    >>> import torch
    >>> found = {}
    >>> split_tensors({0: {"betas": (0.9, 0.99), "average": torch.zeros(2)}}, "state", found)["dict"][0][1]["dict"][1]
    ['average', {'tensor': 'state/0/average'}]
    >>> list(found)
    ['state/0/average']
    """
    import torch

    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, list | tuple):
        parts = [split_tensors(part, f"{name}/{i}", tensors) for i, part in enumerate(value)]
        return parts if isinstance(value, list) else {"tuple": parts}
    if isinstance(value, Mapping) and all(isinstance(key, PLAIN) for key in value):
        return {"dict": [[key, split_tensors(part, f"{name}/{key}", tensors)] for key, part in value.items()]}
    raise FastcliError(
        f"{name} is a {type(value).__name__}, which cannot be saved: only numbers, words and tensors can"
    )


def join_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that `split_tensors` made this JSON of. Raises KeyError where a tensor is missing."""
    if isinstance(value, list):
        return [join_tensors(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(join_tensors(part, tensors) for part in content)
    return {key: join_tensors(part, tensors) for key, part in content}


def packed(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """A learner's state as tensors and JSON; those of the model keep their own names, for whoever wants these alone.

    Raises FastcliError for values that cannot be saved.
    """
    rest = {name: value for name, value in state.items() if name != "model"}
    tensors: dict[str, Tensor] = {}
    described = split_tensors(rest, STATE, tensors)
    return {**state["model"], **tensors}, described


def unpacked(tensors: Mapping[str, Tensor], described: Any) -> dict[str, Any]:
    """The state that `packed` made these of; all of a plain checkpoint's tensors are the model's."""
    return {**(join_tensors(described, tensors) if described else {}), "model": model_tensors(tensors)}


def model_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a checkpoint that are the model's own."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{STATE}/")}
