"""torchvision's transforms by name: reproducible, in threads, in any order, and the same for all parts of a sample."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torchvision.transforms import v2

from fastcli.errors import ConfigError
from fastcli.registry import item_transforms
from fastcli.transforms.foreign import COLOUR, FIXED, GEOMETRIC, POLICIES, Foreign, OwnRandomNumbers
from fastcli.transforms.item import ItemPipeline, Resize
from fastcli.types import BoundingBoxes, Category, Image, ImageBW, KeyPoints, Mask, TVTensor, typed

PARAMS = {"center_crop": {"size": 20}, "gaussian_blur": {"kernel_size": 5},
          "pad": {"padding": 3}, "random_adjust_sharpness": {"sharpness_factor": 2, "p": 1}, "random_affine":
          {"degrees": 20, "translate": [0.1, 0.1]}, "random_posterize": {"bits": 2, "p": 1}, "random_resize":
          {"min_size": 20, "max_size": 60}, "random_rotation": {"degrees": 30}, "random_shortest_size":
          {"min_size": [20, 30, 50]}, "random_solarize": {"threshold": 128}, "scale_jitter": {"target_size": [40, 40]},
          "color_jitter": {"brightness": 0.4, "hue": 0.2}, "random_erasing": {"p": 1}}  # fmt: skip
CLASSES = (*GEOMETRIC, *COLOUR, *POLICIES)
NOT_FOR_ONE_ELEMENT = {"MixUp", "CutMix", "FiveCrop", "TenCrop", "RandomIoUCrop", "SanitizeBoundingBoxes",
                       "SanitizeKeyPoints", "UniformTemporalSubsample"}  # fmt: skip
NOT_FOR_YAML = {"Lambda", "Compose", "RandomApply", "RandomChoice", "RandomOrder", "LinearTransformation", "Transform"}
CONVERSIONS = {"ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "ConvertImageDtype", "Identity",
               "PILToTensor", "RGB", "SetClampingMode", "ToDtype", "ToImage", "ToPILImage", "ToPureTensor",
               "ToTensor"}  # fmt: skip
OURS = {"JPEG", "Resize", "RandomCrop", "RandomResizedCrop", "Normalize"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def built():
    """Every registered one, with parameters that make it do something."""
    names = [name for name in item_transforms if getattr(item_transforms[name], "__signature__", None)]
    return {name: item_transforms.build(name, **PARAMS.get(name, {})) for name in names}


def photo(height=40, width=48, channels=3):
    pixels = torch.randint(20, 220, (height, width, channels), dtype=torch.uint8, generator=seeded())
    return typed(pixels.permute(2, 0, 1), Image)


def sample(height=40, width=48):
    mask = (photo(height, width)[0] > 128).to(torch.uint8)
    return [photo(height, width), typed(mask, Mask),
            KeyPoints([[10.0, 12.0], [30.5, 20.5]], canvas_size=(height, width)),
            BoundingBoxes([[5, 8, 20, 30]], format="XYXY", canvas_size=(height, width))]  # fmt: skip


def test_every_class_of_torchvision_is_here_or_left_out_for_a_reason():
    found = {name for name in dir(v2) if isinstance(getattr(v2, name), type)}
    classes = {name for name in found if issubclass(getattr(v2, name), v2.Transform)}
    left_out = NOT_FOR_ONE_ELEMENT | NOT_FOR_YAML | CONVERSIONS | OURS
    assert not left_out & set(CLASSES)
    assert set(CLASSES) <= classes
    assert len(CLASSES) == len(set(CLASSES)) == len(built())
    assert not classes - left_out - set(CLASSES)


def test_names_signatures_and_descriptions_come_from_torchvision():
    assert {"rand_augment", "trivial_augment_wide", "aug_mix", "auto_augment", "color_jitter"} <= set(built())
    for name in built():
        schema = item_transforms.schema(name).model_json_schema()
        assert json.dumps(schema)
        description = item_transforms[name].__doc__
        assert "`" not in description
        assert "torchvision's" in description
    defaults = item_transforms.check("rand_augment")
    assert defaults == {
        "num_ops": 2,
        "magnitude": 9,
        "num_magnitude_bins": 31,
        "interpolation": "nearest",
        "fill": None,
    }
    made = item_transforms.build("auto_augment", policy="cifar10", interpolation="bilinear").transform
    assert made.policy is v2.AutoAugmentPolicy.CIFAR10
    assert made.interpolation is v2.InterpolationMode.BILINEAR


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("rand_augment", {"interpolation": "lanczos"}, "interpolation"),
        ("color_jitter", {"brightnes": 0.1}, "no parameter 'brightnes'"),
        ("random_grayscale", {"p": 1.5}, "less than or equal to 1"),
        ("gaussian_blur", {"kernel_size": 4}, "item transform 'gaussian_blur': Kernel size"),
        ("random_posterize", {}, "bits"),
        ("random_erasing", {"inplace": True}, "no parameter 'inplace'"),
    ],
)
def test_wrong_parameters_are_refused(name, params, message):
    with pytest.raises(ConfigError, match=message):
        item_transforms.build(name, **params)


@pytest.mark.parametrize("name", built())
def test_a_seed_repeats_a_view_and_leaves_the_global_generator_alone(name):
    transform, image = built()[name], photo()
    pipeline = ItemPipeline([transform])
    kept = pipeline.prepare(image)
    rows = pipeline.draw(12, seeded(3))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    views = [pipeline.finish(kept, None if rows[0] is None else [rows[0][i]]) for i in range(12)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    for i in reversed(range(12)):
        again = pipeline.finish(kept, None if rows[0] is None else [rows[0][i]])
        assert again.dtype == torch.uint8
        assert torch.equal(again, views[i])
    different = len({(view.shape, view.contiguous().numpy().tobytes()) for view in views})
    certain = type(transform.transform).__name__ in (*FIXED, "RandomAdjustSharpness", "RandomPosterize")
    assert different == 1 if certain else different > 1


@pytest.mark.parametrize("name", built())
def test_random_ones_are_not_applied_in_validation_and_fixed_ones_are(name):
    transform, image = built()[name], photo()
    view = ItemPipeline([transform])(image)
    if type(transform.transform).__name__ in FIXED:
        assert not transform.random
        assert torch.equal(view, transform.transform(image))
    else:
        assert transform.random
        assert view is image


def test_threads_do_not_disturb_each_other_nor_the_loop():
    """The loop draws (dropout) from the global generator while loaders assemble batches in a thread."""
    pipeline = ItemPipeline([built()["rand_augment"], built()["gaussian_noise"], built()["aug_mix"]])
    rows = pipeline.draw(8, seeded())

    def views(order):
        return {i: pipeline.finish(photo(), [row[i] for row in rows]) for i in order}

    alone = views(range(8))
    torch.manual_seed(7)
    undisturbed = [torch.rand(3) for _ in range(200)]
    torch.manual_seed(7)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(views, order) for order in (range(8), reversed(range(8)), (5, 1, 6))]
        drawn = [torch.rand(3) for _ in range(200)]
    assert all(torch.equal(a, b) for a, b in zip(undisturbed, drawn, strict=True))
    for future in futures:
        assert all(torch.equal(view, alone[i]) for i, view in future.result().items())


@pytest.mark.parametrize("name", [name for name in built() if type(built()[name].transform).__name__ in GEOMETRIC])
def test_one_element_at_a_time_equals_one_call_with_all(name):
    """torchvision draws by the size of the canvas, so that elements with one seed get the same parameters."""
    transform = built()[name]
    for row in torch.arange(12) + 5:
        with OwnRandomNumbers(int(row)):
            together = transform.transform(sample())
        pipeline = ItemPipeline([transform])
        apart = [pipeline.finish(pipeline.prepare(part), [row if transform.random else None]) for part in sample()]
        for one, other in zip(together, apart, strict=True):
            assert type(one) is type(other)
            if not (isinstance(one, KeyPoints) and "flip" in name):
                assert torch.equal(one, other)


@pytest.mark.parametrize("name", [name for name in built() if type(built()[name].transform).__name__ in COLOUR])
def test_colours_change_the_image_alone(name):
    pipeline = ItemPipeline([built()[name]])
    rows = pipeline.draw(1, seeded())
    row = [None if r is None else r[0] for r in rows]
    for part in sample()[1:]:
        assert pipeline.finish(pipeline.prepare(part), row) is part


class Unknown(TVTensor):
    """A type that torchvision would pass by."""


@pytest.mark.parametrize("name", built())
def test_labels_pass_and_what_cannot_follow_is_an_error(name):
    transform = built()[name]
    pipeline = ItemPipeline([transform])
    row = [torch.tensor(1) if transform.random else None]
    label = typed(torch.tensor(1), Category)
    assert pipeline.finish(pipeline.prepare(label), row) is label
    with pytest.raises(TypeError, match="no kernel for Unknown"):
        pipeline.finish(pipeline.prepare(typed(torch.zeros(3, 4, 4), Unknown)), row)
    if type(transform.transform).__name__ in POLICIES:
        for part in sample()[1:]:
            for drawn in (row, None):
                with pytest.raises(TypeError, match="has no kernel for"):
                    pipeline.finish(part, drawn)


def test_flipped_points_are_places_not_numbers_of_pixels():
    """torchvision takes x to width - 1 - x when it flips, and as a place in all other transforms."""
    points = KeyPoints([[10.5, 12.5]], canvas_size=(40, 48))
    for name, expected in (("random_horizontal_flip", [37.5, 12.5]), ("random_vertical_flip", [10.5, 27.5])):
        flipped = item_transforms.build(name, p=1.0).finish(points, torch.tensor(0))
        assert flipped.tolist() == [expected]
        assert flipped.canvas_size == (40, 48)


def test_grey_pictures_stay_grey():
    grey = typed(photo(channels=1).contiguous(), ImageBW)
    for name in ("random_affine", "rand_augment", "gaussian_blur"):
        view = built()[name].finish(grey, torch.tensor(3))
        assert type(view) is ImageBW
        assert view.shape == grey.shape


def test_sizes_that_are_known():
    assert ItemPipeline([Resize(30), built()["rand_augment"], built()["random_affine"]]).size == (30, 30)
    assert ItemPipeline([built()["center_crop"]]).size == (20, 20)
    assert ItemPipeline([Resize((30, 40)), built()["pad"]]).size == (36, 46)
    assert ItemPipeline([Resize(30), built()["grayscale"]]).size == (30, 30)
    expanding = item_transforms.build("random_rotation", degrees=30, expand=True)
    for transform in (built()["random_resize"], built()["random_zoom_out"], expanding):
        assert ItemPipeline([Resize(30), transform]).size is None
        assert ItemPipeline([Resize(30), transform, Resize(24)]).size == (24, 24)


def test_a_random_operator_that_takes_no_generator_is_an_error():
    with OwnRandomNumbers(0), pytest.raises(RuntimeError, match="takes no generator"):
        torch.ops.aten.native_dropout(torch.ones(3), 0.5, True)
    with OwnRandomNumbers(5):
        first = torch.rand(3), torch.randint(9, (3,)), torch.randn_like(torch.ones(2)), torch.randperm(4)
    with OwnRandomNumbers(5):
        again = torch.rand(3), torch.randint(9, (3,)), torch.randn_like(torch.ones(2)), torch.randperm(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(first[0], torch.rand(3, generator=seeded(5)))


def test_repr_names_the_transform():
    assert repr(Foreign(v2.RandomInvert(0.25))) == "Foreign(RandomInvert(p=0.25))"
