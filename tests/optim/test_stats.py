"""Each stat against its formula."""

import torch
from torch import nn

from fastcli.optim import stats
from fastcli.optim.optimizer import Group


def group_of(gradient, **hyperparameters):
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor(gradient)
    states = [{}]
    return Group([parameter], states, hyperparameters), states[0]


def again(group, state, gradient):
    group.parameters[0].grad = torch.tensor(gradient)
    return Group(group.parameters, [state], group._hyperparameters)


def test_average_is_an_exponential_mean():
    group, state = group_of([1.0, 2.0], momentum=0.9)
    stats.average(group)
    stats.average(again(group, state, [3.0, 0.0]))
    torch.testing.assert_close(state["exp_avg"], torch.tensor([0.9 * 0.1 + 0.3, 0.9 * 0.2]))


def test_average_square_is_an_exponential_mean_of_squares():
    group, state = group_of([1.0, 2.0], beta2=0.9)
    stats.average_square(group)
    stats.average_square(again(group, state, [3.0, 0.0]))
    torch.testing.assert_close(state["exp_avg_sq"], torch.tensor([0.9 * 0.1 + 0.9, 0.9 * 0.4]))


def test_velocity_is_a_sum_that_fades():
    group, state = group_of([1.0, 2.0], momentum=0.5)
    stats.velocity(group)
    stats.velocity(again(group, state, [3.0, 0.0]))
    assert state["momentum_buffer"].tolist() == [3.5, 1.0]
    assert group.update[0] is group.gradients[0]


def test_velocity_keeps_nothing_without_momentum():
    group, state = group_of([1.0, 2.0], momentum=0.0)
    stats.velocity(group)
    assert state == {"step": 1}
