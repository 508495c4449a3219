"""What each type is when it leaves the batch pipeline, and that `decode_element` gives it back."""

from __future__ import annotations

import pytest
import torch

from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.geometry import BatchResize, DeterministicDihedral, DeterministicFlip, RandomResizedCropBatch
from fastcli.transforms.normalize import IMAGENET
from fastcli.types import BoundingBoxes, Category, Image, ImageBW, KeyPoints, Mask, TVTensor, register_kernel, typed

from fastcli.transforms.elements import plain, shown  # isort: skip

HEIGHT, WIDTH = 20, 30


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(mask_shape=(2, 1, HEIGHT, WIDTH), mask_dtype=torch.uint8):
    return (
        typed(torch.randint(0, 256, (2, 3, HEIGHT, WIDTH), dtype=torch.uint8), Image),
        typed(torch.randint(0, 4, mask_shape, dtype=mask_dtype), Mask),
        typed(torch.tensor([[[0.0, 0.0], [15.0, 10.0]], [[30.0, 20.0], [7.5, 5.0]]]), KeyPoints),
        typed(torch.tensor([[[3, 2, 12, 8]], [[0, 0, 30, 20]]]), BoundingBoxes),
        typed(torch.tensor([4, 5]), Category),
    )


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("transforms", [[], [BatchResize((40, 60))], [RandomResizedCropBatch((10, 15), 1.0)]])
@pytest.mark.parametrize("mask", [((2, 1, HEIGHT, WIDTH), torch.uint8), ((2, HEIGHT, WIDTH), torch.int64)])
def test_types_leave_with_their_shapes_and_dtypes(train, transforms, mask):
    pipeline = BatchPipeline(transforms, IMAGENET)
    images, masks, points, boxes, labels = seen = pipeline(batch(*mask), seeded(), train=train)
    assert all(type(element) is torch.Tensor for element in seen)
    size = pipeline.output_size((HEIGHT, WIDTH))
    assert images.shape == (2, 3, *size)
    assert (masks.dtype, masks.shape) == (torch.int64, (2, *size))
    assert (points.dtype, points.shape) == (torch.float32, (2, 2, 2))
    assert (boxes.dtype, boxes.shape) == (torch.float32, (2, 1, 4))
    assert labels.tolist() == [4, 5]


def test_points_leave_in_the_square_and_boxes_in_pixels():
    for size in [(HEIGHT, WIDTH), (40, 60)]:
        _, _, points, boxes, _ = BatchPipeline([BatchResize(size)])(batch(), seeded())
        expected = torch.tensor([[[-1.0, -1.0], [0.0, 0.0]], [[1.0, 1.0], [-0.5, -0.5]]])
        assert (points - expected).abs().max() < 1e-6
        scale = size[0] / HEIGHT
        assert boxes[0, 0].tolist() == pytest.approx([3 * scale, 2 * scale, 12 * scale, 8 * scale])


@pytest.mark.parametrize("sample", [slice(None), 1])
def test_decode_element_undoes_it(sample):
    given, pipeline = batch(), BatchPipeline((), IMAGENET)
    seen = pipeline(given, seeded())
    types = (ImageBW if element is None else type(element) for element in given)
    image, mask, points, boxes, label = (
        pipeline.decode_element(kind, tensor[sample], (HEIGHT, WIDTH)) for kind, tensor in zip(types, seen, strict=True)
    )
    assert [type(element) for element in (image, mask, points, boxes, label)] == [type(element) for element in given]
    assert (image - given[0][sample] / 255).abs().max() < 1e-6
    assert torch.equal(mask.as_subclass(torch.Tensor), given[1][sample].long().squeeze(-3))
    assert (points - given[2][sample]).abs().max() < 1e-5
    assert points.canvas_size == boxes.canvas_size == (HEIGHT, WIDTH)
    assert torch.equal(boxes.as_subclass(torch.Tensor), given[3][sample].float())
    assert boxes.format.value == "XYXY"
    assert type(pipeline.decode_element(ImageBW, seen[0])) is ImageBW


def test_a_box_that_lies_outside_has_no_area():
    """Also one of zeros, with which batches are padded."""
    crop = RandomResizedCropBatch(10, 0.25, 0.25, ratio=(1.0, 1.0))
    boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 0.0, 0.0], [15.0, 15.0, 25.0, 25.0]]])
    parts = typed(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), Image), typed(boxes, BoundingBoxes)
    pipeline = BatchPipeline([RandomResizedCropBatch(10, 0.25, 0.25, ratio=(1.0, 1.0), valid_scale=0.5)])
    _, seen = pipeline(parts, seeded())
    sides = seen[..., 2:] - seen[..., :2]
    assert sides.prod(-1).tolist() == [[0, 0, 25]]
    _, drawn = BatchPipeline([crop])(parts, seeded(), train=True)
    assert (drawn[..., 2:] >= drawn[..., :2]).all()


def test_points_without_a_canvas_are_an_error():
    with pytest.raises(TypeError, match="KeyPoints without a picture or mask"):
        BatchPipeline()((batch()[2],), seeded())


class Depth(TVTensor):
    """A user's own type."""


def test_a_users_type_is_plain_as_it_is_unless_it_has_a_kernel():
    depth = typed(torch.ones(2, HEIGHT, WIDTH), Depth)
    images = batch()[0]
    assert torch.equal(BatchPipeline()((images, depth), seeded())[1], torch.ones(2, HEIGHT, WIDTH))
    register_kernel(plain, Depth)(lambda element, size: element.as_subclass(torch.Tensor) * size[0])
    register_kernel(shown, Depth)(lambda element, size: element / size[0])
    pipeline = BatchPipeline()
    seen = pipeline((images, depth), seeded())[1]
    assert torch.equal(seen, torch.full((2, HEIGHT, WIDTH), 20.0))
    assert torch.equal(pipeline.decode_element(Depth, seen, (HEIGHT, WIDTH)), torch.ones(2, HEIGHT, WIDTH))


@pytest.mark.parametrize("train", [True, False])
def test_deterministic_views_show_every_symmetry_in_validation_too(train):
    image = torch.rand(1, 3, 16, 16)
    same = typed(image.expand(8, 3, 16, 16), Image)
    down, across = image.flip(-2), image.flip(-1)
    expected = [image, across, down, image.mT.flip(-2), across.flip(-2), image.mT.flip(-1), image.mT,
                image.mT.flip(-1, -2)]  # fmt: skip
    (seen,) = BatchPipeline([DeterministicDihedral()])((same,), seeded(), train=train)
    assert (seen - torch.cat(expected)).abs().max() < 1e-5
    for n, view in enumerate(expected):
        (seen,) = BatchPipeline([DeterministicDihedral(n)])((same,), seeded(), train=train)
        assert (seen - view).abs().max() < 1e-5
    (seen,) = BatchPipeline([DeterministicFlip()])((same,), seeded(), train=train)
    assert torch.equal(seen, torch.cat([image, across] * 4))


def test_a_mirrored_view_in_validation_mirrors_the_usual_one():
    images = typed(torch.randint(0, 256, (2, 3, 40, 60), dtype=torch.uint8), Image)
    crop = RandomResizedCropBatch(20, ratio=(1.0, 1.0))
    usual = BatchPipeline([crop])((images,), seeded())[0]
    assert torch.equal(BatchPipeline([DeterministicFlip(1), crop])((images,), seeded())[0], usual.flip(-1))
    assert torch.equal(BatchPipeline([DeterministicFlip(0), crop])((images,), seeded())[0], usual)
    smooth = typed(torch.nn.functional.avg_pool2d(torch.rand(2, 3, 60, 80), 21, 1), Image)
    pipelines = BatchPipeline([DeterministicDihedral(4), crop]), BatchPipeline([crop])
    turned, plain_view = (pipeline((smooth,), seeded())[0] for pipeline in pipelines)
    assert (turned - plain_view.flip(-1, -2)).abs().max() < 0.01
