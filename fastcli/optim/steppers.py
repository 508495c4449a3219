"""Steppers: pieces that change the update or the parameters.

In the formulae u is the update (at first the gradient), p the parameter, t the number of steps that p has taken, and
m, s, v the states of `stats.average`, `stats.average_square` and `stats.velocity`. The fused pieces are torch's
kernels: one pass over memory for what the pieces named in their docstrings do in several.
"""

from __future__ import annotations

from typing import Any

import torch

from fastcli.optim.optimizer import Group, piece


@piece(lr=1e-3, weight_decay=0.0)
def decay(group: Group) -> None:
    """Decoupled weight decay: p ← (1 − lr·weight_decay)·p (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    if group.weight_decay:
        torch._foreach_mul_(group.parameters, 1 - group.lr * group.weight_decay)


@piece(weight_decay=0.0)
def add_decay(group: Group) -> None:
    """L2 regularisation: u ← u + weight_decay·p, which adds the gradient of weight_decay·‖p‖²/2."""
    if group.weight_decay:
        group.update = torch._foreach_add(group.update, group.parameters, alpha=group.weight_decay)


@piece(momentum=0.9)
def heavy_ball(group: Group) -> None:
    """Momentum: u ← v (Polyak 1964)."""
    if group.momentum:
        group.update = group.state("momentum_buffer")


@piece(momentum=0.9)
def nesterov(group: Group) -> None:
    """Momentum that looks ahead: u ← u + momentum·v (Sutskever et al. 2013, as torch's SGD writes it)."""
    if group.momentum:
        group.update = torch._foreach_add(group.update, group.state("momentum_buffer"), alpha=group.momentum)


@piece(momentum=0.9, beta2=0.99, eps=1e-5)
def adam_direction(group: Group) -> None:
    """Adam: u ← m/(1 − momentumᵗ) / (√(s/(1 − beta2ᵗ)) + eps) (Kingma and Ba 2015, arXiv:1412.6980)."""
    firsts = [1 - group.momentum**age for age in group.ages]
    seconds = [(1 - group.beta2**age) ** 0.5 for age in group.ages]
    scale = torch._foreach_sqrt(group.state("exp_avg_sq"))
    # Both corrections go below the line: one pass over memory less.
    torch._foreach_mul_(scale, [first / second for first, second in zip(firsts, seconds, strict=True)])
    torch._foreach_add_(scale, [group.eps * first for first in firsts])
    group.update = torch._foreach_div(group.state("exp_avg"), scale)


@piece(lr=1e-3)
def descend(group: Group) -> None:
    """Gradient descent: p ← p − lr·u."""
    torch._foreach_add_(group.parameters, group.update, alpha=-group.lr)


@piece(lr=1e-3, momentum=0.9)
def fused_sgd(group: Group) -> None:
    """`velocity`, `heavy_ball`, `descend` in one pass."""
    _fused_sgd(group, nesterov=False)


@piece(lr=1e-3, momentum=0.9)
def fused_nesterov(group: Group) -> None:
    """`velocity`, `nesterov`, `descend` in one pass."""
    _fused_sgd(group, nesterov=True)


def _fused_sgd(group: Group, *, nesterov: bool) -> None:
    torch._fused_sgd_(
        group.parameters,
        group.update,
        group.state("momentum_buffer") if group.momentum else [],
        weight_decay=0.0,
        momentum=group.momentum,
        lr=group.lr,
        dampening=0.0,
        nesterov=nesterov and group.momentum > 0,
        maximize=False,
        is_first_step=False,
    )


@piece(lr=1e-3, momentum=0.9, beta2=0.99, eps=1e-5, weight_decay=0.0)
def fused_adam(group: Group) -> None:
    """`add_decay`, `average`, `average_square`, `adam_direction`, `descend` in one pass."""
    _fused_adam(torch._fused_adam_, group)


@piece(lr=1e-3, momentum=0.9, beta2=0.99, eps=1e-5, weight_decay=0.0)
def fused_adamw(group: Group) -> None:
    """`decay`, `average`, `average_square`, `adam_direction`, `descend` in one pass."""
    _fused_adam(torch._fused_adamw_, group)


def _fused_adam(kernel: Any, group: Group) -> None:
    # The kernel wants tensors; parameters of one age share one, made by a fill so that no copy waits for the device.
    device = group.parameters[0].device
    steps = {age: torch.full((), float(age), dtype=torch.float32, device=device) for age in set(group.ages)}
    kernel(
        group.parameters,
        group.update,
        group.state("exp_avg"),
        group.state("exp_avg_sq"),
        [],
        [steps[age] for age in group.ages],
        lr=group.lr,
        beta1=group.momentum,
        beta2=group.beta2,
        weight_decay=group.weight_decay,
        eps=group.eps,
        amsgrad=False,
        maximize=False,
    )
