"""An optimizer in five lines: the sign of the momentum, made of the library's pieces and one of its own."""

import torch

from fastcli.optim import stats, steppers
from fastcli.optim.optimizer import Optimizer, piece
from fastcli.registry import optimizers


@piece()
def sign(group):
    """u ← sign(m)."""
    group.update = torch._foreach_sign(group.state("exp_avg"))


@optimizers
def sign_descent(params, /, lr: float = 1e-3, momentum: float = 0.9, weight_decay: float = 0.01):
    """The sign of the mean gradient, with decoupled weight decay."""
    pieces = [steppers.decay, stats.average, sign, steppers.descend]
    return Optimizer(params, pieces, lr=lr, momentum=momentum, weight_decay=weight_decay)
