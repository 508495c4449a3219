import math

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from fastcli.errors import ConfigError
from fastcli.learner.learner import Learner
from fastcli.models.create import create_model, describe, input_config_of, layer_groups
from fastcli.models.unet import UNet
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))
BODIES = ["resnet18", "tf_efficientnet_lite0", "test_convnext", "test_mambaout", "test_efficientnet"]


def unet(architecture="test_resnet", inputs=SMALL, n_out=3, **options):
    return create_model("unet", inputs, n_out, architecture=architecture, pretrained=False, **options)


def fill(model):
    """Every parameter by a formula of its shape alone, so that two libraries' models of one form are one model."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1:
                wave = (torch.arange(parameter.numel(), dtype=torch.float64) * 0.7).cos().view_as(parameter)
                parameter.data.copy_(wave / math.sqrt(parameter[0].numel()))
            else:
                parameter.data.fill_(1.0 if isinstance(module, nn.BatchNorm2d) and name == "weight" else 0.001)
    return model.eval()


FASTAI = [  # of create_unet_model(resnet18, 3, size) in fastai 2.8.12, filled likewise
    ((64, 64), {}, 0.008151245, 0.126945838, [-0.128808, -0.131352, -0.129379]),
    ((64, 96), {"blur": True}, -0.006715955, 0.274053604, [-0.344135, -0.324006, -0.292789]),
    ((64, 64), {"blur": True, "blur_last": False, "cross": False}, 0.00598552, 0.062187064,
     [0.022435, 0.164552, -0.130828]),
    ((65, 67), {}, 0.00403338, 0.161384388, [-0.044657, -0.027475, -0.009322]),
    ((64, 64), {"output_range": (-1, 3)}, 1.007961631, 0.125393003, [0.87137, 0.868837, 0.870801]),
]  # fmt: skip


@pytest.mark.parametrize(("size", "options", "mean", "std", "pixel"), FASTAI)
def test_the_outputs_are_those_of_fastais_dynamic_unet(size, options, mean, std, pixel):
    model = fill(unet("resnet18", InputInfo(3, size), **options))
    images = (torch.arange(2 * 3 * math.prod(size), dtype=torch.float64) * 0.3).sin().view(2, 3, *size).float()
    with torch.no_grad():
        logits = model(images)
    assert (logits.mean().item(), logits.std().item()) == pytest.approx((mean, std), abs=1e-5)
    assert logits[1, :, 5, 7].tolist() == pytest.approx(pixel, abs=1e-5)
    assert describe(model)[0] == (30_936_483 if "cross" in options else 31_113_108)


@pytest.mark.parametrize("name", BODIES)
def test_any_pyramid_gives_one_logit_per_class_and_pixel_and_trains_everything(name):
    torch.manual_seed(0)
    model = unet(name, n_out=4)
    masks = torch.randint(4, (2, 64, 64))
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 4, 64, 64)
    F.cross_entropy(logits, masks).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("size", [(33, 50), (97, 64), (31, 31), (64, 1)])
def test_the_output_has_the_size_of_any_input(size):
    model = unet().eval()
    with torch.no_grad():
        assert model(torch.randn(2, 3, *size)).shape == (2, 3, *size)


def test_the_body_gives_the_maps_that_timm_gives():
    torch.manual_seed(0)
    model = unet("resnet18").eval()
    plain = timm.create_model("resnet18", features_only=True).eval()
    plain.load_state_dict(model.body.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(model.feature_maps(images), plain(images), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["test_vit", "mixer_s32_224"])
def test_a_body_of_one_size_is_refused(name):
    with pytest.raises(ConfigError, match="no maps of several sizes") as caught:
        unet(name, InputInfo(3, (224, 224)))
    assert caught.value.key == "model.architecture"


def test_an_image_that_the_body_cannot_take_is_told_when_it_is_built(monkeypatch):
    body = timm.create_model("test_resnet")
    monkeypatch.setattr(body, "maxpool", nn.Conv2d(32, 32, 40))
    with pytest.raises(ConfigError, match="mine cannot take 3×64×64: .*Kernel size") as caught:
        UNet(body, 2, inputs=SMALL, architecture="mine")
    assert "it was trained on 3×160×160" in caught.value.hint


def test_an_unknown_architecture_names_its_own_key():
    with pytest.raises(ConfigError, match="unknown model 'resent34'") as caught:
        unet("resent34")
    assert (caught.value.key, caught.value.hint) == ("model.architecture", "did you mean 'resnet34'?")


def test_fastai_fault_a_bottleneck_makes_the_cross_connection_narrow_and_not_fail():
    narrow, wide = unet(bottleneck=True), unet()
    assert narrow(torch.randn(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    width = narrow.decoder.last.in_channels
    assert narrow.decoder.cross.first[0].out_channels == width // 2
    assert describe(narrow)[0] < describe(wide)[0]


def test_self_attention_stands_at_the_third_block_from_the_end_and_changes_nothing_at_first():
    torch.manual_seed(0)
    model = unet(self_attention=True).eval()
    kinds = [type(block.attention).__name__ for block in model.decoder.blocks]
    assert kinds == ["Identity", "SelfAttention", "Identity", "Identity"]
    images = torch.randn(1, 3, 64, 64)
    before = model(images)
    model.decoder.blocks[1].attention = nn.Identity()
    assert torch.equal(model(images), before)


def test_norms_follow_every_convolution_of_the_decoder_but_the_last():
    model = unet(norm=True)
    convolutions = [it for it in model.decoder.modules() if isinstance(it, nn.Conv2d)]
    assert sum(it.bias is not None for it in convolutions) == 1
    assert not model.decoder.cross.second[1].weight.any()


def test_a_range_holds_the_outputs():
    logits = unet(output_range=(0, 1))(torch.randn(2, 3, 64, 64) * 100)
    assert 0 <= logits.min() < logits.max() <= 1


def test_grey_pictures_and_their_cross_connection():
    model = unet(inputs=InputInfo(1, (64, 64)))
    assert model(torch.randn(2, 1, 64, 64)).shape == (2, 3, 64, 64)
    assert len(model.input_config.mean) == 1


def test_the_convolutions_start_by_kaiming_and_without_bias():
    torch.manual_seed(0)
    first = unet("resnet18").decoder.middle[2][0]
    assert abs(first.weight.std().item() - math.sqrt(2 / (512 * 9))) < 1e-4
    assert not first.bias.any()


def test_logits_are_single_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert unet()(torch.randn(2, 3, 64, 64)).dtype == torch.float32


# Weights and groups.


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_weights_come_from_a_file_with_a_report(name, tmp_path):
    torch.manual_seed(0)
    plain = timm.create_model(name, num_classes=7)
    save_file(plain.state_dict(), tmp_path / "w.safetensors")
    model = create_model("unet", SMALL, 3, architecture=name, pretrained=str(tmp_path / "w.safetensors"))
    assert model.weights.loaded == model.weights.total
    for key, value in model.body.state_dict().items():
        assert torch.equal(value, plain.state_dict()[key])


def test_the_weights_of_a_classifier_start_a_unet(tmp_path):
    first = create_model("test_resnet", SMALL, 5, pretrained=False)
    save_file(first.state_dict(), tmp_path / "best.safetensors")
    second = create_model("unet", SMALL, 2, architecture="test_resnet", pretrained=str(tmp_path / "best.safetensors"))
    assert torch.equal(second.body.conv1[0].weight, first.body.conv1[0].weight)


def test_a_saved_unet_is_loaded_again(tmp_path):
    first, second = unet(self_attention=True).eval(), unet(self_attention=True).eval()
    second.load_state_dict(first.state_dict())
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(first(images), second(images))


@pytest.mark.parametrize("name", BODIES)
def test_groups_are_early_body_late_body_decoder_and_every_parameter_once(name):
    model = unet(name)
    groups = layer_groups(model)
    assert len(groups) == 3
    assert sorted(id(p) for group in groups for p in group) == sorted(id(p) for p in model.parameters())
    assert groups[-1] == list(model.decoder.parameters())


def test_a_resnet_is_cut_where_fastai_cuts_it():
    model = unet("resnet18")
    names = {id(p): name.split(".")[1] for name, p in model.named_parameters()}
    early, late, _ = ({names[id(p)] for p in group} for group in layer_groups(model))
    assert (early, late) == ({"conv1", "bn1", "layer1", "layer2"}, {"layer3", "layer4"})


@pytest.mark.parametrize("norms", ["follow", "train", "freeze"])
def test_freezing_trains_the_decoder_and_the_norms_that_were_asked_for(norms):
    model = unet("resnet18")
    learner = Learner(([], None), model, F.cross_entropy)
    learner.freeze(norms=norms)
    body = [p for module in model.body.modules() for p in module.parameters(recurse=False)
            if isinstance(module, nn.BatchNorm2d)]  # fmt: skip
    assert all(p.requires_grad for p in model.decoder.parameters())
    assert {p.requires_grad for p in body} == {norms == "train"}
    assert not model.body.conv1.weight.requires_grad
    learner.unfreeze()
    assert all(p.requires_grad for p in model.parameters())


def test_it_learns_to_find_a_bright_square():
    torch.manual_seed(0)
    model = unet(n_out=2)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images, masks = torch.rand(8, 3, 32, 32), torch.zeros(8, 32, 32, dtype=torch.long)
    for i in range(8):
        images[i, :, i : i + 16, 2 * i : 2 * i + 12] += 1
        masks[i, i : i + 16, 2 * i : 2 * i + 12] = 1
    for _ in range(15):
        optimizer.zero_grad()
        F.cross_entropy(model(images), masks).backward()
        optimizer.step()
    found = model(images).argmax(1)
    assert (found & masks).sum() / (found | masks).sum() > 0.9


# What it was trained on.


def test_the_input_is_that_of_the_architecture_given_or_default():
    assert input_config_of("unet", {}) == input_config_of("resnet34", {})
    assert input_config_of("unet", {"architecture": "tf_efficientnet_lite0"}).mean == (0.5, 0.5, 0.5)
    assert unet("test_efficientnet").input_config == input_config_of("test_efficientnet", {})
    with pytest.raises(ConfigError, match="unknown model") as caught:
        input_config_of("unet", {"architecture": "resnet3"})
    assert caught.value.key == "model.architecture"
