"""Hue against traces of fastai, erasing against its own boxes, and where both stand in the pipeline."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.batch import BatchPipeline, BatchTransform, Flip
from fastcli.transforms.lighting import Brightness
from fastcli.transforms.normalize import IMAGENET
from fastcli.transforms.pixels import Hue, PixelTransform, RandomErasing, shift_hue
from fastcli.types import Image, ImageBW, Mask, typed

COLOURS = torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5], [0.25, 0.5, 0.75], [0.6, 0.6, 0.6], [0.1, 0.4, 0.35],
                        [0.7, 0.05, 0.65]]).T.reshape(1, 3, 2, 3)  # fmt: skip
FASTAI_HUE = {
    1.08: [0.9, 0.3, 0.25, 0.6, 0.1, 0.7, 0.584, 0.8, 0.26, 0.6, 0.306, 0.05, 0.1, 0.74, 0.75, 0.6, 0.4, 0.338],
    0.93: [0.9, 0.31, 0.25, 0.6, 0.1, 0.477, 0.1, 0.8, 0.71, 0.6, 0.4, 0.05, 0.336, 0.3, 0.75, 0.6, 0.224, 0.7],
}
"""What fastai 2.8.12 makes of `COLOURS` by `hue(p=1, draw=…)`."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shift", FASTAI_HUE)
def test_hue_equals_traces_of_fastai(shift):
    (seen,) = BatchPipeline([Hue(p=1.0, shift=shift)])((typed(COLOURS.clone(), Image),), seeded(), train=True)
    assert seen.flatten().tolist() == pytest.approx(FASTAI_HUE[shift], abs=1e-6)


def test_hue_equals_pythons_colorsys():
    images, shifts = torch.rand(6, 3, 4, 4, generator=seeded()), torch.linspace(-0.9, 1.7, 6)
    seen = shift_hue(images, shifts)
    for image, view, shift in zip(images, seen, shifts.tolist(), strict=True):
        for pixel, ours in zip(image.flatten(1).T.tolist(), view.flatten(1).T.tolist(), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            assert ours == pytest.approx(colorsys.hsv_to_rgb((h + shift) % 1.0, s, v), abs=2e-6)


def test_hue_draws_fastais_range_per_sample():
    shifts = Hue(0.1, 1.0).draw(4000, seeded())[:, 0]
    assert 0.9 <= shifts.min() < 0.901
    assert 1.11 < shifts.max() <= 1 / 0.9 + 1e-6
    assert shifts.log().mean() == pytest.approx(0, abs=0.003)
    assert (Hue(0.1, 0.25).draw(4000, seeded()) == 0).float().mean() == pytest.approx(0.75, abs=0.03)


def test_hue_leaves_grey_pictures_and_refuses_odd_channels():
    grey = torch.rand(2, 1, 5, 5)
    (seen,) = BatchPipeline([Hue(0.5, 1.0)])((typed(grey, ImageBW),), seeded(), train=True)
    assert torch.equal(seen, grey)
    same = torch.rand(2, 1, 5, 5).expand(2, 3, 5, 5)
    assert (shift_hue(same, torch.tensor([0.3, 0.6])) - same).abs().max() < 1e-6
    with pytest.raises(ConfigError, match="hue needs pictures of 3 channels, or grey ones, not of 4"):
        BatchPipeline([Hue()])((typed(torch.rand(2, 4, 5, 5), Image),), seeded(), train=True)


def erased(transform, n=64, size=(40, 60), seed=1):
    """What the pipeline makes of pictures that are 9 everywhere, and where it was changed."""
    images = typed(torch.full((n, 3, *size), 9.0), Image)
    (seen,) = BatchPipeline([transform])((images,), seeded(seed), train=True)
    return seen, (seen != 9).any(1)


def test_erasing_fills_one_box_with_normal_noise():
    transform = RandomErasing(p=1.0, min_area=0.1, max_area=0.3)
    seen, where = erased(transform)
    assert seen[where[:, None].expand_as(seen)].mean() == pytest.approx(0, abs=0.02)
    assert seen[where[:, None].expand_as(seen)].std() == pytest.approx(1, abs=0.02)
    rows = transform.draw(64, seeded(1)).tolist()
    for row, hole in zip(rows, where, strict=True):
        (top, left, height, width), = transform.boxes(row, (40, 60))  # fmt: skip
        expected = torch.zeros(40, 60, dtype=torch.bool)
        expected[top : top + height, left : left + width] = True
        assert torch.equal(hole, expected)


def test_random_erasing_has_a_coin_and_boxes_for_each_sample():
    """fastai throws one coin and draws one set of boxes for the whole batch."""
    _, where = erased(RandomErasing(p=0.5, min_area=0.05), n=200)
    hit = where.flatten(1).any(1)
    assert 70 < hit.sum() < 130
    assert len(where[hit].unique(dim=0)) > 60
    seen, where = erased(RandomErasing(p=1.0, min_area=1.0, max_area=1.0, min_aspect=1.0), n=2, size=(8, 8))
    assert where.all()
    assert not torch.equal(seen[0], seen[1])


def test_boxes_have_fastais_areas_and_aspects():
    """Area uniform in the range, shared by the boxes; height over width log-uniform."""
    transform, size = RandomErasing(p=1.0, min_area=0.05, max_area=0.2, min_aspect=0.5, max_count=3), (1000, 1000)
    found = [transform.boxes(row, size) for row in transform.draw(1500, seeded()).tolist()]
    assert {len(boxes) for boxes in found} == {1, 2, 3}
    shares = torch.tensor([len(boxes) * h * w / 1e6 for boxes in found for _, _, h, w in boxes])
    aspects = torch.tensor([h / w for boxes in found for _, _, h, w in boxes]).log()
    assert 0.049 < shares.min() < 0.052
    assert 0.198 < shares.max() < 0.201
    assert shares.mean() == pytest.approx(0.125, abs=0.004)
    assert aspects.abs().max() <= math.log(2) + 0.01
    assert aspects.mean() == pytest.approx(0, abs=0.02)
    assert aspects.std() == pytest.approx(2 * math.log(2) / 12**0.5, abs=0.02)
    assert all(t >= 0 and left >= 0 and t + h <= 1000 and left + w <= 1000 for b in found for t, left, h, w in b)
    wide = RandomErasing(p=1.0, min_area=1.0, max_area=1.0, min_aspect=0.1)
    for row in wide.draw(50, seeded()).tolist():
        for top, left, height, width in wide.boxes(row, (30, 50)):
            assert top + height <= 30
            assert left + width <= 50


def test_order_is_light_hue_normalise_erase():
    images = torch.rand(4, 3, 12, 12)
    transforms = [RandomErasing(p=1.0, min_area=0.1), Hue(p=1.0), Brightness(p=1.0), Flip(p=1.0)]
    (seen,) = BatchPipeline(transforms, IMAGENET)((typed(images, Image),), seeded(4), train=True)
    random = seeded(4)
    flips = transforms[3].draw(4, random)
    assert (flips == 1).all()
    level = transforms[2].draw(4, random)
    boxes, shifts = transforms[0].draw(4, random), transforms[1].draw(4, random)
    lit = torch.sigmoid(torch.logit(images.flip(-1)) + torch.logit(level)[..., None, None])
    expected = IMAGENET.encode(shift_hue(lit, shifts[:, 0]))
    for view, target, row in zip(seen, expected, boxes.tolist(), strict=True):
        (top, left, height, width), = transforms[0].boxes(row, (12, 12))  # fmt: skip
        hole = torch.zeros(12, 12, dtype=torch.bool)
        hole[top : top + height, left : left + width] = True
        assert (view - target)[:, ~hole].abs().max() < 1e-5
        assert (view - target)[:, hole].abs().mean() > 0.3


@pytest.mark.parametrize("transform", [Hue(p=1.0), RandomErasing(p=1.0, min_area=0.2)])
def test_pixel_transforms_act_in_training_on_pictures_alone(transform):
    images, masks = torch.rand(4, 3, 10, 10), torch.randint(0, 3, (4, 10, 10))
    pipeline, parts = BatchPipeline([transform]), (typed(images, Image), typed(masks, Mask))
    seen, kept = pipeline(parts, seeded(), train=True)
    assert not torch.equal(seen, images)
    assert torch.equal(kept, masks)
    again = pipeline(parts, seeded(), train=True)[0]
    assert torch.equal(seen, again)
    assert torch.equal(pipeline(parts, seeded())[0], images)
    pictures = typed((images * 255).to(torch.uint8), Image)
    assert pipeline((pictures,), seeded(), train=True)[0].shape == images.shape
    before = pictures.clone()
    assert torch.equal(before, pictures)


class Invert(PixelTransform):
    """A user's own."""

    def apply(self, images, params, generator):
        return 1 - images


def test_a_users_own_pixel_transform_sees_pixels_in_0_to_1():
    white = typed(torch.full((2, 3, 4, 4), 255, dtype=torch.uint8), Image)
    (seen,) = BatchPipeline([Invert()], IMAGENET)((white,), seeded(), train=True)
    assert (seen - IMAGENET.encode(torch.zeros(2, 3, 4, 4))).abs().max() < 1e-6
    with pytest.raises(TypeError, match="nor a PixelTransform"):
        BatchPipeline([BatchTransform()])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("hue", {"max_hue": 1.0}),
        ("random_erasing", {"min_area": 0.5, "max_area": 0.2}),
        ("random_erasing", {"min_aspect": 0}),
        ("random_erasing", {"max_count": 0}),
        ("random_erasing", {"sl": 0.1}),
    ],
)
def test_wrong_parameters_are_refused(name, params):
    with pytest.raises(ConfigError):
        batch_transforms.build(name, **params)
