"""Matrices of the geometric transforms against torchvision, fastai's formulae and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.boxes import random_boxes
from fastcli.transforms.geometry import (
    DeterministicDihedral,
    DeterministicFlip,
    Dihedral,
    Flip,
    RandomResizedCropBatch,
    Rotate,
    Warp,
    Zoom,
)
from fastcli.transforms.matrices import inverse
from fastcli.transforms.warp import View, sampling_grid, warp_by
from fastcli.types import Image, typed

GEOMETRIC = [Flip(), Dihedral(), Rotate(40.0, p=0.9), Zoom(0.8, 1.4), Warp(0.3, p=0.9),
             RandomResizedCropBatch(32, 0.3), RandomResizedCropBatch(32, 0.3, ratio=(1.0, 1.0))]  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + k) + np.cos(y / 7 - k) for k in range(3)]
    return typed(torch.from_numpy(np.stack(waves) / 4 + 0.5).float()[None], Image)


def seen(image, matrices, size=None, **options):
    source = tuple(image.shape[-2:])
    return warp_by(image, View(matrices, source, size or source, **options))


FASTAI_DIHEDRAL = [[1, 0, 0, 1], [-1, 0, 0, 1], [1, 0, 0, -1], [0, -1, 1, 0],
                   [-1, 0, 0, -1], [0, 1, -1, 0], [0, 1, 1, 0], [0, -1, -1, 0]]  # fmt: skip
"""What `dihedral_mat(draw=i)` of fastai 2.8.12 gives, without the zeros of the third row and column."""


def test_matrices_equal_fastais():
    """fastai 2.8.12: rotate_mat(draw=30), zoom_mat(draw=1.3, draw_x=.2, draw_y=.7), flip_mat, dihedral_mat."""
    degrees = Rotate(p=1.0, degrees=30.0)
    rotation = degrees.matrix(degrees.draw(1, seeded()), 1.0).flatten()
    assert rotation.tolist() == pytest.approx([0.866025, 0.5, 0, -0.5, 0.866025, 0, 0, 0, 1], abs=1e-6)
    zoom = Zoom(p=1.0, factor=1.3, across=0.2, down=0.7)
    scaling = zoom.matrix(zoom.draw(1, seeded()), 1.0).flatten()
    assert scaling.tolist() == pytest.approx([0.769231, 0, -0.138462, 0, 0.769231, 0.092308, 0, 0, 1], abs=1e-6)
    assert Flip().matrix(torch.ones(1, 1), 1.0).flatten().tolist() == [-1, 0, 0, 0, 1, 0, 0, 0, 1]
    symmetries = Dihedral().matrix(torch.arange(8.0)[:, None], 1.0)
    assert symmetries[:, :2, :2].flatten(1).tolist() == FASTAI_DIHEDRAL


def test_constants_take_the_place_of_draws():
    n = 400
    assert Rotate(p=0.5, degrees=30.0).draw(n, seeded()).unique().tolist() == [0, 30]
    factors, across, down = Zoom(p=0.5, factor=2.0, down=0.25).draw(n, seeded()).unbind(1)
    assert factors.unique().tolist() == [1, 2]
    assert len(across.unique()) > 100
    assert down.unique().tolist() == [0.25]
    assert Zoom(factor=2.0).smallest == 0.5
    x, y = Warp(p=1.0, x=0.1).draw(n, seeded()).unbind(1)
    assert x.unique().tolist() == pytest.approx([0.1])
    assert len(y.unique()) > 100


def test_deterministic_views_are_one_or_each_in_turn():
    assert DeterministicFlip().draw(5, seeded())[:, 0].tolist() == [0, 1, 0, 1, 0]
    assert DeterministicFlip(3).draw(2, seeded())[:, 0].tolist() == [1, 1]
    assert DeterministicDihedral().draw(10, seeded())[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert DeterministicDihedral(5).draw(2, seeded())[:, 0].tolist() == [5, 5]
    for random, fixed in ((Flip(), DeterministicFlip()), (Dihedral(), DeterministicDihedral())):
        params = fixed.draw(8, seeded())
        assert torch.equal(random.matrix(params, 1.5), fixed.matrix(params, 1.5))


@pytest.mark.parametrize("shape", [(60, 60), (48, 80)])
@pytest.mark.parametrize("degrees", [-30.0, 10.0])
def test_rotation_equals_torchvision(shape, degrees):
    image = smooth(*shape)
    ours = seen(image, Rotate().matrix(torch.tensor([[degrees]]), shape[1] / shape[0]))
    theirs = functional.rotate(image, -degrees, InterpolationMode.BILINEAR)  # counter-clockwise there
    inside = functional.rotate(torch.ones_like(image), -degrees, InterpolationMode.BILINEAR) == 1
    assert inside.float().mean() > 0.5
    assert (ours - theirs)[inside].abs().max() < 1e-4


def test_zoom_equals_torchvision():
    image = smooth(48, 80)
    params = torch.tensor([[1.3, 0.5, 0.5]])
    ours = seen(image, Zoom().matrix(params, 80 / 48))
    theirs = functional.affine(image, 0, [0, 0], 1.3, [0.0, 0.0], InterpolationMode.BILINEAR)
    assert (ours - theirs).abs().max() < 1e-4
    # fastai's centre: 0 keeps the left edge, 1 the right one.
    left, right = Zoom().matrix(torch.tensor([[2.0, 0.0, 0.5], [2.0, 1.0, 0.5]]), 1.0) @ torch.tensor([-1.0, 0.0, 1.0])
    assert left.tolist() == [-1, 0, 1]
    assert right.tolist() == [0, 0, 1]


def test_dihedral_gives_the_eight_symmetries_in_fastais_order():
    image = smooth(24, 24)
    plain, across, down = image.as_subclass(torch.Tensor), (-1,), (-2,)
    expected = [plain, plain.flip(across), plain.flip(down), plain.mT.flip(down), plain.flip(across + down),
                plain.mT.flip(across), plain.mT, plain.mT.flip(across + down)]  # fmt: skip
    matrices = Dihedral().matrix(torch.arange(8.0)[:, None], 1.0)
    ours = seen(typed(plain.expand(8, 3, 24, 24), Image), matrices)
    assert (ours - torch.cat(expected)).abs().max() < 1e-4


def test_a_quarter_turn_of_an_oblong_keeps_its_aspect():
    image = smooth(40, 80)
    turned = seen(image, Dihedral().matrix(torch.tensor([[6.0]]), 2.0))
    assert (turned[..., 20:60] - image[..., 20:60].transpose(-1, -2)).abs().max() < 1e-4


def fastai_coefficients(x, y):
    """fastai's `find_coeffs` for one sample: 8 unknowns by a linear solve in float64."""
    start = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], float)
    target = np.array([[-1 - y, -1 - x], [-1 + y, 1 + x], [1 + y, -1 + x], [1 - y, 1 - x]])
    rows = []
    for (p, q), (u, v) in zip(start, target, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -p * u, -p * v], [0, 0, 0, u, v, 1, -q * u, -q * v]]
    return np.append(np.linalg.solve(np.array(rows), start.ravel()), 1).reshape(3, 3)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.2, 0.0), (0.0, -0.2), (0.2, 0.2), (-0.3, 0.1), (0.35, -0.3)])
def test_warp_equals_fastais_linear_solve(x, y):
    matrix = Warp().matrix(torch.tensor([[x, y]]), 1.5)[0]
    assert np.abs(matrix.numpy() - fastai_coefficients(x, y)).max() < 1e-6


def test_warp_maps_the_corners_exactly_and_its_inverse_back():
    params = Warp(0.4, p=1.0).draw(50, seeded())
    matrices = Warp().matrix(params, 1.0)
    x, y = params.unbind(1)
    corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    targets = torch.stack([torch.stack(pair, 1) for pair in
                           [(-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x), (1 - y, 1 - x)]], 1)  # fmt: skip

    def mapped(matrices, points):
        points = torch.cat([points, torch.ones(*points.shape[:2], 1)], -1) @ matrices.transpose(1, 2)
        return points[..., :2] / points[..., 2:]

    assert (mapped(matrices, targets) - corners).abs().max() < 1e-5
    assert (mapped(inverse(matrices), corners.expand(50, 4, 2)) - targets).abs().max() < 1e-5


@pytest.mark.parametrize("aspect", [1.0, 1.7])
def test_inverse(aspect):
    matrices = torch.eye(3).expand(16, 3, 3)
    for transform in GEOMETRIC:
        matrices = matrices @ transform.matrix(transform.draw(16, seeded()), aspect)
        product = matrices @ inverse(matrices)
        assert (product / product[:, 2:, 2:] - torch.eye(3)).abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(64, 64), (48, 96)])
def test_composed_equals_one_after_the_other(shape):
    """Also on oblongs, where fastai corrects the product's aspect and so shifts a rotated zoom centre."""
    image, aspect = smooth(*shape), shape[1] / shape[0]
    parts = [Flip().matrix(torch.tensor([[1.0]]), aspect), Rotate().matrix(torch.tensor([[20.0]]), aspect),
             Zoom().matrix(torch.tensor([[1.6, 0.5, 0.8]]), aspect)]  # fmt: skip
    composed = seen(image, parts[0] @ parts[1] @ parts[2])
    in_turn = image
    for part in parts:
        in_turn = typed(seen(in_turn, part), Image)
    middle = (..., slice(12, -12), slice(12, -12))
    assert (composed - in_turn.as_subclass(torch.Tensor))[middle].abs().max() < 0.01


def test_sampling_grid_equals_torchs_for_affine_matrices():
    matrices = Rotate(30.0, p=1.0).matrix(Rotate(30.0, p=1.0).draw(5, seeded()), 1.3)
    expected = torch.nn.functional.affine_grid(matrices[:, :2], [5, 1, 20, 30], align_corners=False)
    assert (sampling_grid(matrices, (20, 30)) - expected).abs().max() < 1e-6


def test_crop_boxes_show_exactly_their_pixels():
    image = typed(torch.arange(8 * 12.0).view(1, 1, 8, 12) / 96, Image)
    transform = RandomResizedCropBatch((4, 6), min_scale=0.25, max_scale=0.25, ratio=(1.5, 1.5))
    params = transform.draw(1, seeded())
    params[:, -2:] = 0.5
    ours = seen(image, transform.matrix(params, 1.5), (4, 6))
    assert (ours - image[..., 2:6, 3:9]).abs().max() < 1e-6


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.5])
def test_batch_boxes_equal_a_loop(aspect):
    """The published algorithm, attempt by attempt."""
    scale, ratio = (0.4, 1.0), (0.8, 1.25)
    draws = torch.rand(200, 22, generator=seeded())
    boxes = random_boxes(draws, aspect, scale, ratio)
    found = 0
    for row, box in zip(draws.double(), boxes, strict=True):
        for attempt in range(10):
            area = scale[0] + (scale[1] - scale[0]) * row[attempt]
            shape = math.exp(math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * row[10 + attempt])
            width, height = math.sqrt(area * shape / aspect), math.sqrt(area / shape * aspect)
            if width <= 1 and height <= 1:
                expected = (row[20] * (1 - height), row[21] * (1 - width), height, width)
                found += 1
                break
        else:
            height, width = min(1, aspect / ratio[0]), min(1, ratio[1] / aspect)
            expected = ((1 - height) / 2, (1 - width) / 2, height, width)
        assert box.tolist() == pytest.approx(tuple(map(float, expected)), abs=1e-5)
    assert found > 100 or aspect == 2.5


@pytest.mark.parametrize("transform", GEOMETRIC, ids=lambda t: type(t).__name__)
def test_draws_differ_by_sample_and_repeat_by_seed(transform):
    first = transform.draw(64, seeded(1))
    assert first.dtype == torch.float32
    assert first.device.type == "cpu"
    assert torch.equal(first, transform.draw(64, seeded(1)))
    assert not torch.equal(first, transform.draw(64, seeded(2)))
    assert len(first.unique(dim=0)) > (1 if isinstance(transform, Flip) else 5)
    assert transform.matrix(first, 1.3).shape == (64, 3, 3)


def test_probabilities_and_ranges():
    n = 4000
    assert Flip(0.3).draw(n, seeded()).mean() == pytest.approx(0.3, abs=0.03)
    degrees = Rotate(25.0, p=0.4).draw(n, seeded())
    assert (degrees != 0).float().mean() == pytest.approx(0.4, abs=0.03)
    assert -25 <= degrees.min() < -24
    assert 24 < degrees.max() <= 25
    factors = Zoom(1.0, 1.5, p=1.0).draw(n, seeded())[:, 0]
    assert factors.mean() == pytest.approx(1.25, abs=0.01)
    warps = Warp(0.2, p=0.5).draw(n, seeded())
    assert (warps != 0).all(1).float().mean() == pytest.approx(0.25, abs=0.03)  # x and y have a coin each, as in fastai
    assert Dihedral(1.0).draw(n, seeded()).unique().tolist() == list(range(8))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("warp", {"magnitude": 0.8}),
        ("zoom", {"min_zoom": 2, "max_zoom": 1}),
        ("rotate", {"p": 1.5}),
        ("zoom", {"factor": 0}),
        ("zoom", {"across": 2}),
        ("warp", {"x": -0.8}),
        ("random_resized_crop", {"size": 224, "ratio": [2, 1]}),
        ("random_resized_crop", {}),
        ("flip", {"probability": 0.5}),
    ],
)
def test_wrong_parameters_are_refused(name, params):
    with pytest.raises(ConfigError):
        batch_transforms.build(name, **params)


def test_random_resized_crop_draws_a_box_for_each_sample():
    """fastai's RandomResizedCropGPU draws one crop for the whole batch."""
    crop = RandomResizedCropBatch(16, 0.2)
    assert len(crop.matrix(crop.draw(32, seeded()), 1.0).unique(dim=0)) == 32


def test_a_degenerate_warp_leaves_the_rest_of_the_batch_warped():
    """fastai shows the whole batch unwarped if one depth in it is zero."""
    size = (4, 4)
    # Depth 1 + 4/3 x is zero where the first column of pixels looks, at x = -3/4.
    degenerate = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [4 / 3, 0.0, 1.0]])
    usual = Warp().matrix(torch.tensor([[0.2, -0.1]]), 1.0)[0]
    images = typed(smooth(*size).expand(2, 3, *size).contiguous(), Image)
    both = seen(images, torch.stack([degenerate, usual]))
    alone = seen(typed(images[1:], Image), usual[None])
    assert torch.equal(both[1:], alone)
    assert (both[1] - images[1]).abs().max() > 0.01
    assert both.isfinite().all()
