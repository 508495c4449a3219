import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.errors import ConfigError, FastcliError
from fastcli.models.create import create_model, describe, layer_groups, vision_model
from fastcli.models.finetune import FineTuneModel
from fastcli.models.layers import AdaptiveConcatPool2d, SigmoidRange
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))
TINY_NAMES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "test_mambaout", "mobilenetv3_small_050"]


def names_of(model, group):
    names = {id(p): name for name, p in model.named_parameters()}
    return [names[id(p)] for p in group]


# Plain models.


def test_linear_is_one_layer_on_the_pixels():
    model = create_model("linear", InputInfo(1, (28, 28)), 1)
    assert describe(model) == (785, 785)
    assert model(torch.rand(4, 1, 28, 28)).shape == (4, 1)


def test_mlp_is_the_books_784_30_1():
    model = create_model("mlp", InputInfo(1, (28, 28)), 1)
    assert [type(layer).__name__ for layer in model] == ["Flatten", "Linear", "ReLU", "Linear"]
    assert describe(model)[0] == 784 * 30 + 30 + 30 + 1


def test_mlp_takes_any_widths_and_dropout():
    model = create_model("mlp", InputInfo(1, (4, 4)), 2, hidden=[8, 6], dropout=0.1)
    assert [layer.out_features for layer in model if isinstance(layer, nn.Linear)] == [8, 6, 2]
    assert sum(isinstance(layer, nn.Dropout) for layer in model) == 2


def test_a_plain_model_is_one_group():
    model = create_model("mlp", InputInfo(1, (4, 4)), 2)
    assert layer_groups(model) == [list(model.parameters())]


# timm's.


@pytest.mark.parametrize("head", ["concat", "linear"])
@pytest.mark.parametrize("name", TINY_NAMES)
def test_any_architecture_gives_logits_trains_everything_and_splits_at_its_features(name, head):
    torch.manual_seed(0)
    model = create_model(name, SMALL, 5, pretrained=False, head=head)
    images = torch.randn(2, 3, 64, 64)
    F.cross_entropy(model(images), torch.tensor([1, 4])).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.eval()
    assert torch.equal(model.classify(model.features(images)), model(images))
    assert model.features(images).ndim == 2


@pytest.mark.parametrize("name", TINY_NAMES)
def test_groups_are_body_early_body_late_head_and_every_parameter_once(name):
    model = create_model(name, SMALL, 5, pretrained=False)
    groups = layer_groups(model)
    assert len(groups) == 3
    assert sorted(id(p) for group in groups for p in group) == sorted(id(p) for p in model.parameters())
    assert groups[-1] == list(model.head.parameters())


def test_a_resnet_is_cut_where_fastai_cuts_it():
    model = create_model("resnet18", SMALL, 5, pretrained=False)
    early, late, _ = (names_of(model, group) for group in layer_groups(model))
    assert {name.split(".")[1] for name in early} == {"conv1", "bn1", "layer1", "layer2"}
    assert {name.split(".")[1] for name in late} == {"layer3", "layer4"}


def test_a_transformer_is_cut_in_the_middle_of_its_blocks():
    model = create_model("test_vit", SMALL, 5, pretrained=False)
    early, late, _ = (names_of(model, group) for group in layer_groups(model))
    blocks = [{int(name.split(".")[2]) for name in part if ".blocks." in name} for part in (early, late)]
    assert max(blocks[0]) < min(blocks[1])
    assert abs(len(blocks[0]) - len(blocks[1])) <= 1
    assert "body.norm.weight" in late


def test_a_body_without_stages_is_one_group():
    class Plain(nn.Module):
        pretrained_cfg = {}

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

    model = FineTuneModel(Plain(), nn.Linear(2, 2))
    assert [len(group) for group in model.layer_groups()] == [2, 2]


def test_concat_head_pools_like_fastai_where_timm_averages_and_else_as_timm_does():
    resnet = create_model("test_resnet", SMALL, 5, pretrained=False).eval()
    images = torch.randn(2, 3, 64, 64)
    maps = resnet.feature_map(images)
    assert torch.equal(resnet.features(images), AdaptiveConcatPool2d()(maps))
    convnext = create_model("test_convnext", SMALL, 5, pretrained=False).eval()
    pooled = convnext.body.forward_head(convnext.feature_map(images), pre_logits=True)
    assert torch.equal(convnext.features(images), pooled)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "test_mambaout"])
def test_a_linear_head_goes_back_into_timm(name, channels):
    model = create_model(name, InputInfo(channels, (64, 64)), 4, pretrained=False, head="linear").eval()
    sizes = {"img_size": 64} if name == "test_vit" else {}
    plain = timm.create_model(name, num_classes=4, in_chans=channels, **sizes).eval()
    plain.load_state_dict(model.timm_state_dict())
    images = torch.randn(2, channels, 64, 64)
    assert torch.allclose(plain(images), model(images), atol=1e-5)


def test_a_concat_head_does_not_go_back_into_timm():
    with pytest.raises(FastcliError, match="no model with this head"):
        create_model("test_resnet", SMALL, 4, pretrained=False).timm_state_dict()


def test_resnet18_trains_on_28_pixels_of_grey_as_rgb():
    torch.manual_seed(0)
    model = create_model("resnet18", InputInfo(3, (28, 28)), 2, pretrained=False)
    grey = torch.rand(4, 1, 28, 28).expand(-1, 3, -1, -1)
    F.cross_entropy(model(grey), torch.tensor([0, 1, 0, 1])).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_body_and_head_can_be_frozen_apart():
    model = create_model("test_resnet", SMALL, 4, pretrained=False)
    model.body.requires_grad_(False)
    total, trained = describe(model)
    assert trained == sum(p.numel() for p in model.head.parameters()) < total


def test_parameters_reach_the_head_and_the_body():
    model = create_model("test_convnext", SMALL, 4, pretrained=False, hidden=32, dropout=0.2, drop_path=0.3)
    assert model.head[2].out_features == 32
    assert model.head[5].p == 0.2
    rates = [module.drop_prob for module in model.body.modules() if type(module).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3)


def test_building_leaves_batch_norm_as_it_starts():
    model = create_model("test_resnet", SMALL, 4, pretrained=False)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(int(norm.num_batches_tracked) == 0 for norm in norms)


# The head's options, and heads of one's own.


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_the_head_takes_all_that_fastais_takes(name):
    model = vision_model(
        name, 3, inputs=SMALL, pretrained=False, concat_pool=False, hidden=[8, 6], dropout=[0.1, 0.2, 0.3],
        first_norm=False, final_norm=True, linear_first=True, output_range=(0, 5),
    )  # fmt: skip
    logits = model(torch.randn(4, 3, 64, 64))
    assert 0 <= logits.min() < logits.max() <= 5
    assert [it.out_features for it in model.head if isinstance(it, nn.Linear)] == [8, 6, 3]
    assert model.head[1].in_features == model.body.num_features
    assert model.pool is None


def test_without_concat_pooling_timm_pools():
    model = vision_model("test_resnet", 3, inputs=SMALL, pretrained=False, concat_pool=False).eval()
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(model.features(images), model.feature_map(images).mean((2, 3)), atol=1e-6)


def test_a_head_of_ones_own_gets_the_maps_and_keeps_its_weights():
    width = timm.create_model("test_resnet", num_classes=0).num_features
    head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(width, 3))
    weight = head[2].weight.clone()
    model = vision_model("test_resnet", 3, inputs=SMALL, pretrained=False, custom_head=head).eval()
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(model(images), head(model.body.forward_features(images)))
    assert torch.equal(head[2].weight, weight)
    assert layer_groups(model)[-1] == list(head.parameters())


def test_a_head_of_ones_own_gets_pooled_features_where_timm_has_no_plain_maps():
    width = timm.create_model("test_vit", num_classes=0).num_features
    model = vision_model("test_vit", 3, inputs=SMALL, pretrained=False, custom_head=nn.Linear(width, 3))
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize("head", ["concat", "linear"])
def test_a_range_holds_either_head(head):
    model = create_model("test_resnet", SMALL, 1, pretrained=False, head=head, output_range=(0, 1))
    assert isinstance(model.head[-1], SigmoidRange)
    logits = model(torch.randn(4, 3, 64, 64) * 50)
    assert 0 <= logits.min() < logits.max() <= 1
    if head == "linear":
        assert model.timm_state_dict().keys() == timm.create_model("test_resnet", num_classes=1).state_dict().keys()


def test_several_widths_and_dropouts_from_a_configuration():
    model = create_model("test_resnet", SMALL, 2, pretrained=False, hidden=[16, 8], dropout=[0.1, 0.2, 0.3])
    assert [it.p for it in model.head if isinstance(it, nn.Dropout)] == [0.1, 0.2, 0.3]
    with pytest.raises(ConfigError, match="one layer") as caught:
        create_model("test_resnet", SMALL, 2, pretrained=False, head="linear", dropout=[0.1, 0.2])
    assert caught.value.key == "model.dropout"


def test_a_body_with_another_last_layer_takes_the_concat_head_only():
    with pytest.raises(ConfigError, match="does not end in one linear layer") as caught:
        create_model("deit_tiny_distilled_patch16_224", SMALL, 2, pretrained=False, head="linear")
    assert caught.value.key == "model.head"


def test_an_unknown_parameter_is_an_error():
    with pytest.raises(ConfigError, match="no parameter 'pretraned'"):
        create_model("resnet18", SMALL, 2, pretraned=False)
