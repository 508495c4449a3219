"""Param groups: one learning rate per layer group, and no weight decay for norms and biases.

    optimizer = adam(parameter_groups([model.body, model.head]))
    set_hyper(optimizer, "lr", slice(1e-4, 1e-2))

Every param group carries `layer` (0 is nearest the input) and `decays`: a group that does not decay keeps a weight
decay of 0 whatever is set or scheduled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from fastcli.errors import ConfigError, FastcliError, did_you_mean

Layer: TypeAlias = nn.Module | Sequence[nn.Parameter]
Rate: TypeAlias = float | slice | Sequence[float]
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")


def parameter_groups(layers: Sequence[Layer], *, decay_norm_bias: bool = False) -> list[dict[str, Any]]:
    """For each layer a group that decays and one that does not (norms, biases, anything of at most one dimension).

    Frozen parameters are kept, since they may be unfrozen later; one shared inside a layer is counted once. Raises
    FastcliError for a parameter that belongs to two layers.

    >>> body, head = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), nn.Linear(8, 2)
    >>> [(group["layer"], group["decays"], len(group["params"])) for group in parameter_groups([body, head])]
    [(0, True, 1), (0, False, 3), (1, True, 1), (1, False, 1)]
    """
    _check_disjoint(layers)
    groups: list[dict[str, Any]] = []
    for index, layer in enumerate(layers):
        split: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter, decays in dict(_members(layer)).items():
            split[decays or decay_norm_bias].append(parameter)
        if split[True]:
            groups.append({"params": split[True], "layer": index, "decays": True})
        if split[False]:
            groups.append({"params": split[False], "layer": index, "decays": False, "weight_decay": 0.0})
    return groups


def _members(layer: Layer) -> Iterator[tuple[nn.Parameter, bool]]:
    """Each parameter of `layer`, and whether it decays."""
    if not isinstance(layer, nn.Module):
        yield from ((parameter, parameter.ndim > 1) for parameter in layer)
        return
    for module in layer.modules():
        for name, parameter in module.named_parameters(recurse=False):
            yield parameter, parameter.ndim > 1 and name != "bias" and not isinstance(module, NORMS)


def _check_disjoint(layers: Sequence[Layer]) -> None:
    owners: dict[nn.Parameter, int] = {}
    for index, layer in enumerate(layers):
        for parameter, _ in _members(layer):
            owner = owners.setdefault(parameter, index)
            if owner != index:
                raise FastcliError(
                    f"a parameter of shape {tuple(parameter.shape)} belongs to layers {owner} and {index}",
                    hint="put modules that share a parameter into one layer",
                )


def spread(rate: Rate, n: int) -> list[float]:
    """One value for each of `n` layers, from the input to the head.

    A number serves all; slice(low, high) rises geometrically; slice(high) gives a tenth of it to all but the head; a
    sequence must have `n` values. Raises ConfigError for what cannot be spread.

    >>> spread(0.1, 2), spread(slice(0.1), 3), spread([1.0, 2.0], 2)
    ([0.1, 0.1], [0.01, 0.01, 0.1], [1.0, 2.0])
    >>> [round(value, 9) for value in spread(slice(1e-5, 1e-3), 3)]
    [1e-05, 0.0001, 0.001]
    """
    if isinstance(rate, slice):
        if rate.stop is None or rate.step is not None or (rate.start is not None and rate.start * rate.stop <= 0):
            raise ConfigError(f"cannot spread {rate} over {n} layers", hint="write slice(high) or slice(low, high)")
        if rate.start is None:
            return [rate.stop / 10] * (n - 1) + [rate.stop]
        return [rate.stop * (rate.start / rate.stop) ** ((n - 1 - index) / max(n - 1, 1)) for index in range(n)]
    if isinstance(rate, (list, tuple, Sequence)):  # the first two are known at once, the last by a search
        if len(rate) != n:
            raise ConfigError(f"{len(rate)} values for {n} layers", hint=f"give one number, or {n}")
        return [float(value) for value in rate]
    return [float(rate)] * n


def layers_of(optimizer: torch.optim.Optimizer) -> list[int]:
    """The layer of each param group; the group's own place where no group names a layer."""
    return [group.get("layer", index) for index, group in enumerate(optimizer.param_groups)]


def hyperparameters(optimizer: torch.optim.Optimizer) -> list[str]:
    """The names that `set_hyper` can set: the numbers that every param group has.

    >>> hyperparameters(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    ['dampening', 'lr', 'momentum', 'weight_decay']
    """
    numbers = [{name for name, value in group.items() if _is_number(value)} for group in optimizer.param_groups]
    return sorted(set.intersection(*numbers) - {"layer"})


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, int, Tensor)) and not isinstance(value, bool)


def set_hyper(optimizer: torch.optim.Optimizer, name: str, rate: Rate) -> None:
    """Set the hyperparameter `name` of every param group to its layer's value, in place.

    A weight decay of 0 stays where a group does not decay. Raises ConfigError where there is no such hyperparameter.

    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> set_hyper(optimizer, "lr", 0.2)
    >>> optimizer.param_groups[0]["lr"]
    0.2
    """
    layers = layers_of(optimizer)
    values = spread(rate, max(layers) + 1)
    for layer, group in zip(layers, optimizer.param_groups, strict=True):
        old = group.get(name)
        if not _is_number(old):
            hint = did_you_mean(name, hyperparameters(optimizer))
            raise ConfigError(f"the optimizer has no hyperparameter {name!r}", hint=hint)
        if name == "weight_decay" and not group.get("decays", True):
            continue
        if isinstance(old, Tensor):
            old.fill_(values[layer])
        else:
            group[name] = values[layer]


def as_groups(params: Any) -> list[dict[str, Any]]:
    """What torch takes as `params` (tensors, pairs of name and tensor, or param groups) as param groups with lists.

    >>> [len(group["params"]) for group in as_groups(torch.nn.Linear(2, 2).parameters())]
    [2]
    """
    groups = list(params)
    if groups and not isinstance(groups[0], dict):
        groups = [{"params": groups}]
    return [{**group, "params": _as_list(group["params"])} for group in groups]


def _as_list(params: Any) -> list[Any]:
    return [params] if isinstance(params, Tensor) else list(params)


def can_fuse(groups: list[dict[str, Any]]) -> bool:
    """Whether torch has fused kernels for these parameters that give the same numbers as the separate pieces.

    In half precision they do not (they round less often), and they cannot walk through memory with gaps.

    >>> can_fuse([{"params": [torch.zeros(3)]}]), can_fuse([{"params": [torch.zeros(3).half()]}])
    (True, False)
    """
    entries = [entry for group in groups for entry in group["params"]]
    return all(_fusible(entry[1] if isinstance(entry, tuple) else entry) for entry in entries)


def _fusible(parameter: Tensor) -> bool:
    dense = torch.empty_like(parameter).stride() == parameter.stride()
    return dense and parameter.dtype in (torch.float32, torch.float64) and parameter.device.type in FUSED_DEVICES
