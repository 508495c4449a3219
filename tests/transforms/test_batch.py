"""The batch pipeline against a loop over samples in numpy, and its promises: one resampling, no stop of the device."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.utils._python_dispatch import TorchDispatchMode

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.batch import BatchPipeline, aug_transforms
from fastcli.transforms.geometry import BatchResize, Dihedral, Flip, RandomResizedCropBatch, Rotate, Warp, Zoom
from fastcli.transforms.lighting import Brightness, Contrast, Saturation
from fastcli.transforms.normalize import IMAGENET, Normalize
from fastcli.transforms.pixels import Hue, RandomErasing
from fastcli.transforms.transform import BatchTransform
from fastcli.types import BoundingBoxes, Category, Image, ImageBW, KeyPoints, Mask, TVTensor, typed


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def photos(n=4, height=40, width=40, channels=3):
    """Smooth uint8 pictures in channels-last memory, each different."""
    y, x = np.mgrid[:height, :width]
    waves = [[np.sin(x / 9 + k + i) + np.cos(y / 7 - k) for k in range(channels)] for i in range(n)]
    pixels = torch.from_numpy((np.array(waves) * 60 + 127).astype(np.uint8))
    return typed(pixels.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), ImageBW if channels == 1 else Image)


def labels(n=4):
    return typed(torch.arange(n), Category)


def by_hand(images, pipeline, generator, size):
    """One sample at a time in float64: sample, light, normalise."""
    n, _, height, width = images.shape
    matrices = pipeline._matrices(n, width / height, generator).double().numpy()
    curves = pipeline._curve(n, generator).double().numpy()
    v, u = ((np.arange(s) * 2 + 1) / s - 1 for s in size)
    grid = np.stack([*np.meshgrid(u, v), np.ones(size)])
    done = []
    for image, matrix, (scale, shift) in zip(images.double().numpy() / 255, matrices, curves, strict=True):
        x, y, w = np.einsum("ij,jhw->ihw", matrix, grid)
        where = [((y / w + 1) * height - 1) / 2, ((x / w + 1) * width - 1) / 2]
        seen = np.stack([map_coordinates(plane, where, order=1, mode="reflect") for plane in image])
        seen = seen.clip(1e-7, 1 - 1e-7)
        lit = 1 / (1 + np.exp(-(np.log(seen / (1 - seen)) * scale + shift)))
        done.append((lit - np.array(IMAGENET.mean)[:, None, None]) / np.array(IMAGENET.std)[:, None, None])
    return torch.from_numpy(np.stack(done))


@pytest.mark.parametrize("shape", [(40, 40), (36, 60)])
@pytest.mark.parametrize("transforms", [aug_transforms(), aug_transforms(size=(32, 30)), aug_transforms(flip_vert=True),
                                        aug_transforms(size=24, min_scale=0.5), [Warp(0.3, 1.0)],
                                        [RandomResizedCropBatch(20), Rotate(45.0, 1.0)]],
                         ids=["default", "sized", "dihedral", "presized", "warp", "crop"])  # fmt: skip
def test_pipeline_equals_a_loop_over_samples(shape, transforms):
    images, pipeline = photos(4, *shape), BatchPipeline(transforms, IMAGENET)
    ours, targets = pipeline((images, labels()), seeded(5), train=True)
    expected = by_hand(images, pipeline, seeded(5), pipeline.output_size(shape))
    assert (ours.double() - expected).abs().max() < 2e-3
    assert targets.tolist() == [0, 1, 2, 3]


def test_results_are_plain_float32_and_targets_untouched():
    pipeline = BatchPipeline([aug_transforms()], IMAGENET)
    for train in (True, False):
        images, targets = pipeline((photos(), labels()), seeded(), train=train)
        assert type(images) is torch.Tensor
        assert type(targets) is torch.Tensor
        assert images.dtype == torch.float32
        assert targets.dtype == torch.int64


def test_every_sample_has_its_own_draw_and_the_seed_repeats_them():
    same = typed(photos(1).expand(16, 3, 40, 40), Image)
    pipeline = BatchPipeline(aug_transforms(size=32, min_scale=0.5), IMAGENET)
    (first,) = pipeline((same,), seeded(1), train=True)
    assert len({sample.numpy().tobytes() for sample in first}) == 16
    assert torch.equal(first, pipeline((same,), seeded(1), train=True)[0])
    assert not torch.equal(first, pipeline((same,), seeded(2), train=True)[0])


class Watch(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


STOPS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select", "linalg_solve", "unique"}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("options", [{}, {"size": 24}, {"size": 24, "min_scale": 0.5}])
def test_one_resampling_and_nothing_that_stops_the_device(train, options):
    pipeline = BatchPipeline(aug_transforms(**options), IMAGENET)
    with Watch() as watch:
        pipeline((photos(), labels()), seeded(), train=train)
    assert watch.seen.count("grid_sampler_2d") == train
    assert not STOPS & set(watch.seen)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("transforms", [aug_transforms(size=24, min_scale=0.5), [Flip()], [BatchResize(10)]])
def test_nothing_depends_on_the_numbers_on_the_device(train, transforms):
    """A meta tensor has no numbers, so that reading one is an error."""
    parts = [typed(torch.empty(4, 3, 40, 40, dtype=torch.uint8, device="meta"), Image),
             typed(torch.empty(4, 40, 40, dtype=torch.int64, device="meta"), Mask),
             typed(torch.empty(4, 5, 2, device="meta"), KeyPoints),
             typed(torch.empty(4, 5, 4, device="meta"), BoundingBoxes)]  # fmt: skip
    images, masks, points, boxes = BatchPipeline(transforms, IMAGENET)(parts, seeded(), train=train)
    size = BatchPipeline(transforms).output_size((40, 40))
    assert images.shape == (4, 3, *size)
    assert masks.shape == (4, *size)
    assert points.shape == (4, 5, 2)
    assert boxes.shape == (4, 5, 4)


COLOURFUL = [Saturation(p=1.0), Hue(p=1.0), RandomErasing(p=1.0, max_count=2)]


def test_colours_and_erasing_do_not_stop_the_device():
    pipeline = BatchPipeline([aug_transforms(size=24, min_scale=0.5), *COLOURFUL], IMAGENET)
    with Watch() as watch:
        pipeline((photos(), labels()), seeded(), train=True)
    assert watch.seen.count("grid_sampler_2d") == 1
    assert not STOPS & set(watch.seen)


def test_presizing_from_460_to_224_samples_once_and_crops_each_image():
    pipeline = BatchPipeline(
        aug_transforms(size=224, min_scale=0.75, max_rotate=0, max_warp=0, max_zoom=1, max_lighting=0)
    )
    ramp = torch.linspace(0, 255, 460).expand(2, 3, 460, 460).to(torch.uint8)
    with Watch() as watch:
        (images,) = pipeline((typed(ramp, Image),), seeded(), train=True)
    assert images.shape == (2, 3, 224, 224)
    assert watch.seen.count("grid_sampler_2d") == 1
    spans = (images[:, 0, 0, -1] - images[:, 0, 0, 0]).abs()  # the part of the width that each crop shows
    assert ((spans > 0.75**0.5 - 0.02) & (spans <= 1.01)).all()
    assert spans[0] != spans[1]


def test_validation_is_one_antialiased_resize():
    images = typed(torch.randint(0, 256, (2, 3, 92, 92), dtype=torch.uint8, generator=seeded()), Image)
    (seen,) = BatchPipeline(aug_transforms(size=44, min_scale=0.75))((images,), seeded())
    for image, sample in zip(images, seen, strict=True):
        picture = PIL.Image.fromarray(image.permute(1, 2, 0).numpy()).resize((44, 44), PIL.Image.Resampling.BILINEAR)
        assert (sample.permute(1, 2, 0) * 255 - torch.from_numpy(np.array(picture))).abs().max() <= 1.001


def test_validation_of_a_crop_is_the_middle_of_an_allowed_shape():
    images = photos(2, 40, 100)
    square = BatchPipeline([RandomResizedCropBatch(40, ratio=(1.0, 1.0))])((images,), seeded())[0]
    assert (square * 255 - images[..., 30:70]).abs().max() < 1e-3
    half = BatchPipeline([RandomResizedCropBatch(20, ratio=(1.0, 1.0), valid_scale=0.5)])((images,), seeded())[0]
    assert (half * 255 - images[..., 10:30, 40:60]).abs().max() < 1e-3


def test_validation_without_a_size_only_normalises():
    images = photos()
    with Watch() as watch:
        (seen,) = BatchPipeline(aug_transforms(), IMAGENET)((images,), seeded())
    assert (seen - IMAGENET.encode(images.float() / 255)).abs().max() < 1e-5
    assert not {"grid_sampler_2d", "_upsample_bilinear2d_aa"} & set(watch.seen)
    assert images.dtype == torch.uint8


RESAMPLES = ("grid_sampler", "upsample", "interpolate", "resize", "affine_grid")


@pytest.mark.parametrize("options", [{}, {"size": 40}])
def test_validation_resamples_nothing_where_sizes_fit(options):
    parts = (photos(), typed(torch.zeros(4, 40, 40, dtype=torch.int64), Mask), labels())
    with Watch() as watch:
        seen = BatchPipeline(aug_transforms(**options), IMAGENET)(parts, seeded())
    assert [name for name in watch.seen if any(word in name for word in RESAMPLES)] == []
    assert seen[0].shape == (4, 3, 40, 40)


class Passes(Watch):
    """Counts what is done over all pixels of a batch that the model will see."""

    def __init__(self, numel):
        super().__init__()
        self.numel, self.whole = numel, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if isinstance(result, torch.Tensor) and result.numel() >= self.numel and not func.is_view:
            self.whole.append(func.overloadpacket.__name__)
        return result


def test_training_samples_once_and_colours_in_one_pass_whatever_there_is_of_both():
    few = BatchPipeline([Flip(), Rotate(10, 1.0), Brightness(0.2, 1.0)], IMAGENET)
    many = BatchPipeline([aug_transforms(p_affine=1.0, p_lighting=1.0), Zoom(1.0, 1.5, 1.0), Contrast(0.5, 1.0)],
                         IMAGENET)  # fmt: skip
    passes = []
    for pipeline in (few, many):
        with Passes(4 * 3 * 40 * 40) as watch:
            pipeline((photos(), labels()), seeded(), train=True)
        assert [name for name in watch.whole if "grid_sampler" in name] == ["grid_sampler_2d"]
        assert watch.whole.count("sigmoid_") == 1
        passes.append(watch.whole)
    assert passes[0] == passes[1]


def test_flip_alone_moves_pixels_without_mixing_them():
    images, masks = photos(32), typed(photos(32, channels=1)[:, 0].long(), Mask)
    with Watch() as watch:
        seen, seen_masks = BatchPipeline([Flip()])((images, masks), seeded(), train=True)
    assert "grid_sampler_2d" not in watch.seen
    mirrored = [
        not torch.equal(sample, image) for sample, image in zip((seen * 255).round(), images.float(), strict=True)
    ]
    assert 5 < sum(mirrored) < 27
    for i, is_mirrored in enumerate(mirrored):
        assert torch.allclose(seen[i] * 255, (images[i].flip(-1) if is_mirrored else images[i]).float(), atol=1e-4)
        assert torch.equal(seen_masks[i], masks[i].flip(-1) if is_mirrored else masks[i])


def test_flip_with_a_size_resizes_with_antialiasing():
    images = photos(8, 40, 40)
    with Watch() as watch:
        (seen,) = BatchPipeline([Flip(1.0), BatchResize(20)])((images,), seeded(), train=True)
    assert "grid_sampler_2d" not in watch.seen
    expected = BatchPipeline([BatchResize(20)])((images,), seeded())[0]
    assert (seen.flip(-1) - expected).abs().max() < 1e-6


def test_strong_reduction_is_antialiased():
    checks = torch.zeros(2, 3, 160, 160, dtype=torch.uint8)
    checks[..., ::2, :] = 255
    pipeline = BatchPipeline([Rotate(5.0, 1.0), BatchResize(20)])
    (seen,) = pipeline((typed(checks, Image),), seeded(), train=True)
    assert seen.std() < 0.05
    assert seen.mean() == pytest.approx(0.5, abs=0.02)


def test_mask_points_and_boxes_follow_the_image():
    n, size = 24, 60
    pixels = torch.zeros(n, 3, size, size, dtype=torch.uint8)
    pixels[..., 18:30, 33:45] = 255
    elements = (
        typed(pixels, Image),
        typed((pixels[:, 0] > 0).long(), Mask),
        typed(torch.tensor([[39.0, 24.0]]).expand(n, 1, 2), KeyPoints),
        typed(torch.tensor([[33.0, 18.0, 45.0, 30.0]]).expand(n, 1, 4), BoundingBoxes),
    )
    dark = {"max_lighting": 0, "pad_mode": "zeros"}
    for transforms in (aug_transforms(**dark), aug_transforms(size=48, flip_vert=True, **dark),
                       [Flip(), BatchResize(90)], [RandomResizedCropBatch(50, 0.7)]):  # fmt: skip
        for train in (True, False):
            pipeline = BatchPipeline(transforms)
            images, masks, points, boxes = pipeline(elements, seeded(), train=train)
            height, width = images.shape[-2:]
            points = pipeline.decode_element(KeyPoints, points, (height, width)).as_subclass(torch.Tensor)
            assert masks.dtype == torch.int64
            assert sorted(masks.unique().tolist()) == [0, 1]
            y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
            for image, mask, point, box in zip(images[:, 0], masks.float(), points, boxes, strict=True):
                for weight in (image, mask):
                    centre = torch.stack([(weight.sum(0) * x).sum(), (weight.sum(1) * y).sum()]) / weight.sum()
                    if weight[[0, -1]].sum() + weight[:, [0, -1]].sum() == 0:  # nothing cut off or mirrored
                        assert (centre - point[0]).abs().max() < 1.5
                rows, columns = torch.where(mask > 0)
                edges = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                if transforms[0] == Flip() or not train:
                    assert (edges - box[0]).abs().max() <= 1
                assert (box[0, :2] <= edges[:2] + 1.5).all()
                assert (box[0, 2:] >= edges[2:] - 1.5).all()


class Unknown(TVTensor):
    """A type that nobody taught how to move."""


def test_a_type_without_a_kernel_is_an_error():
    stranger = typed(torch.zeros(4, 2), Unknown)
    with pytest.raises(TypeError, match="warp_by has no kernel for Unknown"):
        BatchPipeline(aug_transforms())((photos(), stranger), seeded(), train=True)


def test_batches_without_pictures_pass():
    numbers = torch.randn(4, 10)
    first, second = BatchPipeline(aug_transforms(), IMAGENET)((numbers, labels()), seeded(), train=True)
    assert torch.equal(first, numbers)
    assert second.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("channels_last", [True, False])
def test_any_number_of_channels(channels, channels_last):
    images = photos(2, 20, 24, channels)
    if not channels_last:
        images = typed(images.contiguous(), type(images))
    normalize = Normalize([0.1 * (c + 1) for c in range(channels)], [0.2] * channels)
    pipeline = BatchPipeline([Flip(0.0)], normalize)
    (seen,) = pipeline((images,), seeded(), train=True)
    assert (seen - normalize.encode(images.float() / 255)).abs().max() < 1e-5
    assert (pipeline.decode(seen) - images.float() / 255).abs().max() < 1e-5


def test_float_pictures_are_not_changed_in_place():
    images = typed(photos().float() / 255, Image)
    before = images.clone()
    (seen,) = BatchPipeline([Brightness(), Contrast()], IMAGENET)((images,), seeded(), train=True)
    assert torch.equal(images, before)
    assert not torch.equal(seen, before)
    assert torch.equal(BatchPipeline()((images,), seeded())[0], before)
    for transform in (Flip(0.0), RandomResizedCropBatch(20, ratio=(1.0, 1.0), valid_scale=0.5)):
        for train in (True, False):
            BatchPipeline([transform], IMAGENET)((images,), seeded(), train=train)
            assert torch.equal(images, before)


def test_decode_brings_pictures_back_into_range():
    shown = BatchPipeline((), IMAGENET).decode(torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1))
    assert shown.flatten().tolist() == pytest.approx([0, IMAGENET.mean[1], 1])


def test_aug_transforms_have_fastais_defaults_and_order():
    assert aug_transforms() == [Flip(0.5), Warp(0.2, 0.75), Rotate(10.0, 0.75), Zoom(1.0, 1.1, 0.75),
                                Brightness(0.2, 0.75), Contrast(0.2, 0.75), BatchResize()]  # fmt: skip
    doubled = aug_transforms(mult=2, flip_vert=True, size=224, min_scale=0.75)
    assert doubled == [Dihedral(0.5), Warp(0.4, 0.75), Rotate(20.0, 0.75), Zoom(1.0, 1.1, 0.75),
                       Brightness(0.4, 0.75), Contrast(0.4, 0.75), RandomResizedCropBatch(224, 0.75, ratio=(1.0, 1.0)),
                       BatchResize(224)]  # fmt: skip
    assert aug_transforms(do_flip=False, max_rotate=0, max_warp=0, max_zoom=1, max_lighting=0) == [BatchResize()]


def test_output_size_and_conflicts():
    assert BatchPipeline().output_size((30, 40)) == (30, 40)
    assert BatchPipeline(aug_transforms(size=224, min_scale=0.5)).output_size((460, 460)) == (224, 224)
    assert batch_transforms.build("aug_transforms", size=[100, 150])[-1] == BatchResize((100, 150))
    with pytest.raises(ConfigError, match="several sizes: 128 x 128, 224 x 224"):
        BatchPipeline([BatchResize(224), RandomResizedCropBatch(128)])
    with pytest.raises(ConfigError, match="min_scale needs a size"):
        aug_transforms(min_scale=0.5)
    with pytest.raises(ConfigError, match=r"a warp of 0\.8"):
        aug_transforms(mult=4)
    with pytest.raises(TypeError, match="neither a Geometric nor a Lighting"):
        BatchPipeline([BatchTransform()])
    with pytest.raises(ConfigError, match="normalize has 3 channels and the images have 1"):
        BatchPipeline((), IMAGENET)((photos(2, channels=1),), seeded())
