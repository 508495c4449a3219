import pytest
import torch
from torch import nn

from fastcli.models.create import create_model
from fastcli.report.grad_cam import grad_cam, last_map
from fastcli.types import InputInfo


class Net(nn.Module):
    """Class 0 is how red a picture is, class 1 how blue; one module stands in two places, as in torchvision."""

    def __init__(self, outputs=2):
        super().__init__()
        self.body, self.relu, self.same = nn.Conv2d(3, 2, 4, 4, bias=False), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 1)
        self.head = nn.Linear(2, outputs, bias=False)
        with torch.no_grad():
            self.body.weight.zero_()
            self.body.weight[0, 0], self.body.weight[1, 2] = 1, 1
            self.same.weight.copy_(torch.eye(2)[..., None, None])
            self.same.bias.zero_()
            self.head.weight.copy_(torch.eye(2) if outputs == 2 else torch.tensor([[-1.0, 1.0]]))

    def forward(self, images):
        return self.head(self.relu(self.same(self.relu(self.body(images)))).mean((2, 3)))


@pytest.fixture
def pictures():
    """Red at the upper left, blue at the lower right."""
    images = torch.zeros(2, 3, 32, 32)
    images[:, 0, :8, :8] = 1
    images[:, 2, 24:, 24:] = 1
    return images


@pytest.mark.parametrize("outputs", [1, 2])
def test_it_looks_where_the_class_is(outputs, pictures):
    model = Net(outputs).train()
    maps = grad_cam(model, pictures, torch.tensor([0, 1]))
    assert maps.shape == (2, 32, 32)
    assert maps.amax((1, 2)).tolist() == [1, 1]
    assert divmod(int(maps[0].argmax()), 32) <= (8, 8)
    assert min(divmod(int(maps[1].argmax()), 32)) >= 23
    assert maps[0, 16:, 16:].max() < 0.01
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_models_are_no_obstacle(pictures):
    assert grad_cam(Net().requires_grad_(False), pictures, torch.tensor([0, 1])) is not None


def test_models_without_maps_have_none(pictures):
    assert grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)), pictures, torch.tensor([0, 1])) is None


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "convnext_atto"])
def test_the_map_is_the_last_before_the_pooling(name):
    model = create_model(name, InputInfo(3, (64, 64)), 2, pretrained=False)
    inputs = torch.rand(1, 3, 64, 64)
    seen = []
    layer = last_map(model, inputs)
    layer.register_forward_hook(lambda module, given, output: seen.append(output.shape))
    assert grad_cam(model, inputs, torch.tensor([1])).shape == (1, 64, 64)
    assert seen[-1][-2:] == (2, 2)
