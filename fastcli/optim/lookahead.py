"""Lookahead: any optimizer made of pieces, with slow weights that it returns to every k steps (arXiv:1907.08610).

    optimizer = lookahead(adam(model.parameters()), k=5)

The count of steps is each parameter's own, so that one unfrozen late has its first k steps like any other.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, NonNegativeFloat, WithJsonSchema

from fastcli.errors import ConfigError
from fastcli.optim import stats, steppers
from fastcli.optim.algorithms import Fraction, radam
from fastcli.optim.groups import as_groups
from fastcli.optim.optimizer import Optimizer
from fastcli.registry import optimizers

Count = Annotated[int, Field(ge=1)]
Blend = Annotated[float, Field(gt=0, le=1)]


def lookahead(optimizer: Optimizer, k: int = 6, alpha: float = 0.5) -> Optimizer:
    """An optimizer of the same pieces and hyperparameters that every `k` steps goes back to 1 − `alpha` of the way."""
    pieces = [stats.slow_weights, *optimizer.pieces, steppers.look_back]
    numbers = {**optimizer.defaults, "lookahead_k": k, "lookahead_alpha": alpha}
    return Optimizer(as_groups(optimizer.param_groups), pieces, **numbers)


def _checked(base: dict[str, Any]) -> dict[str, Any]:
    """`base` with every parameter filled in, but for the rate. Raises ConfigError for what is wrong in it."""
    params = dict(base)
    name = params.pop("name", None)
    if "lr" in params or not isinstance(name, str):
        raise ConfigError(f"lookahead cannot wrap {base}", hint="write base: {name: adam, …}, and lr beside it")
    checked = optimizers.check(name, **params)
    return {"name": name, **{key: value for key, value in checked.items() if key != "lr"}}


Base = Annotated[
    dict[str, Any],
    AfterValidator(_checked),
    WithJsonSchema({"x-component": {"kind": "optimizer", "by": "name"}}),  # its keys are checked in the file
]


@optimizers(name="lookahead")
def lookahead_around(
    params: Any, /, base: Base, lr: NonNegativeFloat = 1e-3, k: Count = 6, alpha: Blend = 0.5
) -> Optimizer:
    """Any optimizer of fastcli's own as `base`, with slow weights that it goes back to every `k` steps."""
    inner = _checked(base)
    optimizer = optimizers.build(inner.pop("name"), params, lr=lr, **inner)
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"lookahead cannot wrap {type(optimizer).__name__}", hint="name one made of pieces: adam, …")
    return lookahead(optimizer, k, alpha)


@optimizers
def ranger(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.95,
    beta2: Fraction = 0.99,
    eps: NonNegativeFloat = 1e-6,
    weight_decay: NonNegativeFloat = 0.01,
    k: Count = 6,
    alpha: Blend = 0.5,
    decoupled: bool = True,
) -> Optimizer:
    """RAdam with lookahead, and fastai's defaults."""
    numbers = {"momentum": momentum, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    return lookahead(radam(params, lr, **numbers, decoupled=decoupled), k, alpha)
