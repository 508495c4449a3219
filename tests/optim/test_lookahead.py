"""Lookahead by its formula, around whatever is made of pieces."""

import pytest
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.optim.algorithms import adam, radam, sgd
from fastcli.optim.groups import parameter_groups
from fastcli.optim.lookahead import lookahead, ranger
from fastcli.registry import optimizers


def test_it_goes_back_every_k_steps_from_where_it_began():
    """timm takes its slow weights at the first return only, so that nothing is returned to before the second."""
    parameter = nn.Parameter(torch.tensor([1.0]))
    optimizer, seen = lookahead(sgd([parameter], lr=0.1), k=3, alpha=0.25), []
    for _ in range(6):
        parameter.grad = torch.ones(1)
        optimizer.step()
        seen.append(parameter.item())
    once = 1 - 0.25 * 0.3
    assert seen == pytest.approx([0.9, 0.8, once, once - 0.1, once - 0.2, once - 0.25 * 0.3])


def test_what_it_wraps_keeps_its_numbers_and_groups():
    groups = parameter_groups([nn.Linear(2, 2), nn.Linear(2, 1)])
    optimizer = lookahead(adam(groups, lr=0.3), k=5)
    assert [group["layer"] for group in optimizer.param_groups] == [0, 0, 1, 1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0, 0.01, 0.0]
    assert {group["lookahead_k"] for group in optimizer.param_groups} == {5}
    assert optimizer.defaults["lr"] == 0.3
    assert optimizer.pieces[0].__name__ == "slow_weights"
    assert optimizer.pieces[-1].__name__ == "look_back"


def test_ranger_is_radam_with_lookahead():
    first, second = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    one = ranger([first], 0.1)
    other = lookahead(radam([second], 0.1, momentum=0.95, eps=1e-6, weight_decay=0.01))
    for step in range(15):
        first.grad = torch.full((3,), 1.0 + step)
        second.grad = first.grad.clone()
        one.step()
        other.step()
    assert torch.equal(first, second)


def test_it_may_begin_in_the_middle_of_a_training():
    parameter = nn.Parameter(torch.tensor([1.0]))
    before = sgd([parameter], lr=0.1)
    parameter.grad = torch.ones(1)
    before.step()
    optimizer = lookahead(sgd([parameter], lr=0.1), k=2, alpha=0.5)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": before.state_dict()["state"]})
    optimizer.step()  # the second step: back to the middle between 0.9 and 0.8
    assert parameter.item() == pytest.approx(0.85)


def test_yaml_names_what_it_wraps():
    build = optimizers.bind("lookahead", base={"name": "adam", "eps": "1e-3"}, k=4)
    assert build.keywords["base"]["eps"] == 1e-3
    assert "lr" not in build.keywords["base"]
    again = optimizers.bind("lookahead", **build.keywords)  # as a run's own YAML has it, every value written out
    optimizer = again([nn.Parameter(torch.zeros(1))], lr=0.3)
    assert optimizer.defaults["eps"] == 1e-3
    assert (optimizer.defaults["lr"], optimizer.defaults["lookahead_k"]) == (0.3, 4)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"name": "adamm"}, "did you mean 'adam'"),
        ({"name": "adam", "epss": 1}, "did you mean 'eps'"),
        ({"name": "adam", "lr": 1}, "lr beside it"),
        ({}, "write base"),
        ({"name": "torch_adam"}, "cannot wrap Adam"),
    ],
)
def test_what_cannot_be_wrapped_is_told(base, message):
    with pytest.raises(ConfigError, match=message):
        optimizers.build("lookahead", [nn.Parameter(torch.zeros(1))], base=base)
