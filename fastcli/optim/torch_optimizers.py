"""The optimizers of torch and timm by name: `torch_rmsprop`, `{name: timm, algorithm: adan}`.

Their signatures are torch's own, but that betas are two plain numbers, `momentum` and `beta2`, which a schedule writes
as it writes `lr`. Left out are those that the loop cannot run: LBFGS wants a closure, SparseAdam sparse gradients, Muon
matrices alone (timm has one for all shapes).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, NonNegativeFloat
from torch import Tensor

from fastcli.errors import ConfigError, did_you_mean
from fastcli.optim.algorithms import Fraction
from fastcli.optim.groups import as_groups, can_fuse
from fastcli.optim.optimizer import laid_out_like
from fastcli.registry import optimizers

NAMES = ("SGD", "RMSprop", "Adam", "AdamW", "RAdam", "NAdam", "Adamax", "Adadelta", "Adagrad", "ASGD", "Rprop",
         "Adafactor")  # fmt: skip
FUSED = ("SGD", "Adam", "AdamW")
"""Those with fused kernels for every device of `can_fuse`."""
SWITCHES = ("foreach", "maximize", "capturable", "differentiable")
"""Parameters that say how a step is computed, which torch decides best."""
RANGES = {"lr": NonNegativeFloat, "weight_decay": NonNegativeFloat, "eps": NonNegativeFloat,
          "momentum": Fraction, "beta2": Fraction}  # fmt: skip


def register(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The component that makes optimizers of this class of torch, under the class's name in lower case."""

    def make(params: Any, /, **given: Any) -> torch.optim.Optimizer:
        groups = as_groups(params)
        if kind.__name__ in FUSED and given.get("fused") is None:
            given["fused"] = can_fuse(groups)
        if "beta2" in inspect.signature(make).parameters:
            first, second = inspect.signature(kind).parameters["betas"].default
            given["betas"] = (given.pop("momentum", first), given.pop("beta2", second))
        return with_plain_numbers(kind(groups, **given))

    make.__name__ = make.__qualname__ = f"torch_{kind.__name__.lower()}"
    make.__doc__ = f"`torch.optim.{kind.__name__}`, with torch's defaults."
    make.__signature__ = _signature(kind)  # type: ignore[attr-defined]
    return optimizers(make)


def _signature(kind: type) -> inspect.Signature:
    """Of `params, /`, then what a YAML may say of this class."""
    numbers: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(kind).parameters.items())[1:]:
        if name == "betas":
            numbers["momentum"], numbers["beta2"] = parameter.default
        elif name not in SWITCHES:
            numbers[name] = parameter.default
    word = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [
        inspect.Parameter(name, word, annotation=_annotation(name, value), default=_plain(value))
        for name, value in numbers.items()
    ]
    return inspect.Signature([inspect.Parameter("params", inspect.Parameter.POSITIONAL_ONLY), *shown])


def _annotation(name: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple[float | None, ...]
    if default is None or isinstance(default, bool):
        return bool | None if default is None else bool
    return RANGES.get(name, float)


def _plain(default: Any) -> Any:
    return float(default) if isinstance(default, int) and not isinstance(default, bool) else default


for _name in NAMES:
    register(getattr(torch.optim, _name))


def _timm_infos() -> dict[str, Any]:
    """What timm says of its optimizers that the loop can run, by name."""
    from timm import optim

    names: Any = optim.list_optimizers()  # type: ignore[attr-defined]
    infos = {name: optim.get_optimizer_info(name) for name in names}  # type: ignore[attr-defined]
    # Those of other packages have no class yet; those of second order want a backward pass of their own.
    return {name: i for name, i in infos.items() if not isinstance(i.opt_class, str) and not i.second_order}


def _known(algorithm: str) -> str:
    known = _timm_infos()
    if algorithm not in known:
        raise ConfigError(f"timm has no optimizer {algorithm!r} to train with", hint=did_you_mean(algorithm, known))
    return algorithm


Algorithm = Annotated[str, AfterValidator(_known)]


@optimizers(name="timm")
def timm_optimizer(
    params: Any,
    /,
    algorithm: Algorithm,
    lr: NonNegativeFloat = 1e-3,
    momentum: Fraction | None = None,
    beta2: Fraction | None = None,
    weight_decay: NonNegativeFloat | None = None,
    options: dict[str, Any] | None = None,
) -> torch.optim.Optimizer:
    """Any optimizer of timm by its name there; null: timm's value; `options`: more of that optimizer's parameters."""
    make, known = _of_timm(algorithm)
    numbers = {"lr": lr, "momentum": momentum, "beta2": beta2, "weight_decay": weight_decay}
    given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None} | (options or {})
    if "betas" in known and "momentum" not in known and {"momentum", "beta2"} & set(given):
        first, second, *rest = given.get("betas") or known["betas"] or (0.9, 0.999)
        given["betas"] = (given.pop("momentum", first), given.pop("beta2", second), *rest)
    for name in set(given) - set(known):
        hint = did_you_mean(name, set(known) - {"params"})
        raise ConfigError(f"timm's optimizer {algorithm!r} has no parameter {name!r}", hint=hint)
    try:
        return with_plain_numbers(make(as_groups(params), **given))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"timm's optimizer {algorithm!r}: {error}") from error


def _of_timm(algorithm: str) -> tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]:
    """What makes timm's optimizer of this name, and its parameters with their defaults."""
    from timm import optim

    make: Callable[..., Any] = optim.get_optimizer_class(_known(algorithm))  # type: ignore[attr-defined]
    parameters = {name: parameter.default for name, parameter in inspect.signature(make).parameters.items()}
    if _timm_infos()[algorithm].has_momentum:  # timm's factory says 0.9, its classes mostly 0
        return partial(make, momentum=0.9), parameters
    return make, parameters


def with_plain_numbers(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer, whose `betas` are now written from `momentum` and `beta2` before every step."""
    betas = optimizer.defaults.get("betas")
    if betas and "momentum" not in optimizer.defaults:
        del optimizer.defaults["betas"]
        optimizer.defaults.update(momentum=betas[0], beta2=betas[1])
        for group in optimizer.param_groups:
            group["momentum"], group["beta2"], *_ = group.pop("betas")
        optimizer.register_step_pre_hook(partial(_write_betas, tuple(betas[2:])))
    optimizer.register_load_state_dict_post_hook(_lay_out)
    return optimizer


def _write_betas(rest: tuple[float, ...], optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        group["betas"] = (group["momentum"], group["beta2"], *rest)


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                state[name] = laid_out_like(value, parameter)
