"""The optimizers that YAML can name: each is the list of its pieces.

`momentum` and `beta2` are plain numbers in every param group, torch's own optimizers included, so that a schedule
writes them as it writes `lr`. `fused: null` takes one kernel for the whole list where torch has it: the same numbers in
a fraction of the time (`benchmarks/optimizer.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from fastcli.optim import stats, steppers
from fastcli.optim.optimizer import Optimizer, Piece, laid_out_like
from fastcli.registry import optimizers

Fraction = Annotated[float, Field(ge=0, lt=1)]
FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")


@optimizers
def sgd(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-2,
    momentum: Fraction = 0.0,
    weight_decay: NonNegativeFloat = 0.0,
    decoupled: bool = True,
    nesterov: bool = False,
    fused: bool | None = None,
) -> Optimizer:
    """Stochastic gradient descent with momentum; `decoupled` weight decay as in fastai, else L2 as in torch."""
    groups = as_groups(params)
    first = steppers.decay if decoupled else steppers.add_decay
    if can_fuse(groups) if fused is None else fused:
        pieces: list[Piece] = [first, steppers.fused_nesterov if nesterov else steppers.fused_sgd]
    else:
        pieces = [first, stats.velocity, steppers.nesterov if nesterov else steppers.heavy_ball, steppers.descend]
    return Optimizer(groups, pieces, lr=lr, momentum=momentum, weight_decay=weight_decay)


@optimizers
def adam(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.99,
    eps: NonNegativeFloat = 1e-5,
    weight_decay: NonNegativeFloat = 0.01,
    decoupled: bool = True,
    fused: bool | None = None,
) -> Optimizer:
    """Adam with fastai's defaults and `decoupled` weight decay (AdamW); not decoupled it is L2, as in torch's Adam."""
    groups = as_groups(params)
    adapt: list[Piece] = [stats.average, stats.average_square, steppers.adam_direction, steppers.descend]
    if can_fuse(groups) if fused is None else fused:
        pieces: list[Piece] = [steppers.fused_adamw if decoupled else steppers.fused_adam]
    else:
        pieces = [steppers.decay if decoupled else steppers.add_decay, *adapt]
    return Optimizer(groups, pieces, lr=lr, momentum=momentum, beta2=beta2, eps=eps, weight_decay=weight_decay)


@optimizers
def torch_sgd(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.0,
    weight_decay: NonNegativeFloat = 0.0,
    nesterov: bool = False,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """`torch.optim.SGD`, with torch's defaults and L2 weight decay."""
    groups = as_groups(params)
    fused = can_fuse(groups) if fused is None else fused
    optimizer = torch.optim.SGD(groups, lr, momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused)
    return _with_plain_numbers(optimizer)


@optimizers
def torch_adam(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: NonNegativeFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    amsgrad: bool = False,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """`torch.optim.Adam`, with torch's defaults and L2 weight decay."""
    groups = as_groups(params)
    fused = can_fuse(groups) if fused is None else fused
    return _with_plain_numbers(torch.optim.Adam(groups, lr, (momentum, beta2), eps, weight_decay, amsgrad, fused=fused))


@optimizers
def torch_adamw(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: NonNegativeFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.01,
    amsgrad: bool = False,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """`torch.optim.AdamW`, with torch's defaults and decoupled weight decay."""
    groups = as_groups(params)
    fused = can_fuse(groups) if fused is None else fused
    return _with_plain_numbers(
        torch.optim.AdamW(groups, lr, (momentum, beta2), eps, weight_decay, amsgrad, fused=fused)
    )


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


def _with_plain_numbers(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    for numbers in (optimizer.defaults, *optimizer.param_groups):
        if "betas" in numbers:
            numbers["momentum"], numbers["beta2"] = numbers.pop("betas")
    optimizer.register_step_pre_hook(_write_betas)
    optimizer.register_load_state_dict_post_hook(_lay_out)
    return optimizer


def _write_betas(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        if "beta2" in group:
            group["betas"] = (group["momentum"], group["beta2"])


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                state[name] = laid_out_like(value, parameter)
