"""JPEG as an item transform against Pillow."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import torch

from fastcli.errors import ConfigError
from fastcli.registry import item_transforms
from fastcli.transforms.item import ItemPipeline
from fastcli.transforms.jpeg import Jpeg
from fastcli.types import Category, Image, ImageBW, Mask, TVTensor, typed


def photo(channels=3):
    y, x = np.mgrid[:40, :56]
    pixels = np.stack([np.sin(x / 3 + k) + np.cos(y / 2 - k) for k in range(channels)], -1)
    return (pixels * 60 + 127).astype(np.uint8)


@pytest.mark.parametrize(("channels", "kind"), [(3, Image), (1, ImageBW)])
def test_a_view_is_what_pillow_saves(channels, kind):
    array = photo(channels)
    view = Jpeg((5, 60)).finish(typed(torch.from_numpy(array).permute(2, 0, 1), kind), torch.tensor(20))
    assert type(view) is kind
    coded = io.BytesIO()
    PIL.Image.fromarray(array.squeeze()).save(coded, "JPEG", quality=20)
    expected = np.array(PIL.Image.open(coded)).reshape(array.shape)
    assert (view.as_subclass(torch.Tensor).permute(1, 2, 0).numpy() == expected).all()
    assert (expected != array).mean() > 0.3


def test_qualities_are_drawn_and_only_pictures_in_training_change():
    drawn = Jpeg((5, 8)).draw(100, torch.Generator().manual_seed(0))
    assert drawn.unique().tolist() == [5, 6, 7, 8]
    assert Jpeg(70).draw(3, torch.Generator()).tolist() == [70, 70, 70]
    pipeline = ItemPipeline([item_transforms.build("jpeg", quality=[5, 60])])
    image = typed(torch.from_numpy(photo()).permute(2, 0, 1), Image)
    assert pipeline(image) is image
    mask, label = typed(torch.zeros(1, 8, 8, dtype=torch.uint8), Mask), typed(torch.tensor(1), Category)
    for element in (mask, label):
        assert pipeline.finish(element, [torch.tensor(9)]) is element
    with pytest.raises(TypeError, match="no kernel for TVTensor"):
        pipeline.finish(typed(torch.zeros(3, 4, 4), TVTensor), [torch.tensor(9)])
    with pytest.raises(TypeError, match="jpeg needs uint8"):
        pipeline.finish(typed(torch.zeros(3, 4, 4), Image), [torch.tensor(9)])


@pytest.mark.parametrize("quality", [0, 101, [60, 5], [1, 2, 3], "high"])
def test_wrong_qualities_are_refused(quality):
    with pytest.raises(ConfigError):
        item_transforms.build("jpeg", quality=quality)
