"""Item transforms against fastai's own order of work (cut, then scale) done with Pillow."""

from __future__ import annotations

import math

import numpy as np
import PIL.Image
import pytest
import torch

from fastcli.errors import ConfigError
from fastcli.registry import item_transforms
from fastcli.transforms.item import ItemPipeline, RandomResizedCrop, Resize
from fastcli.transforms.transform import ItemTransform
from fastcli.types import BoundingBoxes, Category, Image, KeyPoints, Mask, typed

SIZES = [(375, 500), (500, 333), (90, 120), (224, 224), (150, 300)]


def smooth(height, width):
    """A picture whose neighbours differ by less than 3 levels, as uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 60 + k) + np.cos(y / 47 - k) for k in range(3)]
    return (np.stack(waves, -1) * 60 + 127).astype(np.uint8)


def element(array):
    return typed(torch.from_numpy(array).permute(2, 0, 1), Image)


def difference(image, expected):
    return (
        (image.as_subclass(torch.Tensor).permute(1, 2, 0).int() - torch.from_numpy(expected.copy()).int()).abs().max()
    )


def fastai_resize(array, size, method, across, down, pad_mode="reflection"):
    """fastai 2.8 `Resize.encodes`, in Pillow and numpy."""
    (h, w), (sh, sw) = array.shape[:2], size
    m = (max if method == "pad" else min)(w / sw, h / sh)
    box_w, box_h = int(m * sw), int(m * sh)
    left, top = int(across * (w - box_w)), int(down * (h - box_h))
    if method == "crop":
        cut = array[top : top + box_h, left : left + box_w]
    else:
        mode = {"reflection": "reflect", "border": "edge", "zeros": "constant"}[pad_mode]
        cut = np.pad(array, ((-top, box_h - h + top), (-left, box_w - w + left), (0, 0)), mode)
    return np.array(PIL.Image.fromarray(cut).resize((sw, sh), PIL.Image.Resampling.BILINEAR))


@pytest.mark.parametrize("source", SIZES)
@pytest.mark.parametrize("size", [(224, 224), (100, 150), (128, 96)])
@pytest.mark.parametrize(("across", "down"), [(0.5, 0.5), (0.0, 1.0), (0.25, 0.75)])
@pytest.mark.parametrize("method", ["crop", "pad"])
def test_resize_equals_fastai(source, size, across, down, method):
    transform, array = Resize(size, method), smooth(*source)
    view = transform.finish(transform.prepare(element(array)), torch.tensor([across, down]))
    assert type(view) is Image
    assert view.shape == (3, *size)
    # One pixel of position at the input's or the output's scale, and a level of rounding.
    steps = max(source[0] / size[0], source[1] / size[1], 1)
    assert difference(view, fastai_resize(array, size, method, across, down)) <= 3 * steps + 1


def test_resize_without_rounding_of_the_box_equals_fastai_to_one_level():
    rough = np.random.default_rng(0).integers(0, 255, (300, 600, 3), np.uint8)
    for across in (0.0, 0.5, 1.0):
        view = Resize(150).finish(Resize(150).prepare(element(rough)), torch.tensor([across, 0.5]))
        expected = fastai_resize(rough, (150, 150), "crop", across, 0.5)
        assert difference(view[:, :, 1:-1], expected[:, 1:-1]) <= 1  # at a cut edge Pillow has no neighbours to average


@pytest.mark.parametrize("pad_mode", ["reflection", "border", "zeros"])
def test_padding_modes_equal_numpy(pad_mode):
    array = smooth(20, 60)
    transform = Resize(60, "pad", pad_mode)
    for across, down in [(0.5, 0.5), (0.125, 0.875)]:
        view = transform.finish(transform.prepare(element(array)), torch.tensor([across, down]))
        assert difference(view, fastai_resize(array, (60, 60), "pad", across, down, pad_mode)) == 0


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [(224, 224), (40, 90), (600, 500)])
def test_squish_equals_pillow(interpolation, size):
    rough = np.random.default_rng(0).integers(0, 255, (300, 450, 3), np.uint8)
    resampling = PIL.Image.Resampling[interpolation.upper()]
    expected = np.array(PIL.Image.fromarray(rough).resize(size[::-1], resampling))
    pipeline = ItemPipeline([Resize(size, "squish", interpolation=interpolation)])
    assert not pipeline.random
    assert (
        difference(pipeline.prepare(element(rough)), expected)
        <= {"nearest": 0, "bilinear": 1, "bicubic": 2}[interpolation]
    )


@pytest.mark.parametrize("source", SIZES)
def test_what_is_kept_has_the_right_short_side_and_aspect(source):
    kept = Resize(80).prepare(element(smooth(*source)))
    assert min(kept.shape[1:]) == 80
    assert kept.shape[1] / kept.shape[2] == pytest.approx(source[0] / source[1], rel=0.01)
    assert max(Resize(80, "pad").prepare(element(smooth(*source))).shape[1:]) == 80


def test_a_strip_is_cut_before_it_is_enlarged():
    strip = element(smooth(4, 3000))
    assert Resize(224).prepare(strip).shape == strip.shape
    assert ItemPipeline([Resize(224)])(strip).shape == (3, 224, 224)


def test_positions_differ_between_views_and_repeat_with_the_seed():
    pipeline = ItemPipeline([Resize(32)])
    kept = pipeline.prepare(element(smooth(40, 200)))
    rows = pipeline.draw(16, torch.Generator().manual_seed(0))
    again = pipeline.draw(16, torch.Generator().manual_seed(0))
    views = [pipeline.finish(kept, [rows[0][i]]) for i in range(16)]
    assert all(torch.equal(views[i], pipeline.finish(kept, [again[0][i]])) for i in range(16))
    assert len({view.numpy().tobytes() for view in views}) > 10
    centre = pipeline.finish(kept, None)
    left = (kept.shape[2] - 32) // 2
    assert torch.equal(centre, kept[:, :, left : left + 32])


@pytest.mark.parametrize("transform", [Resize(24), Resize(24, "pad", "border"), RandomResizedCrop(24, valid_extra=0.3)])
def test_image_mask_points_and_boxes_move_together(transform):
    height, width = 40, 60
    spot = (22, 37)
    array = np.zeros((height, width, 3), np.uint8)
    array[spot[0] - 3 : spot[0] + 3, spot[1] - 3 : spot[1] + 3] = 255
    box = [spot[1] - 3, spot[0] - 3, spot[1] + 3, spot[0] + 3]
    parts = [
        element(array),
        typed(torch.from_numpy(array[..., 0] // 255).long(), Mask),
        KeyPoints([[spot[1], spot[0]]], canvas_size=(height, width)),
        BoundingBoxes([box], format="XYXY", canvas_size=(height, width)),
    ]
    pipeline = ItemPipeline([transform])
    seen = 0
    for i in range(20):
        row = [pipeline.draw(20, torch.Generator().manual_seed(1))[0][i]]
        image, mask, points, boxes = (pipeline.finish(pipeline.prepare(part), row) for part in parts)
        assert image.shape[1:] == mask.shape == points.canvas_size == boxes.canvas_size == (24, 24)
        assert mask.dtype == torch.int64
        assert [type(part) for part in (image, mask, points, boxes)] == [Image, Mask, KeyPoints, BoundingBoxes]
        if points[0].min() > 3 and points[0].max() < 21 and mask.sum() > 1:
            weight = image[0].float()
            centre = torch.tensor([(weight.sum(0) * torch.arange(24)).sum(), (weight.sum(1) * torch.arange(24)).sum()])
            centre = centre / weight.sum() + 0.5
            assert (centre - points[0]).abs().max() < 2
            assert (torch.stack(torch.where(mask)[::-1], 1).float().mean(0) + 0.5 - points[0]).abs().max() < 2
            assert ((boxes[0, :2] + boxes[0, 2:]) / 2 - points[0]).abs().max() < 2
            seen += 1
    assert seen > 3


def test_labels_pass_and_unknown_types_do_not():
    pipeline = ItemPipeline([Resize(8), RandomResizedCrop(8)])
    label = typed(torch.tensor(3), Category)
    row = [rows[0] for rows in pipeline.draw(1, torch.Generator())]
    assert pipeline.finish(pipeline.prepare(label), row) is label
    with pytest.raises(TypeError, match="canvas has no kernel for Tensor"):
        pipeline.prepare(torch.zeros(3, 4, 4))


class Add(ItemTransform):
    """Adds to a number in `prepare`, and the row in `finish`."""

    def __init__(self, value, random=False):
        self.value, self.random, self.prepared = value, random, 0

    def prepare(self, element):
        self.prepared += 1
        return [*element, self.value]

    def draw(self, n, generator):
        return torch.arange(n) if self.random else None

    def finish(self, element, row):
        return [*element, ("row", None if row is None else int(row))] if self.random else element


def test_only_what_stands_before_the_first_random_finish_is_kept():
    transforms = [Add("a"), Add("b", random=True), Add("c"), Add("d", random=True)]
    pipeline = ItemPipeline(transforms)
    kept = pipeline.prepare([])
    assert kept == ["a", "b"]
    rows = pipeline.draw(4, torch.Generator())
    assert [row is None for row in rows] == [True, False, True, False]
    assert pipeline.finish(kept, [None if row is None else row[2] for row in rows]) == [
        "a",
        "b",
        ("row", 2),
        "c",
        "d",
        ("row", 2),
    ]
    assert pipeline.finish(kept, None) == ["a", "b", ("row", None), "c", "d", ("row", None)]
    assert [transform.prepared for transform in transforms] == [1, 1, 2, 2]
    assert ItemPipeline([Add("a"), Add("b")])([]) == ["a", "b"]
    assert ItemPipeline()([]) == []


def test_size_is_known_from_the_last_transform_that_sets_it():
    assert ItemPipeline().size is None
    assert ItemPipeline([Resize(460), RandomResizedCrop((100, 150))]).size == (100, 150)


def test_random_resized_crop_draws_the_area_and_shape_it_says():
    transform = RandomResizedCrop(32, min_scale=0.2, max_scale=0.5, ratio=(3 / 4, 4 / 3))
    rows = transform.draw(2000, torch.Generator().manual_seed(0))
    boxes = torch.tensor([transform._box((200, 300), row) for row in rows])
    top, left, height, width = boxes.unbind(1)
    area, ratio = height * width, width / height * 1.5
    assert area.min() >= 0.199
    assert area.max() <= 0.501
    assert ratio.min() >= 0.749
    assert ratio.max() <= 1.334
    assert area.mean() == pytest.approx(0.35, abs=0.01)
    assert ratio.log().mean() == pytest.approx(0, abs=0.05)
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1 + 1e-6
    assert (left / (1 - width)).mean() == pytest.approx(0.5, abs=0.03)


def test_random_resized_crop_equals_cutting_with_pillow():
    transform, array = RandomResizedCrop((40, 60)), np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for row in transform.draw(20, torch.Generator().manual_seed(3)):
        top, left, height, width = transform._box((120, 160), row)
        y, x, h, w = round(top * 120), round(left * 160), round(height * 120), round(width * 160)
        expected = PIL.Image.fromarray(array[y : y + h, x : x + w]).resize((60, 40), PIL.Image.Resampling.BILINEAR)
        assert difference(transform.finish(element(array), row), np.array(expected)) <= 1


def test_random_resized_crop_falls_back_to_the_middle():
    transform = RandomResizedCrop(32, min_scale=1.0, ratio=(3 / 4, 4 / 3))
    row = transform.draw(1, torch.Generator())[0]
    assert transform._box((100, 400), row) == pytest.approx((0, 1 / 3, 1, 1 / 3))
    assert transform._box((400, 100), row) == pytest.approx((1 / 3, 0, 1 / 3, 1))


def test_validation_of_random_resized_crop_keeps_the_aspect():
    """fastai squishes the whole picture here, so that circles become ellipses."""
    y, x = np.mgrid[:300, :600]
    circle = (((y - 150) ** 2 + (x - 300) ** 2 < 80**2) * 255).astype(np.uint8)[..., None].repeat(3, -1)
    view = ItemPipeline([RandomResizedCrop(128)])(element(circle))[0].float() / 255
    rows, columns = view.sum(1).max(), view.sum(0).max()
    assert rows == pytest.approx(columns, abs=1)
    extra = math.ceil(128 * 0.14 / 8) * 8
    assert rows == pytest.approx(160 * (128 + extra) / 300, abs=1.5)


def test_large_pictures_are_kept_no_larger_than_the_smallest_box_needs():
    transform = RandomResizedCrop(64, min_scale=0.25)
    kept = transform.prepare(element(smooth(900, 1200)))
    assert kept.shape[1] * kept.shape[2] < 0.1 * 900 * 1200
    for row in transform.draw(200, torch.Generator().manual_seed(0)):
        _, _, height, width = transform._box(tuple(kept.shape[1:]), row)
        assert height * kept.shape[1] >= 63.5
        assert width * kept.shape[2] >= 63.5
    small = element(smooth(100, 120))
    assert transform.prepare(small) is small


def test_yaml_parameters_are_checked():
    assert item_transforms.build("resize", size=[100, 150], method="pad") == Resize((100, 150), "pad")
    assert item_transforms.build("random_resized_crop", size=224, min_scale=0.35) == RandomResizedCrop(
        224, min_scale=0.35
    )
    for name, bad in [("resize", {"size": 0}), ("resize", {"size": 9, "method": "stretch"}),
                      ("random_resized_crop", {"size": 9, "min_scale": 0}),
                      ("random_resized_crop", {"size": 9, "ratio": [2, 1]})]:  # fmt: skip
        with pytest.raises(ConfigError):
            item_transforms.build(name, **bad)
