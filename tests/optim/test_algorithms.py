"""The registered optimizers against torch's over 50 steps."""

import copy

import pytest
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.optim.algorithms import adam, as_groups, can_fuse, sgd, torch_adam, torch_adamw, torch_sgd
from fastcli.optim.groups import parameter_groups, set_hyper
from fastcli.registry import optimizers


def compare(ours, theirs, steps=50, before=lambda step: None):
    """The largest difference after `steps` steps with the same random gradients, beside the largest number."""
    torch.manual_seed(0)
    first = [nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (5,), (2, 3, 3, 3))]
    second = copy.deepcopy(first)
    mine, yours = ours(first), theirs(second)
    for _ in range(steps):
        for one, other in zip(first, second, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        mine.step()
        yours.step()
    one, other = nn.utils.parameters_to_vector(first), nn.utils.parameters_to_vector(second)
    return ((one - other).abs().max() / other.abs().max().clamp(min=1)).item()


@pytest.mark.parametrize("numbers", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sgd_is_torchs_bit_for_bit(numbers, weight_decay):
    numbers = {"lr": 0.1, "weight_decay": weight_decay, **numbers}

    def theirs(params):
        return torch.optim.SGD(params, foreach=True, **numbers)

    assert compare(lambda params: sgd(params, decoupled=False, fused=False, **numbers), theirs) == 0
    assert compare(lambda params: sgd(params, decoupled=False, fused=True, **numbers), theirs) < 1e-6


def test_sgd_decouples_its_decay_as_fastai_does():
    parameter = nn.Parameter(torch.tensor([2.0]))
    parameter.grad = torch.tensor([1.0])
    sgd([parameter], lr=0.5, weight_decay=0.1).step()
    assert parameter.item() == pytest.approx(2 * (1 - 0.5 * 0.1) - 0.5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("foreach", [False, True])
def test_adam_with_fastais_numbers_is_torchs_adamw(fused, foreach):
    def theirs(params):
        return torch.optim.AdamW(params, 1e-3, (0.9, 0.99), 1e-5, 0.01, foreach=foreach)

    assert compare(lambda params: adam(params, fused=fused), theirs) < 1e-6


@pytest.mark.parametrize("fused", [False, True])
def test_adam_with_coupled_decay_is_torchs_adam(fused):
    def theirs(params):
        return torch.optim.Adam(params, 1e-3, (0.9, 0.99), 1e-5, 0.01)

    assert compare(lambda params: adam(params, decoupled=False, fused=fused), theirs) < 1e-6


def test_adam_is_fastais_published_formula():
    parameter = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer, lr, value, mean, square = adam([parameter], lr=0.1), 0.1, 1.0, 0.0, 0.0
    for step in range(1, 11):
        gradient = step * 0.3 - 1
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        value *= 1 - lr * 0.01
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        value -= lr / (1 - 0.9**step) * mean / ((square / (1 - 0.99**step)) ** 0.5 + 1e-5)
    assert parameter.item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("fused", [False, None])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (torch_sgd, torch.optim.SGD),
        (torch_adam, torch.optim.Adam),
        (torch_adamw, torch.optim.AdamW),
    ],
)
def test_torchs_own_keep_torchs_defaults(ours, theirs, fused):
    assert compare(lambda params: ours(params, fused=fused), theirs) < 1e-6


def test_momentum_is_a_plain_number_in_torchs_own_too():
    def scheduled(optimizer):
        set_hyper(optimizer, "momentum", 0.5)
        set_hyper(optimizer, "beta2", 0.8)
        return optimizer

    def theirs(params):
        return torch.optim.AdamW(params, 1e-3, (0.5, 0.8))

    assert compare(lambda params: scheduled(torch_adamw(params)), theirs) < 1e-6
    assert compare(lambda params: torch_adamw(params), theirs) > 1e-4


def test_one_cycle_of_torch_cycles_momentum_in_torchs_own_too():
    optimizer = torch_adamw([nn.Parameter(torch.zeros(1))])
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=10)
    assert optimizer.param_groups[0]["momentum"] == 0.95
    optimizer.step()
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


def test_torchs_own_resume_into_channels_last_memory():
    torch.manual_seed(0)
    weight, gradient = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(weight.clone().to(memory_format=layout))
        optimizer = torch_sgd([parameter], lr=0.1, momentum=0.9)
        state = {"momentum_buffer": weight.clone()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {0: state}})
        parameter.grad = gradient.clone().to(memory_format=layout)
        optimizer.step()
        results.append(parameter.detach())
    torch.testing.assert_close(*results)


def test_fused_is_chosen_where_it_gives_the_same_numbers():
    assert [piece.__name__ for piece in adam([nn.Parameter(torch.zeros(2))]).pieces] == ["fused_adamw"]
    assert len(adam([nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))]).pieces) == 5
    assert not can_fuse(as_groups([torch.zeros(4, 4)[:, ::2]]))
    assert not can_fuse(as_groups([torch.zeros(2, device="meta")]))


def test_params_may_be_whatever_torch_takes():
    layer = nn.Linear(2, 3)
    for params in (layer.parameters(), layer.named_parameters(), [{"params": layer.parameters()}], [layer.weight]):
        assert adam(params).pieces[0].__name__ == "fused_adamw"
    assert len(as_groups([{"params": layer.weight, "lr": 0.1}])[0]["params"]) == 1
    with pytest.raises(ValueError, match="empty parameter list"):
        adam([])


def test_the_layer_of_a_group_reaches_the_optimizer():
    groups = parameter_groups([nn.Linear(2, 2), nn.Linear(2, 1)])
    assert [group["layer"] for group in adam(groups).param_groups] == [0, 0, 1, 1]
    assert [group["weight_decay"] for group in adam(groups).param_groups] == [0.01, 0.0, 0.01, 0.0]


def test_yaml_may_give_what_the_signature_says():
    build = optimizers.bind("adam", lr="2e-3")
    assert build([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] == 2e-3
    with pytest.raises(ConfigError, match="'sgd', parameter 'lr'"):
        optimizers.bind("sgd", lr=-1)
    with pytest.raises(ConfigError, match="'adam', parameter 'momentum'"):
        optimizers.bind("adam", momentum=1)
    with pytest.raises(ConfigError, match="did you mean 'weight_decay'"):
        optimizers.bind("adam", weigth_decay=0.1)
