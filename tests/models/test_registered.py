"""Models of a plugin: any function that returns a module."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.learner.learner import Learner
from fastcli.models.create import create_model, describe, input_config_of
from fastcli.models.summary import model_summary
from fastcli.registry import models
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))


@pytest.fixture
def plugin():
    """Registers a model for the length of a test."""
    before = dict(models._components)
    yield models
    models._components = before


def test_a_registered_model_comes_before_timms(plugin):
    @plugin(name="resnet18_of_mine")
    def mine(inputs, n_out, /, width: int = 4):
        return nn.Sequential(nn.Flatten(), nn.Linear(12288, width), nn.Linear(width, n_out))

    assert describe(create_model("resnet18_of_mine", SMALL, 2, width=3))[0] == 12288 * 3 + 3 + 3 * 2 + 2
    assert input_config_of("resnet18_of_mine", {}) is None


def test_a_plugins_lazy_layers_get_their_sizes_and_keep_their_mode(plugin):
    @plugin
    def lazy_of_mine(inputs, n_out, /):
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(n_out))

    model = create_model("lazy_of_mine", InputInfo(2, (6, 5)), 3)
    assert describe(model) == (2 * 4 * 9 + 4 + 8 + 48 * 3 + 3,) * 2
    assert all(module.training for module in model.modules())
    assert not model[1].running_mean.any()


def test_a_plain_sequential_of_a_plugin_is_one_group_that_is_always_trained(plugin):
    @plugin
    def plain_of_mine(inputs, n_out, /):
        return nn.Sequential(nn.Conv2d(inputs.channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, n_out))

    model = create_model("plain_of_mine", InputInfo(3, (8, 8)), 2)
    learner = Learner(([], None), model, F.cross_entropy)
    learner.freeze()
    assert [len(group) for group in learner.layer_groups] == [4]
    assert describe(model)[0] == describe(model)[1] == 402
    assert [row.kind for row in model_summary(model, torch.randn(1, 3, 8, 8)).rows] == [
        "Conv2d", "ReLU", "Flatten", "Linear",
    ]  # fmt: skip


class Grouped(nn.Module):
    """A plugin's model that names its own groups and its own architecture."""

    def __init__(self, n_in, n_out, architecture):
        super().__init__()
        self.body, self.head, self.architecture = nn.Linear(n_in, 4), nn.Linear(4, n_out), architecture

    def forward(self, images):
        return self.head(self.body(images.flatten(1)).relu())

    def layer_groups(self):
        return [list(self.body.parameters()), list(self.head.parameters())]


def test_a_plugins_own_groups_are_frozen_and_summed_up(plugin):
    @plugin
    def grouped_of_mine(inputs, n_out, /, architecture: str = "small"):
        return Grouped(inputs.channels * inputs.size[0] * inputs.size[1], n_out, architecture)

    model = create_model("grouped_of_mine", InputInfo(1, (5, 5)), 2)
    learner = Learner(([], None), model, F.cross_entropy)
    learner.freeze()
    assert describe(model) == (26 * 4 + 5 * 2, 5 * 2)
    assert str(model_summary(model, torch.randn(3, 1, 5, 5))).endswith("the first 1 of 2 layer groups frozen")
    learner.unfreeze()
    assert describe(model)[1] == describe(model)[0]
    assert input_config_of("grouped_of_mine", {}) is None
    assert input_config_of("grouped_of_mine", {"architecture": "resnet18"}) == input_config_of("resnet18", {})
