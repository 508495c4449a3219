"""Each stepper against its formula, and each fused piece against the pieces it stands for."""

import copy

import pytest
import torch
from torch import nn

from fastcli.optim import stats, steppers
from fastcli.optim.optimizer import Group, Optimizer


def group_of(value, gradient, age=1, **hyperparameters):
    parameter = nn.Parameter(torch.tensor(value))
    parameter.grad = torch.tensor(gradient)
    return Group([parameter], [{"step": age - 1}], hyperparameters)


def run(stepper, group):
    with torch.no_grad():
        stepper(group)
    return group


def test_decay_shrinks_the_parameter_by_the_rate_times_the_decay():
    group = run(steppers.decay, group_of([2.0], [5.0], lr=0.5, weight_decay=0.1))
    assert group.parameters[0].item() == pytest.approx(1.9)
    assert group.update[0].item() == 5.0


def test_add_decay_adds_to_the_update():
    group = run(steppers.add_decay, group_of([2.0], [5.0], weight_decay=0.1))
    assert group.update[0].item() == pytest.approx(5.2)
    assert group.gradients[0].item() == 5.0


def test_heavy_ball_and_nesterov():
    group = run(stats.velocity, group_of([0.0], [2.0], momentum=0.5))
    group.state("momentum_buffer")[0].fill_(3.0)
    assert run(steppers.nesterov, group).update[0].item() == 3.5
    assert run(steppers.heavy_ball, group).update[0].item() == 3.0


def test_adam_direction_is_fastais_formula():
    group = group_of([0.0], [2.0], age=3, momentum=0.9, beta2=0.99, eps=1e-5)
    group.state("exp_avg")[0].fill_(0.4)
    group.state("exp_avg_sq")[0].fill_(0.09)
    first, second = 1 - 0.9**3, 1 - 0.99**3
    wanted = 0.4 / first / ((0.09 / second) ** 0.5 + 1e-5)
    assert run(steppers.adam_direction, group).update[0].item() == pytest.approx(wanted, rel=1e-6)


def test_descend():
    assert run(steppers.descend, group_of([1.0], [2.0], lr=0.25)).parameters[0].item() == 0.5


@pytest.mark.parametrize(
    ("fused", "pieces"),
    [
        (steppers.fused_sgd, [stats.velocity, steppers.heavy_ball, steppers.descend]),
        (steppers.fused_nesterov, [stats.velocity, steppers.nesterov, steppers.descend]),
        (
            steppers.fused_adam,
            [steppers.add_decay, stats.average, stats.average_square, steppers.adam_direction, steppers.descend],
        ),
        (
            steppers.fused_adamw,
            [steppers.decay, stats.average, stats.average_square, steppers.adam_direction, steppers.descend],
        ),
    ],
)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_fused_piece_equals_the_pieces_it_stands_for(fused, pieces, momentum):
    torch.manual_seed(0)
    together = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(7))]
    apart = copy.deepcopy(together)
    numbers = {"lr": 0.01, "momentum": momentum} | ({"weight_decay": 0.1} if "adam" in fused.__name__ else {})
    one, other = Optimizer(together, [fused], **numbers), Optimizer(apart, pieces, **numbers)
    for step in range(50):
        for mine, yours in zip(together, apart, strict=True):
            if step >= 10 or mine is together[0]:
                mine.grad = torch.randn_like(mine)
                yours.grad = mine.grad.clone()
        one.step()
        other.step()
    for mine, yours in zip(together, apart, strict=True):
        torch.testing.assert_close(mine, yours, atol=1e-6, rtol=0)
        assert one.state[mine].keys() == other.state[yours].keys()
