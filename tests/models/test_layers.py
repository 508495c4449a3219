import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.models.layers import (
    AdaptiveConcatPool2d,
    DepthwiseConv2d,
    PixelShuffleUpsample,
    SelfAttention,
    SigmoidRange,
    train_depthwise_fast,
)

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def gradients(layer, images, towards):
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    outputs = layer(images)
    outputs.backward(towards.to(outputs.dtype))
    found = outputs.detach(), images.grad, *(p.grad for p in layer.parameters())
    layer.zero_grad(set_to_none=True)
    return found


def relative(found, wanted):
    return ((found.float() - wanted.float()).norm() / wanted.float().norm()).item()


def test_concat_pool_gives_maxima_before_means():
    maps = torch.randn(2, 5, 3, 4)
    pooled = AdaptiveConcatPool2d()(maps)
    assert torch.equal(pooled[:, :5], maps.amax((2, 3)))
    assert torch.allclose(pooled[:, 5:], maps.mean((2, 3)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(5, 1, 2), (5, 2, 0), (3, 2, 1), (7, 1, 3), (4, 2, 1), ((3, 6), 1, 2)]
)
def test_depthwise_gradients_equal_those_of_torch(kernel, stride, padding, layout):
    torch.manual_seed(0)
    plain = nn.Conv2d(16, 16, kernel, stride, padding, groups=16).to(memory_format=layout)
    images = torch.randn(3, 16, 13, 12).contiguous(memory_format=layout)
    towards = torch.randn_like(plain(images))
    wanted = gradients(plain, images, towards)
    found = gradients(DepthwiseConv2d(plain), images, towards)
    for one, other in zip(found, wanted, strict=True):
        assert relative(one, other) < 1e-5


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(5, 1, 2), (5, 2, 0), (3, 2, 1), (7, 2, 3)])
def test_depthwise_gradients_under_autocast_are_those_of_fp32_but_for_rounding(kernel, stride, padding, layout):
    torch.manual_seed(0)
    plain = nn.Conv2d(16, 16, kernel, stride, padding, groups=16, bias=False).to(memory_format=layout)
    images = torch.randn(3, 16, 17, 16).contiguous(memory_format=layout)
    towards = torch.randn_like(plain(images))
    wanted = gradients(plain, images, towards)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(DepthwiseConv2d(plain), images, towards)
    assert found[0].dtype == torch.bfloat16
    assert all(one.dtype == torch.float32 for one in found[1:])
    for one, other in zip(found, wanted, strict=True):
        assert relative(one, other) < 1e-2


def test_depthwise_second_derivatives_are_right():
    torch.manual_seed(0)
    layer = DepthwiseConv2d(nn.Conv2d(2, 2, 5, 1, 2, groups=2, bias=False).double())
    images = torch.randn(1, 2, 5, 5, dtype=torch.double, requires_grad=True)
    weight = layer.weight

    def run(images, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (images,))

    assert torch.autograd.gradcheck(run, (images, weight))
    assert torch.autograd.gradgradcheck(run, (images, weight))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext", "tf_efficientnet_lite0"])
def test_replacing_depthwise_convolutions_changes_no_name_and_no_result(name):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3)
    names = list(model.state_dict())
    images, targets = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])

    def run():
        model.zero_grad(set_to_none=True)
        logits = model.train()(images)
        F.cross_entropy(logits, targets).backward()
        return logits.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])

    before = run()
    assert train_depthwise_fast(model) > 0
    after = run()
    assert list(model.state_dict()) == names
    assert relative(after[0], before[0]) < 1e-5
    assert relative(after[1], before[1]) < 1e-4


def test_what_torch_trains_fast_or_otherwise_is_left_alone():
    model = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 5, padding=2),
        nn.Conv2d(8, 16, 5, groups=8),
        nn.Conv2d(16, 16, 5, dilation=2, groups=16),
        nn.Conv2d(16, 16, 5, padding="same", groups=16),
        nn.Conv2d(16, 16, 5, padding=2, padding_mode="reflect", groups=16),
    )
    assert train_depthwise_fast(model) == 0


def test_a_depthwise_convolution_that_is_not_trained_still_passes_gradients_on():
    layer = DepthwiseConv2d(nn.Conv2d(4, 4, 5, 2, 2, groups=4)).requires_grad_(False)
    images = torch.randn(1, 4, 9, 9, requires_grad=True)
    wanted = torch.autograd.grad(F.conv2d(images, layer.weight, layer.bias, 2, 2, 1, 4).sum(), images)[0]
    assert torch.allclose(torch.autograd.grad(layer(images).sum(), images)[0], wanted, atol=1e-6)


# fastai's.


def test_a_sigmoid_range_is_the_sigmoid_stretched():
    inputs = torch.tensor([-1.0, 0.0, 2.0])
    wanted = torch.tensor([-1 + 4 / (1 + 2.718281828), 1.0, -1 + 4 / (1 + 0.1353352832)])
    assert torch.allclose(SigmoidRange(-1, 3)(inputs), wanted)


@pytest.mark.parametrize("norm", [False, True])
def test_an_upsampling_starts_without_a_checkerboard(norm):
    torch.manual_seed(0)
    layer = PixelShuffleUpsample(6, 4, norm=norm).eval()
    maps = torch.randn(2, 6, 5, 3)
    out = layer(maps)
    assert out.shape == (2, 4, 10, 6)
    assert torch.equal(out, F.interpolate(out[..., ::2, ::2], scale_factor=2))
    assert abs(PixelShuffleUpsample(256, 64)[0].weight.std().item() - (2 / 256) ** 0.5) < 5e-3


def test_an_upsampling_of_three_makes_squares_of_nine_and_blur_is_the_mean_of_four():
    torch.manual_seed(0)
    plain = PixelShuffleUpsample(3, 2, 3)
    blurred = PixelShuffleUpsample(3, 2, 3, blur=True)
    blurred.load_state_dict(plain.state_dict())
    maps = torch.randn(1, 3, 2, 2)
    sharp = plain(maps)
    padded = F.pad(sharp, (1, 0, 1, 0), mode="replicate")
    wanted = (padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]) / 4
    assert sharp.shape == (1, 2, 6, 6)
    assert torch.allclose(blurred(maps), wanted, atol=1e-6)


def test_self_attention_is_that_of_its_paper_and_starts_as_nothing():
    torch.manual_seed(0)
    layer = SelfAttention(16)
    maps = torch.randn(2, 16, 3, 5)
    assert torch.equal(layer(maps), maps)
    nn.init.constant_(layer.gamma, 0.7)
    layer.eval()
    pixels = maps.flatten(2)
    f, g, h = (each(pixels) for each in (layer.key, layer.query, layer.value))
    seen = torch.bmm(h, torch.softmax(torch.bmm(f.transpose(1, 2), g), 1))
    assert torch.allclose(layer(maps), maps + 0.7 * seen.view_as(maps), atol=1e-5)


def test_the_weights_of_self_attention_have_a_spectral_norm_of_one():
    torch.manual_seed(0)
    layer = SelfAttention(32)
    for _ in range(30):
        layer(torch.randn(1, 32, 2, 2))
    largest = torch.linalg.matrix_norm(layer.value.weight[..., 0], ord=2)
    assert largest.item() == pytest.approx(1, abs=2e-2)
