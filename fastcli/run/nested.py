"""Nested values with tensors in them, as JSON and named tensors: what an optimizer's state is without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastcli.errors import FastcliError

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = (str, int, float, bool, type(None))


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
