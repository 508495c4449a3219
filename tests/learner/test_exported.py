import copy
from dataclasses import dataclass

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from fastcli.data.blocks import Block, CategoryBlock, ImageBlock, MaskBlock, MultiCategoryBlock, PointBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.encoders import Categorize
from fastcli.errors import ConfigError, FastcliError
from fastcli.learner.exported import export, load_exported
from fastcli.learner.inference import predict, predictions, tta
from fastcli.learner.learner import Learner
from fastcli.learner.saving import save
from fastcli.losses import default_loss
from fastcli.models import create
from fastcli.models.create import create_model, vision_model
from fastcli.registry import losses
from fastcli.transforms.batch import aug_transforms
from fastcli.transforms.item import RandomResizedCrop, Resize
from fastcli.transforms.normalize import IMAGENET
from fastcli.transforms.transform import ItemTransform
from fastcli.types import InputInfo

PICTURES = [np.random.default_rng(i).integers(0, 256, (40, 52, 3), dtype=np.uint8) for i in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for i, pixels in enumerate(PICTURES):
        PIL.Image.fromarray(pixels).save(root / f"{'cat' if i % 2 else 'dog'}_{i}.png")
        PIL.Image.fromarray(pixels[..., 0] // 128).save(root / f"mask_{i}.png")
    return root


def mask_of(path):
    return path.with_name(f"mask_{path.name[4:]}")


TARGETS = {
    "category": (CategoryBlock(), lambda path: path.name[:3]),
    "multi_category": (MultiCategoryBlock(), lambda path: [path.name[:3]]),
    "mask": (MaskBlock(["dark", "bright"]), mask_of),
    "points": (PointBlock(), lambda path: [[7.0, 5.0], [1.0, 2.0]]),
}


def make(folder, target="category", model="linear", items=None, mode="RGB"):
    block, label = TARGETS[target] if isinstance(target, str) else target
    loaders = DataBlock(
        (ImageBlock(mode), block),
        get_items=lambda root: sorted(root.glob("[cd]*.png")),
        get_y=label,
        splitter=lambda items, labels: ([0, 1, 2, 3], [4, 5]),
        item_transforms=items or [Resize(32)],
        batch_transforms=aug_transforms(size=24, min_scale=0.5),
    ).dataloaders(folder, normalize=IMAGENET.for_channels(3 if mode == "RGB" else 1))
    n_out = {"points": 4}.get(loaders.target.kind, loaders.target.n_out)
    torch.manual_seed(0)
    if isinstance(model, str):
        model = create_model(model, loaders.input, n_out)
    elif callable(model) and not isinstance(model, nn.Module):
        model = model(loaders.input, n_out)
    return Learner(loaders, model, losses.build(default_loss(loaders.target), loaders.target), seed=3)


def same(first, second, folder):
    paths = sorted(folder.glob("[cd]*.png"))
    for item in (paths[0], PICTURES[1]):
        (label, decision, scores), other = predict(first, item), predict(second, item)
        assert label == other[0]
        assert torch.equal(decision, other[1])
        assert torch.equal(scores, other[2])
    loaders = [learner.loaders.test_loader(paths) for learner in (first, second)]
    scores = [predictions(learner, loader).scores for learner, loader in zip((first, second), loaders, strict=True)]
    assert torch.equal(*scores)
    if first.loaders.target.kind == "points":
        with pytest.raises(ConfigError, match="turned views"):
            tta(first, loaders[0])
        return
    views = [tta(learner, loader)[0] for learner, loader in zip((first, second), loaders, strict=True)]
    assert torch.equal(*views)
    assert not torch.equal(views[0], scores[0])


@pytest.mark.parametrize("target", ["category", "multi_category", "points"])
def test_it_predicts_alike_from_the_file_alone(tmp_path, folder, target):
    learner = make(folder, target, items=(RandomResizedCrop((32, 28), ratio=(0.8, 1.25)),))
    loaded = load_exported(export(learner, tmp_path / "export"))
    same(learner, loaded, folder)
    assert loaded.loaders.target == learner.loaders.target
    assert loaded.loaders.vocab == learner.loaders.vocab
    assert not loaded.model.training


def test_a_pretrained_architecture_is_built_without_its_weights(tmp_path, folder):
    def build(inputs, n_out):
        return vision_model("test_resnet", n_out, inputs=inputs, pretrained=False, hidden=[16], dropout=0.1)

    learner = make(folder, model=build, mode="L")
    same(learner, load_exported(export(learner, tmp_path / "export")), folder)
    assert learner.model.made_of["params"]["hidden"] == [16]
    named = make(folder, model=lambda inputs, n: create_model("test_resnet", inputs, n, pretrained=False, hidden=8))
    same(named, load_exported(export(named, tmp_path / "named")), folder)


def test_weights_to_begin_with_are_not_asked_for_again(folder):
    described = create._description("test_resnet", InputInfo(3, (24, 24)), 2, {"pretrained": "gone.safetensors"})
    assert described["params"] == {"pretrained": False}
    assert create._description("test_resnet", InputInfo(3, (24, 24)), 2, {})["params"] == {"pretrained": False}
    assert create._description("mlp", InputInfo(3, (24, 24)), 2, {"hidden": (3,)})["params"] == {"hidden": (3,)}


def test_masks_keep_their_classes(tmp_path, folder):
    learner = make(folder, "mask", nn.Conv2d(3, 2, 1))
    path = export(learner, tmp_path / "export")
    with pytest.raises(ConfigError, match="does not say how its model is built"):
        load_exported(path)
    loaded = load_exported(path, model=nn.Conv2d(3, 2, 1))
    assert loaded.loaders.encoders[-1].classes == ("dark", "bright")
    assert torch.equal(predict(loaded, PICTURES[0])[1], predict(learner, PICTURES[0])[1])
    with pytest.raises(FastcliError, match="does not fit the model"):
        load_exported(path, model=nn.Conv2d(3, 3, 1))


def test_averaged_weights_are_exported_where_there_are_any(tmp_path, folder):
    learner = make(folder)
    average = copy.deepcopy(learner.model)
    nn.init.zeros_(average[1].weight)
    learner.weights = lambda: dict(average.state_dict())
    assert not load_exported(export(learner, tmp_path / "export")).model[1].weight.any()


def test_what_is_not_registered_is_refused_by_its_name(tmp_path, folder):
    """fastai pickles it, and fails when it is loaded where the function is not."""

    @dataclass(frozen=True)
    class Own(ItemTransform):
        strength: float = 1.0

    class Colours(Categorize):
        pass

    with pytest.raises(ConfigError, match=r"Own\(strength=1.0\) cannot be exported"):
        export(make(folder, items=(Own(), Resize(32))), tmp_path / "export")
    with pytest.raises(ConfigError, match="the encoder Colours cannot be exported"):
        export(make(folder, (Block(Colours()), lambda path: path.name[:3])), tmp_path / "export")
    batches = [(torch.zeros(2, 4), torch.zeros(2))]
    with pytest.raises(ConfigError, match="plain tensors"):
        export(Learner((batches, batches), nn.Linear(4, 1), nn.MSELoss()), tmp_path / "export")
    assert not list(tmp_path.iterdir())


def test_a_model_that_was_changed_later_is_not_made_again_without_its_changes(tmp_path, folder):
    learner = make(folder, model="mlp")
    learner.model[2] = nn.Tanh()
    path = export(learner, tmp_path / "export")
    with pytest.raises(ConfigError, match="was changed after it was made"):
        load_exported(path)
    same(learner, load_exported(path, model=copy.deepcopy(learner.model)), folder)


def test_weights_alone_are_no_learner(tmp_path, folder):
    with pytest.raises(ConfigError, match="holds weights, but no learner"):
        load_exported(save(make(folder), tmp_path / "weights"))
