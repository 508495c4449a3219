"""Brightness and contrast against fastai's closed form."""

from __future__ import annotations

import math

import pytest
import torch

from fastcli.errors import ConfigError
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.lighting import Brightness, Contrast
from fastcli.types import Image, typed


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def logit(x):
    x = x.clamp(1e-7, 1 - 1e-7)
    return -(1 / x - 1).log()


@pytest.mark.parametrize("order", ["brightness first", "contrast first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_lighting_equals_fastais_formula(order, dtype):
    """fastai adds logit(b), then multiplies by c, in the order given; all of it in float64 here."""
    transforms = [Brightness(0.4, 1.0), Contrast(0.4, 1.0)]
    if order == "contrast first":
        transforms.reverse()
    images = torch.randint(0, 256, (8, 3, 5, 5), dtype=torch.uint8, generator=seeded())
    given = images if dtype == torch.uint8 else images.float() / 255
    (ours,) = BatchPipeline(transforms)((typed(given, Image),), seeded(1), train=True)
    random, drawn = seeded(1), {}
    for transform in transforms:
        drawn[type(transform)] = transform.draw(8, random).double()[:, :, None, None]
    b, c = drawn[Brightness], drawn[Contrast]
    x = logit(images.double() / 255)
    expected = torch.sigmoid(c * (x + logit(b)) if order == "brightness first" else c * x + logit(b))
    assert (ours.double() - expected).abs().max() < 1e-5


def test_lighting_is_for_training_only():
    images = torch.rand(2, 3, 4, 4)
    (seen,) = BatchPipeline([Brightness(0.9, 1.0), Contrast(0.9, 1.0)])((typed(images, Image),), seeded())
    assert torch.equal(seen, images)


def test_draws_have_fastais_ranges():
    levels = Brightness(0.2, 1.0).draw(4000, seeded())
    assert 0.4 <= levels.min() < 0.41
    assert 0.59 < levels.max() <= 0.6
    factors = Contrast(0.2, 1.0).draw(4000, seeded()).log()
    assert -factors.min() == pytest.approx(-math.log(0.8), abs=0.01)
    assert factors.max() == pytest.approx(-math.log(0.8), abs=0.01)
    assert factors.mean() == pytest.approx(0, abs=0.02)
    assert (Contrast(0.2, 0.25).draw(4000, seeded()) == 1).float().mean() == pytest.approx(0.75, abs=0.03)
    assert (Brightness(0.2, 0.25).draw(4000, seeded()) == 0.5).float().mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("transform", [Brightness, Contrast])
def test_too_much_light_is_refused(transform):
    with pytest.raises(ConfigError, match="max_lighting 1"):
        transform(1.0)
