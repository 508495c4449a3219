"""Flips, turns, crops and pads of single elements against Pillow's and fastai's arithmetic, to the pixel."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from fastcli.errors import ConfigError
from fastcli.registry import item_transforms
from fastcli.transforms.geometry import Dihedral
from fastcli.transforms.item import ItemPipeline, Resize
from fastcli.transforms.matrices import DIHEDRAL
from fastcli.transforms.placement import CropPad, DihedralItem, FlipItem, RandomCrop, RatioResize
from fastcli.transforms.spatial import turn
from fastcli.transforms.warp import View, warp_by
from fastcli.types import BoundingBoxes, Category, Image, KeyPoints, Mask, TVTensor, typed

MODES = {"reflection": "reflect", "border": "edge", "zeros": "constant"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rough(height, width):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def element(array):
    return typed(torch.from_numpy(array).permute(2, 0, 1), Image)


def back(image):
    return image.as_subclass(torch.Tensor).permute(1, 2, 0).numpy()


def marked(height, width, row, column):
    """One sample of all types, whose one bright pixel is the point and the box."""
    pixels = torch.zeros(3, height, width, dtype=torch.uint8)
    pixels[:, row, column] = 255
    size, box = (height, width), [column, row, column + 1, row + 1]
    return [typed(pixels, Image), typed((pixels[:1] > 0).to(torch.uint8), Mask),
            KeyPoints([[column + 0.5, row + 0.5]], canvas_size=size),
            BoundingBoxes([box], format="XYXY", canvas_size=size)]  # fmt: skip


@pytest.mark.parametrize("transform", [FlipItem(), DihedralItem(), CropPad((9, 25)), RandomCrop((9, 25)),
                                       RandomCrop((9, 9), "border"), Resize(12, "pad", "zeros")])  # fmt: skip
@pytest.mark.parametrize("validation", [True, False])
def test_the_marked_pixel_of_all_types_stays_one(transform, validation):
    pipeline, seen = ItemPipeline([transform]), 0
    rows = pipeline.draw(40, seeded(2))[0]
    for i in range(40):
        row = None if validation or rows is None else [rows[i]]
        parts = [pipeline.finish(pipeline.prepare(part), row) for part in marked(12, 16, 6, 8)]
        image, mask, points, boxes = parts
        assert [type(part) for part in parts] == [Image, Mask, KeyPoints, BoundingBoxes]
        assert image.shape[1:] == mask.shape[1:] == points.canvas_size == boxes.canvas_size
        if not isinstance(transform, Resize):
            assert torch.equal(image[0] > 0, mask[0] > 0)
        if image[0].max() > 0 and len(torch.nonzero(image[0] == image[0].max())) == 1:
            y, x = torch.nonzero(image[0] == image[0].max())[0].tolist()
            within = 0 if not isinstance(transform, Resize) else 0.5
            assert points[0].tolist() == pytest.approx([x + 0.5, y + 0.5], abs=within + 1e-6)
            assert boxes[0].tolist() == pytest.approx([x, y, x + 1, y + 1], abs=2 * within + 1e-6)
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("which", range(8))
def test_turning_an_item_equals_pillow_and_the_batch(which):
    array = rough(6, 9)
    picture = PIL.Image.fromarray(array)
    transposes = [None, "FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_90", "ROTATE_180", "ROTATE_270", "TRANSPOSE",
                  "TRANSVERSE"]  # fmt: skip
    expected = picture if which == 0 else picture.transpose(PIL.Image.Transpose[transposes[which]])
    assert (back(turn(element(array), which)) == np.array(expected)).all()
    square = rough(8, 8)
    params = torch.tensor([[float(which)]])
    view = View(Dihedral().matrix(params, 1.0), (8, 8), (8, 8))
    batched = warp_by(typed(element(square)[None].float(), Image), view)[0]
    assert (turn(element(square), which) - batched).abs().max() < 0.01


def test_turned_boxes_keep_their_format_and_points_their_kind():
    boxes = BoundingBoxes([[2, 3, 4, 5]], format="XYWH", canvas_size=(10, 20))
    turned = turn(boxes, 3)  # left, top to the bottom left
    assert (turned.format.value, turned.canvas_size) == ("XYWH", (20, 10))
    assert turned.tolist() == [[3, 14, 5, 4]]
    points = KeyPoints([[[2.0, 3.0], [20.0, 10.0]]], canvas_size=(10, 20))
    assert turn(points, 7).tolist() == [[[7, 18], [0, 0]]]
    assert turn(points, 0).tolist() == points.tolist()


def test_coins_and_symmetries():
    flips = FlipItem(0.3).draw(4000, seeded())
    assert flips.unique().tolist() == [0, 1]
    assert flips.mean() == pytest.approx(0.3, abs=0.03)
    which = DihedralItem().draw(4000, seeded())
    assert which.unique().tolist() == list(range(len(DIHEDRAL)))
    assert (DihedralItem(0.2).draw(4000, seeded()) == 0).float().mean() == pytest.approx(0.8 + 0.2 / 8, abs=0.03)


@pytest.mark.parametrize("pad_mode", MODES)
@pytest.mark.parametrize(("source", "size"), [((20, 30), (10, 10)), ((20, 30), (31, 41)), ((21, 30), (10, 50))])
def test_crop_pad_equals_fastais_arithmetic(pad_mode, source, size):
    """The box starts at (size - wanted) // 2: cut where it lies inside, padded where it reaches over."""
    array = rough(*source)
    seen = ItemPipeline([CropPad(size, pad_mode)])(element(array))
    top, left = ((have - wanted) // 2 for have, wanted in zip(source, size, strict=True))
    cut = array[max(top, 0) : max(top, 0) + size[0], max(left, 0) : max(left, 0) + size[1]]
    before = max(-top, 0), max(-left, 0)
    after = size[0] - cut.shape[0] - before[0], size[1] - cut.shape[1] - before[1]
    expected = np.pad(cut, (*zip(before, after, strict=True), (0, 0)), MODES[pad_mode])
    assert (back(seen) == expected).all()


def test_random_crop_reaches_every_position_and_validation_the_middle():
    transform, array = RandomCrop((4, 12)), rough(6, 9)
    rows = transform.draw(400, seeded())
    seen = {back(transform.finish(element(array), row)).tobytes() for row in rows}
    padded = np.pad(array, ((0, 0), (3, 3), (0, 0)))
    expected = {padded[top : top + 4, left : left + 12].tobytes() for top in range(3) for left in range(4)}
    assert seen == expected
    assert (back(ItemPipeline([transform])(element(array))) == padded[1:5, 1:13]).all()  # -3 // 2 is -2


@pytest.mark.parametrize(("source", "expected"), [((300, 200), (90, 60)), ((200, 300), (60, 90)), ((50, 51), (88, 90))])
def test_ratio_resize_scales_the_longer_side(source, expected):
    transform, array = RatioResize(90), rough(*source)
    view = ItemPipeline([transform])(element(array))
    assert view.shape == (3, *expected)
    assert transform.output_size(source) == expected
    picture = PIL.Image.fromarray(array).resize(expected[::-1], PIL.Image.Resampling.BILINEAR)
    assert np.abs(back(view).astype(int) - np.array(picture)).max() <= 1
    assert ItemPipeline([transform]).size is None
    assert not transform.random


ALL = [FlipItem(), DihedralItem(), CropPad(5), RandomCrop(5), RatioResize(5)]


class Unknown(TVTensor):
    """A type that nobody taught how to move."""


@pytest.mark.parametrize("transform", ALL)
def test_labels_pass_and_a_type_without_a_kernel_is_an_error(transform):
    pipeline = ItemPipeline([transform])
    label = typed(torch.tensor(3), Category)
    rows = pipeline.draw(1, seeded())[0]
    row = None if rows is None else [rows[0]]
    assert pipeline.finish(pipeline.prepare(label), row) is label
    for drawn in (row, None):
        with pytest.raises(TypeError, match=r"(turn|canvas) has no kernel for Unknown"):
            pipeline.finish(pipeline.prepare(typed(torch.zeros(3, 4, 4), Unknown)), drawn)


def test_sizes_that_are_known():
    assert ItemPipeline([Resize(8), DihedralItem(), FlipItem()]).size == (8, 8)
    assert ItemPipeline([Resize((8, 9)), DihedralItem()]).size is None
    assert ItemPipeline([RandomCrop((8, 9)), RatioResize(18)]).size == (16, 18)
    assert ItemPipeline([CropPad(7)]).size == (7, 7)


def test_yaml_parameters_are_checked():
    assert item_transforms.build("crop_pad", size=[10, 20], pad_mode="border") == CropPad((10, 20), "border")
    assert item_transforms.build("flip_item", p=0.25) == FlipItem(0.25)
    for name, bad in [("flip_item", {"p": 2}), ("random_crop", {}), ("ratio_resize", {"max_size": 0})]:
        with pytest.raises(ConfigError):
            item_transforms.build(name, **bad)
