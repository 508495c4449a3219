import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.errors import FastcliError
from fastcli.models.create import create_model
from fastcli.models.hooks import Hook, Hooks, evaluating, hook_output, hook_outputs, model_sizes, num_features
from fastcli.types import InputInfo


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 2)
    )


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def hooks_on(model):
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules())


def steps(model, images):
    """The outputs of each layer, and none written over by the next."""
    found = []
    for layer in copy.deepcopy(model):
        images = F.relu(images) if isinstance(layer, nn.ReLU) else layer(images)
        found.append(images)
    return found


def test_outputs_are_what_each_layer_gave_though_the_next_works_in_place(model, images):
    wanted = steps(model, images)
    with hook_outputs(model) as hooks:
        model(images)
    assert len(hooks) == len(hooks.stored) == 5
    assert all(torch.equal(one, other) for one, other in zip(hooks.stored, wanted, strict=True))
    assert not any(stored.requires_grad for stored in hooks.stored)


def test_gradients_are_those_of_the_outputs_though_the_next_layer_works_in_place(model, images):
    outputs = steps(model, images)
    wanted = torch.autograd.grad(outputs[-1].square().sum(), outputs)
    with hook_outputs(model, backward=True) as hooks:
        model(images).square().sum().backward()
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(hooks.stored, wanted, strict=True))


def test_gradients_of_several_outputs_come_together():
    class Two(nn.Module):
        def forward(self, numbers):
            return {"a": numbers * 2, "b": [numbers * 3]}

    model = Two()
    with hook_output(model, backward=True) as hook:
        found = model(torch.ones(2, requires_grad=True))
        (found["a"] * 5 + found["b"][0] * 7).sum().backward()
    assert [gradient.tolist() for gradient in hook.stored] == [[5, 5], [7, 7]]


def test_a_function_is_called_with_the_module_and_what_it_saw(model, images):
    with Hook(model[0], lambda module, inputs, outputs: (module, inputs[0].shape, outputs.mean().item())) as hook:
        wanted = model[0](images).mean().item()
        model(images)
    assert hook.stored == (model[0], (2, 3, 8, 8), wanted)


def test_without_detach_the_graph_goes_through(model, images):
    with hook_outputs([model[0]], detach=False) as hooks:
        model(images)
    hooks.stored[0].sum().backward()
    assert model[0].weight.grad is not None


@pytest.mark.parametrize("backward", [False, True])
def test_hooks_are_removed_at_the_end_and_after_an_error(model, images, backward):
    with hook_outputs(model, backward=backward):
        assert hooks_on(model) == 5
    assert hooks_on(model) == 0
    with pytest.raises(RuntimeError, match="mat1"), hook_outputs(model, backward=backward):
        model(images[:, :, :6])
    assert hooks_on(model) == 0


def test_hooks_are_removed_where_one_of_them_cannot_be_set(model):
    with pytest.raises(AttributeError):
        Hooks([model[0], "no module"], lambda *seen: None)
    assert hooks_on(model) == 0


def test_a_removed_hook_does_not_hear_a_graph_that_lives_on(model, images):
    with hook_output(model[0], backward=True) as hook:
        logits = model(images)
    logits.sum().backward()
    assert hook.stored is None


def test_without_a_with_a_hook_hears_until_it_is_removed(model, images):
    hook = hook_output(model[4])
    model(images)
    first = hook.stored
    hook.remove()
    hook.remove()
    model(images + 1)
    assert hook.stored is first


def test_evaluating_gives_each_module_its_own_mode_back(model):
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert [module.training for module in model] == [True, False, True, True, True]
    assert torch.is_grad_enabled()


def test_sizes_are_those_of_each_child(model):
    assert model_sizes(model, (8, 8)) == [(1, 4, 6, 6)] * 3 + [(1, 144), (1, 2)]
    assert int(model[1].num_batches_tracked) == 0


def test_features_are_counted_with_the_first_size_that_fits():
    assert num_features(nn.Sequential(nn.Conv2d(5, 7, 60), nn.ReLU())) == 7
    body = create_model("test_resnet", InputInfo(3, (64, 64)), 2, pretrained=False).body
    assert num_features(body) == body.num_features


def test_a_model_that_takes_no_picture_says_why(model):
    with pytest.raises(FastcliError, match="takes no picture of 32 to 2048 pixels.*mat1"):
        num_features(model)
    with pytest.raises(FastcliError, match="no convolution"):
        num_features(nn.Linear(2, 2))
