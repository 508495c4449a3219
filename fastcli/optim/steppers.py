"""Steppers: pieces that change the update or the parameters.

In the formulae u is the update (at first the gradient), p the parameter, t the number of steps that p has taken, and
m, s, v the states of `stats.average`, `stats.average_square` and `stats.velocity`. The fused pieces are torch's
kernels: one pass over memory for what the pieces named in their docstrings do in several.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fastcli.optim.optimizer import Group, Tensors, piece


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


@piece(momentum=0.9)
def averaged(group: Group) -> None:
    """The mean in place of the update: u ← m."""
    group.update = group.state("exp_avg")


@piece(eps=1e-8)
def rms_direction(group: Group) -> None:
    """RMSProp: u ← u/(√s + eps) (Hinton 2012, lecture 6e)."""
    scale = torch._foreach_sqrt(group.state("exp_avg_sq"))
    torch._foreach_add_(scale, group.eps)
    group.update = torch._foreach_div(group.update, scale)


@piece(momentum=0.9, beta2=0.99, eps=1e-5)
def adam_direction(group: Group) -> None:
    """Adam: u ← m/(1 − momentumᵗ) / (√(s/(1 − beta2ᵗ)) + eps) (Kingma and Ba 2015, arXiv:1412.6980)."""
    first, second = _corrections(group)
    scale = torch._foreach_sqrt(group.state("exp_avg_sq"))
    # Both corrections go below the line: one pass over memory less.
    torch._foreach_mul_(scale, first / math.sqrt(second))
    torch._foreach_add_(scale, group.eps * first)
    group.update = torch._foreach_div(group.state("exp_avg"), scale)


@piece(momentum=0.9, beta2=0.99, eps=1e-5, softplus=0.0)
def rectified_direction(group: Group) -> None:
    """RAdam: Adam's u times r, or m/(1 − momentumᵗ) while s is too young to tell (Liu et al. 2020, arXiv:1908.03265).

    With `softplus` above 0 the divisor is smoothed by it (SAdam, arXiv:1908.00700).
    """
    first, second = _corrections(group)
    longest = 2 / (1 - group.beta2) - 1
    length = longest - 2 * group.age * group.beta2**group.age / second
    if length <= 5:
        group.update = torch._foreach_div(group.state("exp_avg"), first)
        return
    r = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    scale: Tensors = torch._foreach_sqrt(group.state("exp_avg_sq"))
    torch._foreach_div_(scale, math.sqrt(second))
    torch._foreach_add_(scale, group.eps)
    if group.softplus:
        scale = [functional.softplus(each, group.softplus) for each in scale]
    torch._foreach_mul_(scale, first / r)
    group.update = torch._foreach_div(group.state("exp_avg"), scale)


@piece(momentum=0.999, beta2=0.999, eps=1e-8, nu1=0.7, nu2=1.0)
def quasi_hyperbolic_direction(group: Group) -> None:
    """QHAdam: Adam with nu1 and nu2 as the shares of the means, and the rest u and u² (arXiv:1810.06801)."""
    first, second = _corrections(group)
    means = torch._foreach_mul(group.state("exp_avg"), group.nu1 / first)
    torch._foreach_add_(means, group.update, alpha=1 - group.nu1)
    scale = torch._foreach_mul(group.state("exp_avg_sq"), group.nu2 / second)
    torch._foreach_addcmul_(scale, group.update, group.update, 1 - group.nu2)
    torch._foreach_sqrt_(scale)
    torch._foreach_add_(scale, group.eps)
    group.update = torch._foreach_div(means, scale)


@piece(momentum=0.9, beta2=0.99)
def lion_direction(group: Group) -> None:
    """Lion: u ← sign(momentum·m + (1 − momentum)·u), then m ← beta2·m + (1 − beta2)·u (arXiv:2302.06675)."""
    means, gradients = group.state("exp_avg"), group.update
    group.update = torch._foreach_lerp(means, gradients, 1 - group.momentum)
    torch._foreach_sign_(group.update)
    torch._foreach_lerp_(means, gradients, 1 - group.beta2)


@piece(beta2=0.9999, eps=1e-6, clip_power=0.25)
def divide_by_past(group: Group) -> None:
    """ADOPT: u ← u/max(√s, eps) within ±(t − 1)^clip_power, then s ← beta2·s + (1 − beta2)·u² (arXiv:2411.02853).

    Nothing is clipped where `clip_power` is None.
    """
    gradients, squares = group.update, group.state("exp_avg_sq")
    scale = torch._foreach_sqrt(squares)
    torch._foreach_clamp_min_(scale, group.eps)
    group.update = torch._foreach_div(gradients, scale)
    if group.clip_power is not None:
        limit = (group.age - 1) ** group.clip_power
        torch._foreach_clamp_max_(group.update, limit)
        torch._foreach_clamp_min_(group.update, -limit)
    torch._foreach_mul_(squares, group.beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - group.beta2)


@piece(trust=0.02, clip=True, eps=1e-8, weight_decay=0.0, adapt_all=True)
def layer_rate(group: Group) -> None:
    """LARS: u ← u·trust·‖p‖/(‖g‖ + weight_decay·‖p‖ + eps), g the gradient (You et al. 2017, arXiv:1708.03888).

    With `clip` the factor is at most 1 (LARC); it is 1 where p or g is zero, so that what starts at zero can leave it.
    Without `adapt_all` it is 1 for a group that does not decay (norms and biases).
    """
    if not group.adapt_all and not getattr(group, "decays", True):
        return
    weights, gradients = _norms(group.parameters), _norms(group.gradients)
    ratios = group.trust * weights / (gradients + group.weight_decay * weights + group.eps)
    _scale_by(group, ratios, (weights > 0) & (gradients > 0), 1.0 if group.clip else None)


@piece(max_ratio=10.0)
def trust_ratio(group: Group) -> None:
    """LAMB: u ← u·min(‖p‖/‖u‖, max_ratio), unchanged where p or u is zero (You et al. 2020, arXiv:1904.00962)."""
    weights, updates = _norms(group.parameters), _norms(group.update)
    _scale_by(group, weights / updates, (weights > 0) & (updates > 0), group.max_ratio)


@piece(lr=1e-3)
def descend(group: Group) -> None:
    """Gradient descent: p ← p − lr·u."""
    torch._foreach_add_(group.parameters, group.update, alpha=-group.lr)


@piece(lookahead_k=6, lookahead_alpha=0.5)
def look_back(group: Group) -> None:
    """Lookahead: every k steps, slow ← slow + alpha·(p − slow) and p ← slow (Zhang et al. 2019, arXiv:1907.08610)."""
    if group.age % group.lookahead_k == 0:
        torch._foreach_lerp_(group.state("slow"), group.parameters, group.lookahead_alpha)
        torch._foreach_copy_(group.parameters, group.state("slow"))


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
    # The kernel wants tensors; all share one, made by a fill so that no copy waits for the device.
    step = torch.full((), float(group.age), dtype=torch.float32, device=group.parameters[0].device)
    kernel(
        group.parameters,
        group.update,
        group.state("exp_avg"),
        group.state("exp_avg_sq"),
        [],
        [step] * len(group.parameters),
        lr=group.lr,
        beta1=group.momentum,
        beta2=group.beta2,
        weight_decay=group.weight_decay,
        eps=group.eps,
        amsgrad=False,
        maximize=False,
    )


def _corrections(group: Group) -> tuple[float, float]:
    """What is still missing from the weights of m and of s: 1 − momentumᵗ and 1 − beta2ᵗ."""
    return 1 - group.momentum**group.age, 1 - group.beta2**group.age


def _norms(tensors: Tensors) -> Tensor:
    return torch.stack(torch._foreach_norm(tensors))


def _scale_by(group: Group, ratios: Tensor, where: Tensor, most: float | None) -> None:
    ratios = ratios if most is None else ratios.clamp(max=most)
    group.update = torch._foreach_mul(group.update, torch.where(where, ratios, 1.0).unbind())
