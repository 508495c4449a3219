"""What holds for every registered optimizer that is made of pieces."""

import copy
import inspect

import pytest
import torch
from torch import nn

from fastcli.optim import lookahead
from fastcli.registry import optimizers

OURS = [name for name in optimizers if optimizers[name].__module__ == "fastcli.optim.algorithms"]
NAMES = [*OURS, *(name for name in optimizers if optimizers[name].__module__ == lookahead.__name__)]


def build(name, params, **numbers):
    """The optimizer of this name with some decay, whatever else it takes."""
    extra = {"base": {"name": "sgd", "momentum": 0.9}} if name == "lookahead" else {"weight_decay": 0.1}
    return optimizers.build(name, params, **extra, **numbers)


def tensors():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (5,), (3, 2))]


def walk(optimizer, params, steps, start=0):
    """Take steps with gradients that depend on the step alone."""
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in params:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def test_all_of_the_issue_are_there():
    wanted = "sgd rmsprop adam adamw radam qhadam larc lars lamb lion lookahead ranger adopt"
    assert set(wanted.split()) <= set(optimizers)


@pytest.mark.parametrize("name", OURS)
def test_each_is_at_most_five_lines_of_pieces(name):
    source = inspect.getsource(optimizers[name])
    body = source.rpartition('"""')[2].strip().splitlines()
    assert 1 <= len(body) <= 5


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_unfrozen_late_goes_as_if_alone(name):
    together, alone = tensors(), tensors()
    both, one = build(name, together), build(name, alone[2:])
    walk(both, together[:2], 7)
    assert torch.equal(together[2], alone[2])
    for step in range(7):
        generator = torch.Generator().manual_seed(100 + step)
        for parameter in together:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        alone[2].grad = together[2].grad.clone()
        both.step()
        one.step()
    torch.testing.assert_close(together[2], alone[2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_goes_on_exactly(name):
    params = tensors()
    optimizer = build(name, params)
    walk(optimizer, params, 4)
    saved, copied = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(params)
    again = build(name, copied, lr=0.5)
    again.load_state_dict(saved)
    walk(optimizer, params, 5, start=4)
    walk(again, copied, 5, start=4)
    for one, other in zip(params, copied, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_scaler_skips_a_bad_step_and_unscales_the_others(name):
    scaled, plain = tensors(), tensors()
    one, other = build(name, scaled), build(name, plain)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    for step in range(6):
        factor = float("inf") if step == 2 else 1.0
        scaler.scale(sum((p * p).sum() for p in scaled) * factor).backward()
        scaler.step(one)
        scaler.update()
        one.zero_grad()
        if step != 2:
            sum((p * p).sum() for p in plain).backward()
            other.step()
            other.zero_grad()
    for mine, yours in zip(scaled, plain, strict=True):
        torch.testing.assert_close(mine, yours, atol=1e-6, rtol=0)
    assert all(one.state[p]["step"] == 5 for p in scaled)


@pytest.mark.parametrize("name", NAMES)
def test_torch_schedulers_drive_it(name):
    params, by_hand = tensors(), tensors()
    optimizer, other = build(name, params, lr=0.1), build(name, by_hand, lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for step in range(4):
        walk(optimizer, params, 1, start=step)
        scheduler.step()
        for group in other.param_groups:
            group["lr"] = 0.1 * 0.5**step
        walk(other, by_hand, 1, start=step)
    for mine, yours in zip(params, by_hand, strict=True):
        assert torch.equal(mine, yours)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_stay_and_what_is_frozen_stays(name):
    params = tensors()
    params[1].requires_grad_(False)
    before = params[1].clone()
    optimizer = build(name, params)
    for _ in range(3):
        for parameter in (params[0], params[2]):
            parameter.grad = torch.full_like(parameter, 2.0)
        optimizer.step()
        assert all((parameter.grad == 2).all() for parameter in (params[0], params[2]))
    assert torch.equal(params[1], before)
    assert params[1] not in optimizer.state


@pytest.mark.parametrize("name", NAMES)
def test_a_step_reads_nothing_from_the_device(name):
    """On the meta device any read raises."""
    params = [nn.Parameter(torch.ones(2, 2, device="meta")) for _ in range(2)]
    optimizer = build(name, params)
    for _ in range(7):  # lookahead looks back once
        for parameter in params:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_down_a_bowl_in_half_precision_too(name):
    for dtype in (torch.float32, torch.bfloat16):
        params = [nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=dtype))]
        optimizer = build(name, params, lr=10 if name == "lars" else 0.05)  # its unit is a thousandth of the norm
        for _ in range(30):
            optimizer.zero_grad()
            (params[0] ** 2).sum().backward()
            optimizer.step()
        assert params[0].square().sum() < 5
        assert params[0].dtype is dtype


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_has_its_own_rate(name):
    params = tensors()[::2]
    before = [parameter.clone() for parameter in params]
    optimizer = build(name, [{"params": params[:1], "lr": 0.0}, {"params": params[1:]}], lr=0.1)
    walk(optimizer, params, 3)
    assert torch.equal(params[0], before[0])
    assert not torch.equal(params[1], before[1])
