"""Stats: pieces that keep state about the update they meet, and leave the update alone.

In the formulae u is the update (at first the gradient), t the number of steps that a parameter has taken. The names
of the state are torch's, so a checkpoint of torch's optimizer of the same kind can be loaded.
"""

from __future__ import annotations

import torch

from fastcli.optim.optimizer import Group, piece


@piece(momentum=0.9)
def average(group: Group) -> None:
    """State `exp_avg`: m ← momentum·m + (1 − momentum)·u (Kingma and Ba 2015, arXiv:1412.6980)."""
    torch._foreach_lerp_(group.state("exp_avg"), group.update, 1 - group.momentum)


@piece(beta2=0.99)
def average_square(group: Group) -> None:
    """State `exp_avg_sq`: s ← beta2·s + (1 − beta2)·u² (Kingma and Ba 2015, arXiv:1412.6980)."""
    squares = group.state("exp_avg_sq")
    torch._foreach_mul_(squares, group.beta2)
    torch._foreach_addcmul_(squares, group.update, group.update, 1 - group.beta2)


@piece(momentum=0.9)
def velocity(group: Group) -> None:
    """State `momentum_buffer`: v ← momentum·v + u (Polyak 1964); nothing while momentum is 0, as in torch's SGD."""
    if group.momentum:
        buffers = group.state("momentum_buffer")
        torch._foreach_mul_(buffers, group.momentum)
        torch._foreach_add_(buffers, group.update)


@piece()
def first_square(group: Group) -> None:
    """State `exp_avg_sq` starts as u², and a parameter's first step does nothing else (ADOPT, arXiv:2411.02853)."""
    if group.age == 1:
        torch._foreach_addcmul_(group.state("exp_avg_sq"), group.update, group.update)
        group.stopped = True


@piece()
def slow_weights(group: Group) -> None:
    """State `slow`: the parameter before its first step, for `steppers.look_back` (arXiv:1907.08610)."""
    group.state("slow", start=torch.clone)
