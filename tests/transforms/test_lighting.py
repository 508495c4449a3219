"""Brightness and contrast against fastai's closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fastcli.errors import ConfigError
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.lighting import Brightness, Contrast, Saturation
from fastcli.types import Image, ImageBW, typed


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


COLOURS = torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5], [0.25, 0.5, 0.75], [0.6, 0.6, 0.6], [0.1, 0.4, 0.35],
                        [0.7, 0.05, 0.65]]).T.reshape(1, 3, 2, 3)  # fmt: skip
FASTAI_TRACES = [
    ([Brightness(p=1.0, level=0.6)],
     [0.931034, 0.391304, 0.333333, 0.692308, 0.142857, 0.777778, 0.272727, 0.857143, 0.6,
      0.692308, 0.5, 0.073171, 0.142857, 0.6, 0.818182, 0.692308, 0.446808, 0.735849]),
    ([Contrast(p=1.0, factor=1.2)],
     [0.933185, 0.265659, 0.211095, 0.619295, 0.066815, 0.73434, 0.159286, 0.840714, 0.5,
      0.619295, 0.380705, 0.028379, 0.066815, 0.5, 0.788905, 0.619295, 0.322382, 0.677618]),
    ([Saturation(p=1.0, factor=1.25)],
     [0.945236, 0.231609, 0.210406, 0.600002, 0.075495, 0.803807, 0.163694, 0.831002, 0.512693,
      0.600002, 0.434012, 0.034576, 0.066319, 0.465026, 0.805972, 0.600002, 0.369942, 0.754904]),
    ([Saturation(p=1.0, factor=0.8)],
     [0.842412, 0.362221, 0.285056, 0.599998, 0.124461, 0.597949, 0.233164, 0.772263, 0.489845,
      0.599998, 0.373452, 0.066828, 0.137137, 0.527996, 0.698099, 0.599998, 0.334412, 0.553376]),
    ([Brightness(p=1.0, level=0.6), Saturation(p=1.0, factor=1.3), Contrast(p=1.0, factor=0.9)],
     [0.954597, 0.314806, 0.296171, 0.674774, 0.125079, 0.850114, 0.241035, 0.862423, 0.60343,
      0.674774, 0.537722, 0.062924, 0.109506, 0.553197, 0.846206, 0.674774, 0.475343, 0.81282]),
]  # fmt: skip


@pytest.mark.parametrize(("transforms", "expected"), FASTAI_TRACES)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_lighting_equals_traces_of_fastai(transforms, expected, memory):
    """fastai 2.8.12 on `COLOURS`; the last is its composition of three."""
    given = typed(COLOURS.contiguous(memory_format=memory), Image)
    (ours,) = BatchPipeline(transforms)((given,), seeded(), train=True)
    assert ours.flatten().tolist() == pytest.approx(expected, abs=2e-6)
    assert torch.equal(given, COLOURS)


class Watch(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("mixed", "products"), [([], 0), ([Saturation(), Saturation(0.5)], 1)])
def test_all_lighting_is_one_pass_and_needs_no_matrix_without_saturation(mixed, products):
    transforms = [Brightness(), *mixed, Contrast(), Brightness(0.1)]
    with Watch() as watch:
        BatchPipeline(transforms)((typed(torch.rand(4, 3, 8, 8), Image),), seeded(), train=True)
    assert watch.seen.count("logit_") == watch.seen.count("sigmoid_") == 1
    assert watch.seen.count("baddbmm") == products


def test_saturation_leaves_grey_pictures_as_they_are():
    """Beside colour pictures too: each kind gets its own line."""
    grey = torch.rand(4, 1, 6, 6)
    parts = typed(grey, ImageBW), typed(torch.rand(4, 3, 6, 6), Image)
    seen, _ = BatchPipeline([Saturation(0.9, 1.0)])(parts, seeded(), train=True)
    assert (seen - grey).abs().max() < 1e-6
    transforms = [Brightness(0.5, 1.0), Saturation(0.9, 1.0), Contrast(0.5, 1.0)]
    seen, _ = BatchPipeline(transforms)(parts, seeded(3), train=True)
    random = seeded(3)
    level, _, factor = (transform.draw(4, random)[:, :, None, None] for transform in transforms)
    assert (seen - torch.sigmoid(factor * (logit(grey) + logit(level)))).abs().max() < 1e-5
    with pytest.raises(ConfigError, match="saturation needs pictures of 3 channels, or grey ones, not of 4"):
        BatchPipeline([Saturation()])((typed(torch.rand(2, 4, 5, 5), Image),), seeded(), train=True)


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
    assert torch.equal(Saturation(0.2, 1.0).draw(9, seeded()), Contrast(0.2, 1.0).draw(9, seeded()))
    assert Contrast(p=0.5, factor=1.5).draw(99, seeded()).unique().tolist() == pytest.approx([1, 1.5])
    assert (Brightness(0.2, 0.25).draw(4000, seeded()) == 0.5).float().mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("transform", [Brightness, Contrast, Saturation])
def test_too_much_light_is_refused(transform):
    with pytest.raises(ConfigError, match="max_lighting 1"):
        transform(1.0)


def test_constants_out_of_range_are_refused():
    for make, value in ((Contrast, 0.0), (Saturation, -1.0)):
        with pytest.raises(ConfigError, match="not above 0"):
            make(factor=value)
    with pytest.raises(ConfigError, match="0 < level < 1"):
        Brightness(level=1.0)
