import pytest
import torch
from torch import nn

from fastcli.models.create import create_model, describe, layer_groups
from fastcli.models.hooks import hook_outputs
from fastcli.models.summary import model_summary
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))


def test_a_plain_model_is_a_table():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.ReLU(), nn.Flatten()), nn.Linear(288, 2))
    model[0].requires_grad_(False)
    assert str(model_summary(model, torch.randn(5, 3, 8, 8))) == (
        "Sequential, input 1×3×8×8\n"
        "\n"
        "layer  type     output   parameters  trained\n"
        "────────────────────────────────────────────\n"
        "0      Conv2d   1×8×6×6         224  no\n"
        "1.0    ReLU     1×8×6×6\n"
        "1.1    Flatten  1×288\n"
        "2      Linear   1×2             578  yes\n"
        "\n"
        "802 parameters, 578 of them trained; nothing frozen"
    )


@pytest.mark.parametrize(
    ("name", "options"), [("test_resnet", {}), ("test_vit", {}), ("test_convnext", {}), ("mlp", {}),
                          ("unet", {"architecture": "test_resnet", "self_attention": True})],
)  # fmt: skip
def test_the_rows_add_up_to_the_model(name, options):
    pretrained = {} if name == "mlp" else {"pretrained": False}
    model = create_model(name, SMALL, 3, **pretrained, **options)
    layer_groups(model)[0][0].requires_grad_(False)
    summary = model_summary(model, torch.randn(2, 3, 64, 64))
    assert (summary.parameters, summary.trained) == describe(model)
    assert sum(row.parameters for row in summary.rows) == summary.parameters
    assert sum(row.trained for row in summary.rows) == summary.trained
    assert all(row.shapes is not None for row in summary.rows)


def test_it_says_how_far_the_model_is_frozen():
    model = create_model("test_resnet", SMALL, 3, pretrained=False)
    early, late, _ = layer_groups(model)
    for parameter in early:
        parameter.requires_grad_(False)
    images = torch.randn(1, 3, 64, 64)
    assert (model_summary(model, images).frozen, model_summary(model, images).groups) == (1, 3)
    for parameter in late:
        parameter.requires_grad_(parameter.ndim == 1)  # norms that train on, as in fastai
    assert str(model_summary(model, images)).endswith("the first 2 of 3 layer groups frozen")


def test_a_layer_called_twice_has_two_rows_and_its_parameters_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.alias = self.layer

        def forward(self, numbers):
            return self.alias(self.layer(numbers))

    rows = model_summary(Twice(), torch.randn(2, 4)).rows
    assert [(row.name, row.parameters, row.shapes) for row in rows] == [
        ("layer", 20, ((1, 4),)),
        ("layer", 0, ((1, 4),)),
    ]


def test_outputs_of_several_tensors_and_inputs_of_several_batches():
    class Pair(nn.Module):
        def forward(self, first, second):
            return first, {"sum": first.sum(1) + second}

    summary = model_summary(Pair(), (torch.randn(4, 3), torch.randn(4)))
    assert summary.inputs == ((1, 3), (1,))
    assert summary.rows[0].shapes == ((1, 3), (1,))
    assert "1×3, 1" in str(summary)


def test_weights_of_a_container_and_layers_left_out_are_told():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(5))
            self.used, self.spare = nn.Linear(5, 2), nn.Linear(5, 3)
            self.same = nn.Linear(5, 2)
            self.same.weight = self.used.weight

        def forward(self, numbers):
            return self.used(numbers * self.scale) + self.same(numbers)

    rows = {row.name: row for row in model_summary(Odd(), torch.randn(2, 5)).rows}
    assert list(rows) == ["(model)", "used", "same", "spare"]
    assert [row.parameters for row in rows.values()] == [5, 12, 2, 18]
    assert rows["spare"].cells() == ("spare", "Linear", "not called", "18", "yes")


class Restless(nn.Module):
    """Counts its calls and draws random numbers, in any mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))
        self.layer = nn.BatchNorm1d(4)

    def forward(self, numbers):
        self.calls += 1
        self.last = torch.rand(())
        return self.layer(numbers)


def test_modes_buffers_gradients_hooks_and_random_numbers_stay():
    model = nn.Sequential(Restless(), nn.Dropout(), nn.Linear(4, 2))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    model_summary(model, torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, False, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_that_fails_is_left_as_it_was():
    model = nn.Sequential(Restless(), nn.Linear(5, 2))
    with pytest.raises(RuntimeError, match="mat1"):
        model_summary(model, torch.randn(3, 4))
    assert model.training
    assert model[0].calls == 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_it_goes_with_the_users_own_hooks():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with hook_outputs(model) as hooks:
        assert len(model_summary(model, torch.randn(3, 4)).rows) == 2
    assert hooks.stored[0].shape == (1, 3)


def test_a_compiled_model_is_summed_up_without_compiling():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    model.compile(backend=lambda *graph: pytest.fail("it was compiled"))
    assert len(model_summary(model, torch.randn(3, 4)).rows) == 2
