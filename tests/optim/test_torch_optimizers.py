"""Torch's and timm's optimizers by name, with plain numbers for betas."""

import copy
import inspect

import pytest
import timm.optim
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.optim.groups import hyperparameters, parameter_groups, set_hyper
from fastcli.optim.torch_optimizers import NAMES, with_plain_numbers
from fastcli.registry import optimizers

CLASSES = {f"torch_{name.lower()}": getattr(torch.optim, name) for name in NAMES}


def compare(ours, theirs, steps=20):
    """The largest difference after the same steps from the same start."""
    torch.manual_seed(0)
    first = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(5))]
    second = copy.deepcopy(first)
    mine, yours = ours(first), theirs(second)
    for step in range(steps):
        for i, (one, other) in enumerate(zip(first, second, strict=True)):
            if i == 0 or step >= 5:
                one.grad = torch.randn_like(one)
                other.grad = one.grad.clone()
        mine.step()
        yours.step()
    return max((one - other).abs().max().item() for one, other in zip(first, second, strict=True))


def by_name(name, **numbers):
    return lambda params: optimizers.build(name, params, **numbers)


@pytest.mark.parametrize("name", CLASSES)
def test_torchs_own_keep_torchs_defaults(name):
    assert compare(by_name(name), CLASSES[name]) < 1e-6


@pytest.mark.parametrize("name", CLASSES)
def test_their_signatures_are_torchs_with_plain_betas(name):
    theirs = set(inspect.signature(CLASSES[name]).parameters) - {"params", "foreach", "maximize", "capturable"}
    ours = set(optimizers.keys_of(name))
    assert ours == (theirs - {"betas", "differentiable"}) | ({"momentum", "beta2"} if "betas" in theirs else set())
    assert optimizers[name].__doc__.startswith(f"`torch.optim.{CLASSES[name].__name__}`")


@pytest.mark.parametrize("fused", [False, None])
@pytest.mark.parametrize("name", ["torch_sgd", "torch_adam", "torch_adamw"])
def test_fused_kernels_give_the_same_numbers(name, fused):
    assert compare(by_name(name, fused=fused), CLASSES[name]) < 1e-6


def test_their_parameters_are_checked():
    numbers = {"alpha": 0.9, "centered": True, "momentum": 0.5, "weight_decay": 0.1}
    ours = by_name("torch_rmsprop", **{**numbers, "weight_decay": "0.1"})
    assert compare(ours, lambda params: torch.optim.RMSprop(params, **numbers)) < 1e-6
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        optimizers.check("torch_rmsprop", alhpa=0.9)
    with pytest.raises(ConfigError, match="'torch_nadam', parameter 'momentum'"):
        optimizers.check("torch_nadam", momentum=1.5)
    with pytest.raises(ConfigError, match="did you mean 'torch_adagrad'"):
        optimizers.check("torch_adagrd")


def test_momentum_is_a_plain_number_in_torchs_own_too():
    def scheduled(optimizer):
        set_hyper(optimizer, "momentum", 0.5)
        set_hyper(optimizer, "beta2", 0.8)
        return optimizer

    def theirs(params):
        return torch.optim.AdamW(params, 1e-3, (0.5, 0.8))

    assert compare(lambda params: scheduled(optimizers.build("torch_adamw", params)), theirs) < 1e-6
    assert compare(by_name("torch_adamw"), theirs) > 1e-4


def test_one_cycle_of_torch_cycles_momentum_in_torchs_own_too():
    optimizer = optimizers.build("torch_adamw", [nn.Parameter(torch.zeros(1))])
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=10)
    assert optimizer.param_groups[0]["momentum"] == 0.95
    optimizer.step()
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


@pytest.mark.parametrize("name", ["torch_adam", "torch_sgd"])
def test_a_checkpoint_of_plain_numbers_goes_on(name):
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    optimizer = optimizers.build(name, [parameter], lr=0.1, momentum=0.8)
    optimizer.step()
    again = optimizers.build(name, [parameter])
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert again.param_groups[0]["momentum"] == 0.8
    again.step()


def test_torchs_own_resume_into_channels_last_memory():
    torch.manual_seed(0)
    weight, gradient = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(weight.clone().to(memory_format=layout))
        optimizer = optimizers.build("torch_sgd", [parameter], lr=0.1, momentum=0.9)
        state = {"momentum_buffer": weight.clone()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {0: state}})
        parameter.grad = gradient.clone().to(memory_format=layout)
        optimizer.step()
        results.append(parameter.detach())
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(
    ("algorithm", "numbers", "theirs"),
    [
        ("adan", {}, timm.optim.Adan),
        ("adan", {"momentum": 0.9, "beta2": 0.8}, lambda p, lr: timm.optim.Adan(p, lr, betas=(0.9, 0.8, 0.99))),
        ("adamp", {}, lambda p, lr: timm.optim.AdamP(p, lr, wd_ratio=0.01, nesterov=True)),
        ("madgrad", {"weight_decay": 0.1}, lambda p, lr: timm.optim.MADGRAD(p, lr, weight_decay=0.1)),
        ("nlars", {}, lambda p, lr: timm.optim.Lars(p, lr, momentum=0.9, nesterov=True)),
        ("adopt", {"options": {"clip_exp": None}}, lambda p, lr: timm.optim.Adopt(p, lr, clip_exp=None)),
        ("cnadamw", {}, lambda p, lr: timm.optim.NAdamW(p, lr, caution=True)),
    ],
)
def test_timms_own_by_name_are_timms(algorithm, numbers, theirs):
    ours = by_name("timm", algorithm=algorithm, lr=0.01, **numbers)
    assert compare(ours, lambda params: theirs(params, lr=0.01)) < 1e-6


def test_timms_momentum_can_be_scheduled_and_groups_keep_their_decay():
    groups = parameter_groups([nn.Linear(2, 2)])
    optimizer = optimizers.build("timm", groups, algorithm="adan", weight_decay=0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert {"momentum", "beta2", "lr"} <= set(hyperparameters(optimizer))
    set_hyper(optimizer, "momentum", 0.5)
    optimizer.step()
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.92, 0.99)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"algorithm": "adann"}, "did you mean 'adan'"),
        ({"algorithm": "adahessian"}, "no optimizer 'adahessian' to train with"),
        ({"algorithm": "fusedadam"}, "no optimizer 'fusedadam' to train with"),
        ({"algorithm": "lion", "options": {"cautoin": True}}, "did you mean 'caution'"),
        ({"algorithm": "adagrad", "momentum": 0.9}, "has no parameter 'momentum'"),
        ({"algorithm": "nesterov", "momentum": 0.0}, "Nesterov momentum requires"),
        ({}, "'algorithm'"),
    ],
)
def test_what_timm_has_not_is_told(numbers, message):
    with pytest.raises(ConfigError, match=message):
        optimizers.build("timm", [nn.Parameter(torch.zeros(1))], **numbers)


def test_a_name_that_timm_has_not_is_told_before_there_is_a_model():
    with pytest.raises(ConfigError, match="did you mean 'adan'"):
        optimizers.check("timm", algorithm="adann")


def test_a_class_of_a_plugin_gets_plain_numbers_by_one_call():
    optimizer = with_plain_numbers(torch.optim.NAdam([nn.Parameter(torch.zeros(1))], betas=(0.7, 0.8)))
    assert (optimizer.defaults["momentum"], optimizer.param_groups[0]["beta2"]) == (0.7, 0.8)
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    assert optimizer.param_groups[1]["momentum"] == 0.7
