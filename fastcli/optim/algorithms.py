"""The optimizers that YAML can name: each is the list of its pieces.

Weight decay is decoupled (p shrinks by lr·weight_decay) unless `decoupled` is false; then it is L2, a part of the
gradient. Defaults are fastai's where fastai has the optimizer, else the paper's. `fused: null` takes one kernel for the
whole list where torch has it: the same numbers in a fraction of the time (`benchmarks/optimizer.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveFloat

from fastcli.optim import stats, steppers
from fastcli.optim.groups import as_groups, can_fuse
from fastcli.optim.optimizer import Optimizer, Piece
from fastcli.registry import optimizers

Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
ADAM: list[Piece] = [stats.average, stats.average_square, steppers.adam_direction]


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
    """Stochastic gradient descent; with a momentum of 0 it has none, and no schedule brings it in, as in fastai."""
    groups, momenta = _with_momentum(params, momentum)
    one: list[Piece] = [steppers.fused_nesterov if nesterov else steppers.fused_sgd]
    apart = [*(_momentum(nesterov) if momenta else []), steppers.descend]
    pieces = [_decay(decoupled), *(one if momenta and _fuse(fused, groups) else apart)]
    return Optimizer(groups, pieces, lr=lr, weight_decay=weight_decay, **momenta)


@optimizers
def rmsprop(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-2,
    momentum: Fraction = 0.0,
    beta2: Fraction = 0.99,
    eps: NonNegativeFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    decoupled: bool = True,
) -> Optimizer:
    """RMSProp: the gradient, or with momentum its fading sum, over the root of its mean square (Hinton, 2012)."""
    groups, momenta = _with_momentum(params, momentum)
    middle = [stats.average_square, *(_momentum() if momenta else []), steppers.rms_direction]
    pieces = [_decay(decoupled), *middle, steppers.descend]
    return Optimizer(groups, pieces, lr=lr, beta2=beta2, eps=eps, weight_decay=weight_decay, **momenta)


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
    groups, one = as_groups(params), steppers.fused_adamw if decoupled else steppers.fused_adam
    pieces: list[Piece] = [one] if _fuse(fused, groups) else [_decay(decoupled), *ADAM, steppers.descend]
    return Optimizer(groups, pieces, lr=lr, momentum=momentum, beta2=beta2, eps=eps, weight_decay=weight_decay)


@optimizers
def adamw(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.99,
    eps: NonNegativeFloat = 1e-5,
    weight_decay: NonNegativeFloat = 0.01,
    fused: bool | None = None,
) -> Optimizer:
    """Another name of `adam` with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    return adam(params, lr, momentum, beta2, eps, weight_decay, True, fused)


@optimizers
def radam(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.99,
    eps: NonNegativeFloat = 1e-5,
    weight_decay: NonNegativeFloat = 0.0,
    softplus: NonNegativeFloat = 0.0,
    decoupled: bool = True,
) -> Optimizer:
    """Adam that needs no warm-up; with `softplus` above 0 its divisor is smoothed (arXiv:1908.03265, 1908.00700)."""
    pieces = [_decay(decoupled), *ADAM[:2], steppers.rectified_direction, steppers.descend]
    numbers = {"momentum": momentum, "beta2": beta2, "eps": eps, "weight_decay": weight_decay, "softplus": softplus}
    return Optimizer(params, pieces, lr=lr, **numbers)


@optimizers
def qhadam(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.999,
    beta2: Fraction = 0.999,
    nu1: Share = 0.7,
    nu2: Share = 1.0,
    eps: NonNegativeFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    decoupled: bool = True,
) -> Optimizer:
    """Quasi-hyperbolic Adam: the gradient and its mean, mixed by `nu1` and, squared, by `nu2` (arXiv:1810.06801)."""
    pieces = [_decay(decoupled), *ADAM[:2], steppers.quasi_hyperbolic_direction, steppers.descend]
    numbers = {"momentum": momentum, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    return Optimizer(params, pieces, lr=lr, nu1=nu1, nu2=nu2, **numbers)


@optimizers
def larc(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-2,
    momentum: Fraction = 0.9,
    clip: bool = True,
    trust: PositiveFloat = 0.02,
    eps: NonNegativeFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    decoupled: bool = True,
) -> Optimizer:
    """SGD with a rate for each tensor: lr·trust·‖p‖/‖g‖, but with `clip` at most lr (LARC; You et al. 2017)."""
    pieces = [_decay(decoupled), *_momentum(), steppers.layer_rate, steppers.descend]
    numbers = {"momentum": momentum, "trust": trust, "eps": eps, "weight_decay": weight_decay}
    return Optimizer(params, pieces, lr=lr, clip=clip, **numbers)


@optimizers
def lars(
    params: Any,
    /,
    lr: NonNegativeFloat = 1.0,
    momentum: Fraction = 0.9,
    trust: PositiveFloat = 1e-3,
    eps: NonNegativeFloat = 1e-8,
    weight_decay: NonNegativeFloat = 1e-4,
    nesterov: bool = False,
    adapt_all: bool = False,
) -> Optimizer:
    """Layer-wise rates inside the momentum and L2 decay (arXiv:1708.03888); norms and biases only with `adapt_all`."""
    pieces = [steppers.add_decay, steppers.layer_rate, *_momentum(nesterov), steppers.descend]
    numbers = {"momentum": momentum, "trust": trust, "eps": eps, "weight_decay": weight_decay}
    return Optimizer(params, pieces, lr=lr, clip=False, adapt_all=adapt_all, **numbers)


@optimizers
def lamb(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.99,
    eps: NonNegativeFloat = 1e-5,
    weight_decay: NonNegativeFloat = 0.0,
    max_ratio: PositiveFloat | None = 10.0,
    decoupled: bool = True,
) -> Optimizer:
    """Adam with steps in proportion to each tensor; not `decoupled`, decay joins the step, as in arXiv:1904.00962."""
    middle: list[Piece] = [steppers.decay, *ADAM] if decoupled else [*ADAM, steppers.add_decay]
    numbers = {"momentum": momentum, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    pieces = [*middle, steppers.trust_ratio, steppers.descend]
    return Optimizer(params, pieces, lr=lr, max_ratio=max_ratio, **numbers)


@optimizers
def lion(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-4,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.99,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Steps of one size, by sign alone (arXiv:2302.06675): it wants a tenth of Adam's rate and ten times its decay."""
    pieces = [steppers.decay, steppers.lion_direction, steppers.descend]
    return Optimizer(params, pieces, lr=lr, momentum=momentum, beta2=beta2, weight_decay=weight_decay)


@optimizers
def adopt(
    params: Any,
    /,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction = 0.9,
    beta2: Fraction = 0.9999,
    eps: NonNegativeFloat = 1e-6,
    clip_power: NonNegativeFloat | None = 0.25,
    weight_decay: NonNegativeFloat = 0.0,
    decoupled: bool = True,
) -> Optimizer:
    """Adam that converges with any `beta2`: it divides by the squares of the past alone (arXiv:2411.02853)."""
    start = [stats.first_square, steppers.decay] if decoupled else [steppers.add_decay, stats.first_square]
    pieces = [*start, steppers.divide_by_past, stats.average, steppers.averaged, steppers.descend]
    numbers = {"momentum": momentum, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    return Optimizer(params, pieces, lr=lr, clip_power=clip_power, **numbers)


def _decay(decoupled: bool) -> Piece:
    return steppers.decay if decoupled else steppers.add_decay


def _with_momentum(params: Any, momentum: float) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The param groups, and momentum as a hyperparameter where it is above 0 in any of them."""
    groups = as_groups(params)
    return groups, {"momentum": momentum} if any(group.get("momentum", momentum) for group in groups) else {}


def _momentum(nesterov: bool = False) -> list[Piece]:
    return [stats.velocity, steppers.nesterov if nesterov else steppers.heavy_ball]


def _fuse(fused: bool | None, groups: list[dict[str, Any]]) -> bool:
    return can_fuse(groups) if fused is None else fused
