import pytest
import timm

from fastcli.errors import ConfigError
from fastcli.models.body import NEAREST, SAME
from fastcli.models.create import create_model, input_config_of
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))


@pytest.mark.parametrize(("name", "hint"), [
    ("xresnet50", "timm does not have it; the nearest is 'resnet50d'"),
    ("squeezenet1_1", "timm does not have it; the nearest is 'mobilenetv3_small_050'"),
    ("alexnet", "timm does not have it; the nearest is 'vgg11_bn'"),
    ("mobilenet_v2", "timm calls it 'mobilenetv2_100'"),
])  # fmt: skip
def test_names_of_fastai_and_torchvision_that_timm_has_not_lead_to_one_that_it_has(name, hint):
    with pytest.raises(ConfigError, match=f"unknown model '{name}'") as caught:
        create_model(name, SMALL, 2)
    assert caught.value.hint == hint


def test_the_names_that_fastai_users_type_are_timms_or_lead_there():
    known = set(timm.list_models())
    assert {*SAME.values(), *NEAREST.values()} <= known
    assert not {*SAME, *NEAREST} & known
    resnets = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
    others = [
        "densenet121",
        "densenet161",
        "densenet169",
        "densenet201",
        "vgg11_bn",
        "vgg13_bn",
        "vgg16_bn",
        "vgg19_bn",
    ]
    assert known.issuperset(resnets + others)


def test_an_architecture_given_as_a_parameter_is_named_where_it_is_wrong():
    with pytest.raises(ConfigError, match="unknown model 'resent18'") as caught:
        create_model("timm", SMALL, 2, architecture="resent18")
    assert caught.value.key == "model.architecture"


def test_a_tag_chooses_among_an_architectures_weights():
    assert input_config_of("resnet18.a1_in1k", {}).size == (224, 224)
    create_model("resnet18.tv_in1k", SMALL, 2, pretrained=False)
    with pytest.raises(ConfigError, match="no weights 'a9_in1k'") as caught:
        input_config_of("resnet18.a9_in1k", {})
    assert "did you mean" in caught.value.hint


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ConfigError, match="unknown model 'resent18'") as caught:
        create_model("resent18", SMALL, 2)
    assert caught.value.hint == "did you mean 'resnet18'?"
    assert caught.value.key == "model.name"


def test_an_image_too_small_is_an_error_that_says_what_fits():
    with pytest.raises(ConfigError, match="cannot take 3×16×16") as caught:
        create_model("inception_v3", InputInfo(3, (16, 16)), 2, pretrained=False)
    assert "3×299×299" in caught.value.hint


def test_the_input_is_read_from_the_pretrained_configuration():
    config = input_config_of("tf_efficientnet_lite0", {})
    assert config.mean == config.std == (0.5, 0.5, 0.5)
    assert config.size == (224, 224)
    model = create_model("test_efficientnet", SMALL, 2, pretrained=False)
    assert model.input_config == input_config_of("test_efficientnet", {})


def test_statistics_fit_the_channels():
    assert input_config_of("resnet18", {}, 1).mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert len(input_config_of("resnet18", {}, 4).std) == 4
