"""fastai's optimizers by their names and argument names, made of the pieces in `fastcli.optim`."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from fastcli.errors import ConfigError
from fastcli.optim.groups import set_hyper
from fastcli.optim.lookahead import lookahead
from fastcli.optim.optimizer import Optimizer as Pieces
from fastcli.registry import optimizers
from fastcli.vision.core import L

__all__ = ["SGD", "Adam", "Lamb", "Larc", "Lookahead", "OptimWrapper", "QHAdam", "RAdam", "RMSProp", "ranger"]


def SGD(params: Any, lr: Any, mom: float = 0.0, wd: float = 0.0, decouple_wd: bool = True) -> Any:  # noqa: N802
    """Stochastic gradient descent with momentum."""
    return _made("sgd", params, lr, momentum=mom, weight_decay=wd, decoupled=decouple_wd)


def RMSProp(  # noqa: N802
    params: Any, lr: Any, mom: float = 0.0, sqr_mom: float = 0.99, eps: float = 1e-8, wd: float = 0.0,
    decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """RMSProp with momentum; its `eps` counts, which fastai forgets."""
    return _made("rmsprop", params, lr, momentum=mom, beta2=sqr_mom, eps=eps, weight_decay=wd, decoupled=decouple_wd)


def Adam(  # noqa: N802
    params: Any, lr: Any, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5, wd: float = 0.01,
    decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """Adam with decoupled weight decay."""
    return _made("adam", params, lr, momentum=mom, beta2=sqr_mom, eps=eps, weight_decay=wd, decoupled=decouple_wd)


def RAdam(  # noqa: N802
    params: Any, lr: Any, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5, wd: float = 0.0,
    beta: float = 0.0, decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """Adam with its rate rectified; `beta` smooths the denominator by a softplus."""
    return _made("radam", params, lr, momentum=mom, beta2=sqr_mom, eps=eps, weight_decay=wd, softplus=beta,
                 decoupled=decouple_wd)  # fmt: skip


def QHAdam(  # noqa: N802
    params: Any, lr: Any, mom: float = 0.999, sqr_mom: float = 0.999, nu_1: float = 0.7, nu_2: float = 1.0,
    eps: float = 1e-8, wd: float = 0.0, decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """Quasi-hyperbolic Adam."""
    return _made("qhadam", params, lr, momentum=mom, beta2=sqr_mom, nu1=nu_1, nu2=nu_2, eps=eps, weight_decay=wd,
                 decoupled=decouple_wd)  # fmt: skip


def Larc(  # noqa: N802
    params: Any, lr: Any, mom: float = 0.9, clip: bool = True, trust_coeff: float = 0.02, eps: float = 1e-8,
    wd: float = 0.0, decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """Gradient descent with a rate of each tensor's own."""
    return _made("larc", params, lr, momentum=mom, clip=clip, trust=trust_coeff, eps=eps, weight_decay=wd,
                 decoupled=decouple_wd)  # fmt: skip


def Lamb(  # noqa: N802
    params: Any, lr: Any, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5, wd: float = 0.0,
    decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """Adam with each tensor's step scaled to its size."""
    return _made("lamb", params, lr, momentum=mom, beta2=sqr_mom, eps=eps, weight_decay=wd, decoupled=decouple_wd)


def ranger(
    params: Any, lr: Any, mom: float = 0.95, wd: float = 0.01, eps: float = 1e-6, k: int = 6, alpha: float = 0.5,
    sqr_mom: float = 0.99, decouple_wd: bool = True,
) -> Any:  # fmt: skip
    """RAdam that looks ahead."""
    return _made("ranger", params, lr, momentum=mom, beta2=sqr_mom, weight_decay=wd, eps=eps, k=k, alpha=alpha,
                 decoupled=decouple_wd)  # fmt: skip


def Lookahead(opt: Any, k: int = 6, alpha: float = 0.5) -> Any:  # noqa: N802
    """An optimizer of the same kind that goes back 1 - `alpha` of the way every `k` steps."""
    if not isinstance(opt, Pieces):
        raise ConfigError(f"Lookahead cannot wrap {type(opt).__name__}", hint="it wraps SGD, Adam, RAdam and the like")
    return lookahead(opt, k, alpha)


def OptimWrapper(  # noqa: N802
    params: Any = None, opt: Any = torch.optim.AdamW, hp_map: Any = None, convert_groups: bool = True, lr: Any = 1e-3,
    **hyperparameters: Any,
) -> torch.optim.Optimizer:  # fmt: skip
    """Any optimizer class of torch, with its own names of hyperparameters; schedules find them without a `hp_map`."""
    optimizer = opt(groups_of(params), lr=_number(lr), **hyperparameters)
    return _spread(optimizer, lr)  # type: ignore[no-any-return]


def _made(name: str, params: Any, lr: Any, **hyperparameters: Any) -> Any:
    return _spread(optimizers.build(name, groups_of(params), lr=_number(lr), **hyperparameters), lr)


def groups_of(params: Any) -> list[Any]:
    """Tensors, lists of tensors (one per layer group) or param groups, as torch takes them."""
    groups = list(params)
    if groups and isinstance(groups[0], list | tuple | L):
        return [{"params": list(group), "layer": i, "decays": True} for i, group in enumerate(groups)]
    return groups


def _number(lr: Any) -> float:
    return float(lr.stop if isinstance(lr, slice) else lr)


def _spread(optimizer: Any, lr: Any) -> Any:
    if isinstance(lr, slice):
        set_hyper(optimizer, "lr", lr)
    return optimizer


def given_rate(opt_func: Any) -> float | None:
    """The learning rate that a `partial(opt_func, lr=…)` fixes, or None."""
    return opt_func.keywords.get("lr") if isinstance(opt_func, partial) else None
