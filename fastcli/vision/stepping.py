"""fastai's way to write an optimizer: functions that are called for one parameter after the other.

    def sgd_cb(p, lr, **kwargs): p.data.add_(p.grad.data, alpha=-lr)
    opt_func = partial(Optimizer, cbs=[sgd_cb])

What a function returns is kept for its parameter and given to the functions after it. fastcli's own optimizers
(`fastcli.optim`) take all parameters at once, which is many times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastcli.optim.groups import set_hyper
from fastcli.vision.core import listed
from fastcli.vision.names import HYPERS
from fastcli.vision.optimizers import groups_of

__all__ = ["Optimizer", "adam_step", "average_grad", "average_sqr_grad", "debias", "l2_reg", "momentum_step",
           "rms_prop_step", "sgd_step", "step_stat", "weight_decay"]  # fmt: skip

Step = Callable[..., Any]
OURS = {ours: name for name, ours in HYPERS.items()}


class Optimizer(torch.optim.Optimizer):
    """Calls each of `cbs` for each parameter, with its state and the hyperparameters as keywords.

    Groups of layers that do not decay have a `wd` of 0. Schedules and slices of rates work as with any optimizer.
    """

    def __init__(self, params: Any, cbs: Any, **defaults: Any) -> None:
        self.cbs: list[Step] = listed(cbs)
        numbers: dict[str, Any] = {}
        for each in self.cbs:
            numbers |= getattr(each, "defaults", {})
        numbers |= defaults
        rate = numbers.get("lr")
        if isinstance(rate, slice):
            numbers["lr"] = rate.stop
        super().__init__(groups_of(params), {HYPERS.get(name, name): value for name, value in numbers.items()})
        if isinstance(rate, slice):
            set_hyper(self, "lr", rate)

    @property
    def hypers(self) -> list[dict[str, Any]]:
        """The hyperparameters of each group by fastai's names."""
        hidden = ("params", "layer", "decays")
        return [{OURS.get(k, k): v for k, v in group.items() if k not in hidden} for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Call the functions for every parameter that has a gradient."""
        for group, hypers in zip(self.param_groups, self.hypers, strict=True):
            for p in group["params"]:
                if p.grad is None:
                    continue
                for each in self.cbs:
                    kept = each(p, **{**self.state[p], **hypers})
                    if isinstance(kept, dict):
                        self.state[p].update(kept)


def _with(**defaults: Any) -> Callable[[Step], Step]:
    """Decorator: the hyperparameters that a function needs, and their values unless others are given."""

    def declare(function: Step) -> Step:
        function.defaults = defaults  # type: ignore[attr-defined]
        return function

    return declare


def debias(mom: float, damp: float, step: int) -> float:
    """By what a running mean of `step` values must be divided.

    >>> round(debias(0.9, 0.1, 2), 4)
    0.19
    """
    return float(damp * (1 - mom**step) / (1 - mom))


def sgd_step(p: Tensor, lr: float, **_: Any) -> None:
    """Against the gradient."""
    p.add_(_grad(p), alpha=-lr)


@_with(wd=0.0)
def weight_decay(p: Tensor, lr: float, wd: float, **_: Any) -> None:
    """Shrink by lr times wd."""
    p.mul_(1 - lr * wd)


@_with(wd=0.0)
def l2_reg(p: Tensor, lr: float, wd: float, **_: Any) -> None:
    """Add wd times the parameter to its gradient."""
    _grad(p).add_(p, alpha=wd)


@_with(mom=0.9)
def average_grad(
    p: Tensor, mom: float, dampening: bool = False, grad_avg: Tensor | None = None, **_: Any
) -> dict[str, Tensor]:
    """The running sum of the gradients, or their mean with `dampening`."""
    grad_avg = torch.zeros_like(p) if grad_avg is None else grad_avg
    return {"grad_avg": grad_avg.mul_(mom).add_(_grad(p), alpha=1 - mom if dampening else 1.0)}


@_with(sqr_mom=0.99)
def average_sqr_grad(
    p: Tensor, sqr_mom: float, dampening: bool = True, sqr_avg: Tensor | None = None, **_: Any
) -> dict[str, Tensor]:
    """The running mean of the squared gradients."""
    sqr_avg = torch.zeros_like(p) if sqr_avg is None else sqr_avg
    gradient = _grad(p)
    return {"sqr_avg": sqr_avg.mul_(sqr_mom).addcmul_(gradient, gradient, value=1 - sqr_mom if dampening else 1.0)}


def step_stat(p: Tensor, step: int = 0, **_: Any) -> dict[str, int]:
    """How many steps the parameter has taken."""
    return {"step": step + 1}


def momentum_step(p: Tensor, lr: float, grad_avg: Tensor, **_: Any) -> None:
    """Against the running sum of the gradients."""
    p.add_(grad_avg, alpha=-lr)


@_with(eps=1e-8)
def rms_prop_step(p: Tensor, lr: float, sqr_avg: Tensor, eps: float, grad_avg: Tensor | None = None, **_: Any) -> None:
    """Against the gradient over the root of its mean square."""
    p.addcdiv_(_grad(p) if grad_avg is None else grad_avg, sqr_avg.sqrt().add_(eps), value=-lr)


@_with(eps=1e-5)
def adam_step(
    p: Tensor, lr: float, mom: float, step: int, sqr_mom: float, grad_avg: Tensor, sqr_avg: Tensor, eps: float, **_: Any
) -> None:
    """Adam's step, for a dampened `average_grad`."""
    denominator = (sqr_avg / debias(sqr_mom, 1 - sqr_mom, step)).sqrt() + eps
    p.addcdiv_(grad_avg, denominator, value=-lr / debias(mom, 1 - mom, step))


def _grad(p: Tensor) -> Tensor:
    assert p.grad is not None  # only such parameters are stepped
    return p.grad
