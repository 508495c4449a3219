"""Param groups, spread rates and set_hyper."""

import pytest
import torch
from torch import nn

from fastcli.errors import ConfigError, FastcliError
from fastcli.optim.algorithms import adam
from fastcli.optim.groups import hyperparameters, layers_of, parameter_groups, set_hyper, spread


def layers():
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LayerNorm((8, 2, 2)))
    return [body, nn.Linear(8, 2)]


def test_norms_and_biases_do_not_decay():
    groups = parameter_groups(layers())
    assert [(group["layer"], group["decays"], len(group["params"])) for group in groups] == [
        (0, True, 1),
        (0, False, 5),
        (1, True, 1),
        (1, False, 1),
    ]
    assert [group.get("weight_decay") for group in groups] == [None, 0.0, None, 0.0]


def test_everything_decays_when_asked():
    groups = parameter_groups(layers(), decay_norm_bias=True)
    assert [(group["layer"], len(group["params"])) for group in groups] == [(0, 6), (1, 2)]
    assert not any("weight_decay" in group for group in groups)


def test_a_layer_may_be_a_list_of_parameters():
    head = nn.Linear(3, 2)
    groups = parameter_groups([[head.weight], [head.bias]])
    assert [(group["layer"], group["decays"]) for group in groups] == [(0, True), (1, False)]


def test_frozen_parameters_are_kept():
    model = nn.Linear(3, 2).requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups([model])) == 2


def test_a_shared_parameter_counts_once_in_a_layer_and_fails_across_layers():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    assert [len(group["params"]) for group in parameter_groups([nn.Sequential(first, second)])] == [1]
    assert [len(group["params"]) for group in parameter_groups([[first.weight, second.weight]])] == [1]
    with pytest.raises(FastcliError, match="belongs to layers 0 and 1"):
        parameter_groups([first, second])


@pytest.mark.parametrize(
    ("rate", "n", "wanted"),
    [
        (0.1, 3, [0.1, 0.1, 0.1]),
        (slice(0.1), 3, [0.01, 0.01, 0.1]),
        (slice(0.1), 1, [0.1]),
        (slice(1e-5, 1e-3), 3, [1e-5, 1e-4, 1e-3]),
        (slice(1e-5, 1e-3), 1, [1e-3]),
        (slice(1e-4, 1e-1), 4, [1e-4, 1e-3, 1e-2, 1e-1]),
        ((1, 2), 2, [1.0, 2.0]),
    ],
)
def test_spread(rate, n, wanted):
    assert spread(rate, n) == pytest.approx(wanted)


@pytest.mark.parametrize("rate", [[1.0], slice(1e-3, None), slice(0.0, 1.0), slice(1.0, 2.0, 3.0)])
def test_what_cannot_be_spread_is_refused(rate):
    with pytest.raises(ConfigError):
        spread(rate, 2)


def test_set_hyper_gives_each_layer_its_value_and_keeps_zero_decay():
    optimizer = adam(parameter_groups(layers()))
    set_hyper(optimizer, "lr", slice(0.1, 0.2))
    set_hyper(optimizer, "weight_decay", 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0, 0.5, 0.0]


def test_set_hyper_keeps_a_tensor_a_tensor():
    lr = torch.tensor(0.1)
    optimizer = adam([nn.Parameter(torch.zeros(1))], lr=lr)
    set_hyper(optimizer, "lr", 0.25)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25


def test_an_unknown_hyperparameter_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))])
    with pytest.raises(ConfigError, match="no hyperparameter 'momentun'") as error:
        set_hyper(optimizer, "momentun", 0.5)
    assert error.value.hint == "did you mean 'momentum'?"


@pytest.mark.parametrize("name", ["nesterov", "decays", "params", "layer_"])
def test_what_is_no_number_is_no_hyperparameter(name):
    optimizer = adam(parameter_groups(layers()))
    assert hyperparameters(optimizer) == ["beta2", "eps", "lr", "momentum", "weight_decay"]
    with pytest.raises(ConfigError, match="no hyperparameter"):
        set_hyper(optimizer, name, 0.5)


def test_groups_without_a_layer_are_layers_by_place():
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(3)], lr=0.1)
    assert layers_of(optimizer) == [0, 1, 2]
