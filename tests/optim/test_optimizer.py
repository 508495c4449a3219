"""The Optimizer against torch's: hooks, schedulers, scaler, checkpoints, late unfreezing."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fastcli.errors import FastcliError
from fastcli.optim import stats, steppers
from fastcli.optim.algorithms import adam, sgd
from fastcli.optim.optimizer import Group, Optimizer, laid_out_like, piece

ADAMW = [steppers.decay, stats.average, stats.average_square, steppers.adam_direction, steppers.descend]
TORCH_ADAMW = {"betas": (0.9, 0.99), "eps": 1e-5, "weight_decay": 0.01}


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 4, 3))


def train(model, optimizer, steps=50, scheduler=None, before=lambda step: None):
    """The losses of `steps` steps on random data; the same for every call."""
    generator = torch.Generator().manual_seed(1)
    losses = []
    for step in range(steps):
        before(step)
        inputs, targets = torch.randn(8, 2, 4, 4, generator=generator), torch.randint(3, (8,), generator=generator)
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if scheduler is not None:
            scheduler.step()
        losses.append(loss.item())
    return torch.tensor(losses)


def same(first, second, atol=1e-6):
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


class Count(TorchDispatchMode):
    """Counts the top-level calls into aten."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += function.namespace == "aten"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("make", "limit"), [(sgd, 4), (adam, 9)])
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_takes_few_calls_however_many_tensors(make, limit, fused):
    parameters = [nn.Parameter(torch.zeros(3)) for _ in range(161)]
    for parameter in parameters:
        parameter.grad = torch.ones(3)
    optimizer = make(parameters, momentum=0.9, weight_decay=0.01, fused=fused)
    optimizer.step()
    with Count() as count:
        optimizer.step()
    assert count.calls <= (2 if fused else limit)


@pytest.mark.parametrize("fused", [False, True])
def test_a_parameter_unfrozen_late_is_corrected_for_its_own_age(fused):
    ours, theirs = small_model(), small_model()

    def unfreezing(model):
        def before(step):
            for parameter in model[0].parameters():
                parameter.requires_grad_(step >= 20)

        return before

    optimizer = adam(ours.parameters(), lr=1e-2, fused=fused)
    mine = train(ours, optimizer, before=unfreezing(ours))
    yours = train(theirs, torch.optim.AdamW(theirs.parameters(), 1e-2, **TORCH_ADAMW), before=unfreezing(theirs))
    torch.testing.assert_close(mine, yours, atol=1e-6, rtol=0)
    same(ours, theirs)
    assert optimizer.state[ours[0].weight]["step"] == 30
    assert optimizer.state[ours[3].weight]["step"] == 50


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_torch_schedulers_drive_it_as_they_drive_torch(schedule, fused):
    def scheduler(optimizer):
        if schedule == "cosine":
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=60)

    ours, theirs = small_model(), small_model()
    mine, yours = adam(ours.parameters(), fused=fused), torch.optim.AdamW(theirs.parameters(), **TORCH_ADAMW)
    train(ours, mine, scheduler=scheduler(mine))
    train(theirs, yours, scheduler=scheduler(yours))
    same(ours, theirs)
    assert mine.param_groups[0]["momentum"] == yours.param_groups[0]["betas"][0]
    assert (mine.param_groups[0]["momentum"] == 0.9) == (schedule == "cosine")


@pytest.mark.parametrize("fused", [False, True])
def test_a_checkpoint_goes_on_exactly(fused):
    part = small_model()
    optimizer = adam(part.parameters(), fused=fused)
    train(part, optimizer, steps=25)
    file = io.BytesIO()
    torch.save({"model": part.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    resumed = small_model()
    resumed.load_state_dict(saved["model"])
    again = adam(resumed.parameters(), fused=fused)
    again.load_state_dict(saved["optimizer"])
    assert {state["step"] for state in again.state.values()} == {25}
    for model, stepper in ((part, optimizer), (resumed, again)):
        train(model, stepper, steps=5)
    same(part, resumed, atol=0)


def test_a_checkpoint_of_torch_can_be_taken_over():
    ours, theirs = small_model(), small_model()
    reference = torch.optim.AdamW(theirs.parameters(), **TORCH_ADAMW)
    train(theirs, reference, steps=10)
    ours.load_state_dict(theirs.state_dict())
    optimizer = adam(ours.parameters())
    state = copy.deepcopy(reference.state_dict()["state"])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    train(ours, optimizer, steps=10)
    train(theirs, reference, steps=10)
    same(ours, theirs)


@pytest.mark.parametrize("make", [adam, sgd])
def test_fused_steps_are_right_whatever_the_memory_layout(make):
    """Torch's own fused SGD is silently wrong here: a contiguous state or gradient, a channels-last parameter."""
    torch.manual_seed(0)
    weight, gradients = torch.randn(4, 3, 2, 2), torch.randn(6, 4, 3, 2, 2)
    results = []
    for fused in (False, True):
        parameter = nn.Parameter(weight.clone().to(memory_format=torch.channels_last))
        optimizer = make([parameter], lr=0.1, momentum=0.9, fused=fused)
        for gradient in gradients[:3]:
            parameter.grad = gradient.clone()
            optimizer.step()
        saved = copy.deepcopy(optimizer.state_dict())
        for name, value in saved["state"][0].items():
            if name != "step":
                saved["state"][0][name] = value.contiguous()
        optimizer.load_state_dict(saved)
        for gradient in gradients[3:]:
            parameter.grad = gradient.clone()
            optimizer.step()
        results.append(parameter.detach())
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=0)


def test_laid_out_like_keeps_values_and_takes_strides():
    tensor, weight = torch.randn(2, 3, 4, 4), torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert laid_out_like(tensor, tensor) is tensor
    assert torch.equal(laid_out_like(tensor, weight), tensor)
    assert laid_out_like(tensor, weight).stride() == weight.stride()


def test_the_gradient_scaler_works_unchanged():
    ours, theirs = small_model(), small_model()
    pairs = [(ours, adam(ours.parameters())), (theirs, torch.optim.AdamW(theirs.parameters(), **TORCH_ADAMW))]
    for model, optimizer in pairs:
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for step in range(6):
            torch.manual_seed(step)
            loss = model(torch.randn(4, 2, 4, 4)).square().mean() * (float("inf") if step == 2 else 1.0)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    same(ours, theirs)
    assert {state["step"] for state in pairs[0][1].state.values()} == {5}


def test_hooks_run_once_and_a_closure_gives_its_loss():
    model, heard = small_model(), []
    optimizer = adam(model.parameters())
    optimizer.register_step_pre_hook(lambda *_: heard.append("before"))
    optimizer.register_step_post_hook(lambda *_: heard.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(2, 2, 4, 4)).square().mean()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert heard == ["before", "after"]
    assert optimizer.step(closure) < first


def test_the_gradients_are_never_written():
    for make in (lambda p: adam(p, fused=False), lambda p: adam(p, decoupled=False), lambda p: sgd(p, momentum=0.9)):
        parameter = nn.Parameter(torch.ones(3))
        parameter.grad = torch.tensor([1.0, 2.0, 3.0])
        make([parameter]).step()
        assert parameter.grad.tolist() == [1.0, 2.0, 3.0]


def test_parameters_without_a_gradient_keep_their_value_and_get_no_state():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.ones(2)
    optimizer = adam([used, unused])
    optimizer.step()
    assert unused.tolist() == [1.0, 1.0]
    assert unused not in optimizer.state


def test_a_group_of_mixed_types_equals_torch():
    for kwargs in ({"fused": False}, {"fused": True}):
        torch.manual_seed(0)
        ours = [nn.Parameter(torch.randn(5, dtype=dtype)) for dtype in (torch.float32, torch.float64, torch.float32)]
        theirs = copy.deepcopy(ours)
        mine, yours = adam(ours, **kwargs), torch.optim.AdamW(theirs, foreach=False, **TORCH_ADAMW)
        for _ in range(5):
            for one, other in zip(ours, theirs, strict=True):
                one.grad = torch.randn_like(one)
                other.grad = one.grad.clone()
            mine.step()
            yours.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_hyperparameters_may_be_tensors():
    numbers, tensors = small_model(), small_model()
    train(numbers, adam(numbers.parameters(), lr=0.01), steps=5)
    optimizer = adam(tensors.parameters(), lr=torch.tensor(0.01, dtype=torch.float64))
    train(tensors, optimizer, steps=5)
    same(numbers, tensors, atol=0)


def test_each_param_group_has_its_own_hyperparameters():
    slow, fast = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    slow.grad, fast.grad = torch.ones(1), torch.ones(1)
    optimizer = sgd([{"params": [slow], "lr": 0.1}, {"params": [fast]}], lr=0.5)
    optimizer.step()
    assert (slow.item(), fast.item()) == pytest.approx((0.9, 0.5))


def test_pieces_of_a_user_join_with_their_defaults():
    @piece(strength=2.0)
    def push(group: Group) -> None:
        group.update = torch._foreach_mul(group.update, group.strength)

    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    optimizer = Optimizer([parameter], [push, steppers.descend], lr=0.1)
    assert optimizer.defaults == {"strength": 2.0, "lr": 0.1}
    optimizer.step()
    assert parameter.item() == pytest.approx(0.8)


def test_an_unknown_hyperparameter_is_named():
    def wanting(group: Group) -> None:
        group.update = torch._foreach_mul(group.update, group.gamma)

    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    with pytest.raises(AttributeError, match="no hyperparameter 'gamma'; it has lr"):
        Optimizer([parameter], [wanting, steppers.descend], lr=0.1).step()


def test_sparse_gradients_and_complex_parameters_are_refused():
    embedding = nn.Embedding(3, 2, sparse=True)
    embedding(torch.tensor([0])).sum().backward()
    with pytest.raises(FastcliError, match=r"sparse gradient of a parameter of shape \(3, 2\)"):
        adam(embedding.parameters()).step()
    with pytest.raises(FastcliError, match="complex"):
        adam([nn.Parameter(torch.zeros(2, dtype=torch.complex64))])


def test_a_copy_keeps_its_pieces():
    model = small_model()
    optimizer = Optimizer(model.parameters(), ADAMW)
    assert copy.deepcopy(optimizer).pieces == ADAMW


def test_it_prints_its_pieces_and_groups():
    text = repr(Optimizer([nn.Parameter(torch.zeros(2, 3))], ADAMW, lr=0.1))
    first, second = text.splitlines()
    assert first == "Optimizer([decay, average, average_square, adam_direction, descend])"
    assert second == "  0: 1 tensors, 6 numbers, lr=0.1, weight_decay=0.0, momentum=0.9, beta2=0.99, eps=1e-05"


def test_a_step_never_reads_from_the_device():
    """On the meta device any read raises; a group may hold parameters of several devices."""
    for make in (lambda p: adam(p, fused=False), lambda p: sgd(p, momentum=0.9, fused=False, weight_decay=0.1)):
        parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, device="meta"))]
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        make(parameters).step()
        assert parameters[0].max() < 1


def test_gradients_are_forgotten_or_set_to_zero():
    model = small_model()
    optimizer = adam(model.parameters())
    model(torch.ones(2, 2, 4, 4)).sum().backward()
    kept = [parameter.grad for parameter in model.parameters()]
    optimizer.zero_grad(set_to_none=False)
    assert all(gradient is parameter.grad for gradient, parameter in zip(kept, model.parameters(), strict=True))
    assert not any(gradient.any() for gradient in kept)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())
