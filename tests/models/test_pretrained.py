import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from fastcli.errors import ConfigError, DataError
from fastcli.models.create import create_model
from fastcli.models.pretrained import fit_weights, read_weights
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=7)


@pytest.fixture(scope="module")
def file(resnet, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet.safetensors"
    save_file(resnet.state_dict(), path)
    return path


def test_a_safetensors_file_is_loaded_and_accounted_for(resnet, file):
    model = create_model("test_resnet", SMALL, 3, pretrained=str(file))
    for name, value in model.body.state_dict().items():
        assert torch.equal(value, resnet.state_dict()[name])
    assert model.weights.loaded == model.weights.total
    assert not model.weights.missing
    assert not model.weights.unexpected
    assert str(model.weights).endswith("tensors loaded, classifier of 7 classes replaced")


def test_a_classifier_of_as_many_classes_is_kept(resnet, file):
    model = create_model("test_resnet", SMALL, 7, pretrained=str(file), head="linear").eval()
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(model(images), resnet.eval()(images), atol=1e-6)
    assert "kept" in model.weights.classifier


@pytest.mark.parametrize("nest", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_checkpoints_of_torch_may_be_nested_and_wrapped(resnet, tmp_path, nest, prefix):
    path = tmp_path / "weights.pth"
    torch.save(nest({prefix + name: value for name, value in resnet.state_dict().items()}), path)
    model = create_model("test_resnet", SMALL, 3, pretrained=str(path))
    assert torch.equal(model.body.conv1[0].weight, resnet.conv1[0].weight)


def test_the_weights_of_a_run_start_another(tmp_path):
    first = create_model("test_resnet", SMALL, 3, pretrained=False)
    save_file(first.state_dict(), tmp_path / "best.safetensors")
    second = create_model("test_resnet", SMALL, 9, pretrained=str(tmp_path / "best.safetensors"))
    assert torch.equal(second.body.conv1[0].weight, first.body.conv1[0].weight)
    assert second.weights.loaded == second.weights.total


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_one_channel_answers_to_grey_as_three_channels_to_grey_as_rgb(name, tmp_path):
    torch.manual_seed(0)
    plain = timm.create_model(name, num_classes=0).eval()
    save_file(plain.state_dict(), tmp_path / "w.safetensors")
    size = plain.pretrained_cfg["input_size"][-1]
    model = create_model(name, InputInfo(1, (size, size)), 2, pretrained=str(tmp_path / "w.safetensors"), head="linear")
    grey = torch.randn(2, 1, size, size)
    wanted = plain(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(model.eval().features(grey), wanted, atol=1e-4)


def test_further_channels_start_from_the_colours_and_not_from_zero(file, resnet):
    model = create_model("test_resnet", InputInfo(5, (64, 64)), 2, pretrained=str(file))
    weight = model.body.conv1[0].weight
    assert weight.shape[1] == 5
    assert (weight.abs().sum((0, 2, 3)) > 0).all()
    assert torch.allclose(weight[:, 3], resnet.conv1[0].weight[:, 0] * 3 / 5)


def test_position_embeddings_are_resized(tmp_path):
    plain = timm.create_model("test_vit")
    save_file(plain.state_dict(), tmp_path / "vit.safetensors")
    model = create_model("test_vit", SMALL, 2, pretrained=str(tmp_path / "vit.safetensors"))
    assert model.body.pos_embed.shape[1] < plain.pos_embed.shape[1]
    assert model.weights.loaded == model.weights.total


def test_weights_of_another_architecture_are_refused_with_the_first_differences(file):
    with pytest.raises(
        ConfigError, match=r"resnet.safetensors does not fit test_efficientnet: \d+ of \d+ tensors"
    ) as caught:
        create_model("test_efficientnet", SMALL, 2, pretrained=str(file))
    assert caught.value.key == "model.pretrained"
    assert "conv_stem.weight is missing" in caught.value.message


def test_weights_of_another_width_are_refused_with_both_shapes(resnet):
    wide = {name: value.repeat_interleave(2, 0) for name, value in resnet.state_dict().items() if value.ndim}
    with pytest.raises(ConfigError, match=r"conv1.0.weight is \(\d+, 3, 3, 3\), not"):
        fit_weights(resnet, wide, "wide.pth")


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_mambaout"])
def test_conversion_of_a_foreign_file_does_not_hide_the_misfit(name, file):
    with pytest.raises(ConfigError, match="does not fit"):
        create_model(name, SMALL, 2, pretrained=str(file))


def test_a_few_missing_and_extra_tensors_are_told(resnet):
    weights = dict(resnet.state_dict())
    del weights["layer1.0.bn1.bias"]
    weights["extra"] = torch.zeros(1)
    report = fit_weights(timm.create_model("test_resnet", num_classes=7), weights, "file")
    assert report.missing == ("layer1.0.bn1.bias",)
    assert report.unexpected == ("extra",)
    assert "1 missing (layer1.0.bn1.bias), 1 unexpected (extra)" in str(report)


def test_half_precision_weights_become_single(resnet):
    halves = {name: value.half() if value.is_floating_point() else value for name, value in resnet.state_dict().items()}
    model = timm.create_model("test_resnet", num_classes=7)
    fit_weights(model, halves, "half.pth")
    assert model.conv1[0].weight.dtype == torch.float32
    assert torch.allclose(model.conv1[0].weight, resnet.conv1[0].weight, atol=1e-3)


class Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (Evil, "ran", True))


def test_a_checkpoint_that_would_run_code_is_not_opened(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"weight": Evil()}, protocol=2))
    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    for name in ("evil.pth", "evil.pt"):
        with pytest.raises(DataError, match="could run code"):
            read_weights(tmp_path / name)
    assert not Evil.ran


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
def test_a_broken_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00\x01 nothing of use")
    with pytest.raises(DataError, match=name):
        read_weights(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no weights at") as caught:
        read_weights(tmp_path / "none.pth")
    assert caught.value.exit_code == 3


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(DataError, match="no tensors"):
        read_weights(tmp_path / "empty.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(DataError, match="holds a list"):
        read_weights(tmp_path / "list.pth")


def test_reading_does_not_share_memory_with_the_model(file):
    before = read_weights(file)["conv1.0.weight"].clone()
    model = create_model("test_resnet", SMALL, 3, pretrained=str(file))
    nn.init.zeros_(model.body.conv1[0].weight)
    assert torch.equal(read_weights(file)["conv1.0.weight"], before)
