import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.models.create import timm_model
from fastcli.models.single_pixel import SinglePixelConv2d, noting_single_pixels, train_single_pixels_fast
from fastcli.types import InputInfo


def gradients(layer, maps):
    maps = maps.clone(memory_format=torch.preserve_format).requires_grad_()
    outputs = layer(maps)
    outputs.float().square().sum().backward()
    return outputs.detach(), maps.grad, *(p.grad for p in layer.parameters())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (5, 2, 2), ((1, 3), 1, (0, 1)), (2, 2, 1)]
)
@pytest.mark.parametrize("pixels", [1, 4])
def test_results_and_gradients_are_those_of_torch(kernel, stride, padding, layout, pixels):
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 12, kernel, stride, padding).to(memory_format=layout)
    maps = torch.randn(5, 8, pixels, pixels).contiguous(memory_format=layout)
    found, wanted = (gradients(layer, maps) for layer in (SinglePixelConv2d(copy.deepcopy(plain)), plain))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_under_autocast_the_gradients_are_those_of_fp32_but_for_rounding():
    torch.manual_seed(0)
    layer = SinglePixelConv2d(nn.Conv2d(24, 24, 3, 2, 1))
    maps = torch.randn(16, 24, 1, 1)
    wanted = gradients(layer, maps)
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(layer, maps)
    assert found[0].dtype == torch.bfloat16
    for one, other in zip(found, wanted, strict=True):
        assert F.cosine_similarity(one.float().flatten(), other.flatten(), dim=0) > 0.999


def test_second_derivatives_are_right():
    torch.manual_seed(0)
    layer = SinglePixelConv2d(nn.Conv2d(2, 3, 3, 1, 1).double())
    maps = torch.randn(2, 2, 1, 1, dtype=torch.double, requires_grad=True)

    def run(maps, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (maps,)).square()

    assert torch.autograd.gradcheck(run, (maps, layer.weight))
    assert torch.autograd.gradgradcheck(run, (maps, layer.weight))


def test_only_what_meets_one_pixel_is_replaced_and_no_name_changes():
    model = timm.create_model("resnet18", num_classes=2)
    names = list(model.state_dict())
    with noting_single_pixels(model) as met:
        model.eval()(torch.zeros(1, 3, 28, 28))
    train_single_pixels_fast(model, met)
    replaced = [name for name, module in model.named_modules() if isinstance(module, SinglePixelConv2d)]
    assert replaced == ["layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2"]
    assert list(model.state_dict()) == names
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, padding=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ],
)
def test_others_are_left_alone(layer):
    with noting_single_pixels(layer) as met:
        layer(torch.zeros(1, 4, 4, 4))
        for hook in layer._forward_pre_hooks.values():
            hook(layer, (torch.zeros(1, 4, 1, 1),))
    assert met == set()


def test_a_model_for_small_images_has_them_and_one_for_large_images_has_none():
    def count(size):
        model = timm_model(InputInfo(3, (size, size)), 2, architecture="test_resnet", pretrained=False)
        return sum(isinstance(module, SinglePixelConv2d) for module in model.modules())

    assert count(8) > 0
    assert count(96) == 0
