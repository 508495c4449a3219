"""JPEG files that are decoded smaller: against the whole picture, scaled."""

import functools
import io

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcli.errors import DataError
from fastcli.transforms import reduced
from fastcli.transforms.image import open_image
from fastcli.transforms.item import ItemPipeline, RandomResizedCrop, Resize
from fastcli.transforms.placement import CropPad, FlipItem, RatioResize
from fastcli.transforms.reduced import open_scaled
from fastcli.transforms.transform import ItemTransform
from fastcli.types import Image, ImageBW, typed

SIDEWAYS = (5, 6, 7, 8)


@functools.cache
def smooth(height, width):
    random = np.random.default_rng(height)
    few = random.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8)
    return PIL.Image.fromarray(few).resize((width, height), PIL.Image.Resampling.BICUBIC)


@functools.cache
def detailed(height, width):
    """Noise whose energy falls with the frequency as that of photographs does."""
    random = np.random.default_rng(width)
    frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2)
    frequency[0, 0] = 1
    noise = random.normal(size=(3, *frequency.shape)) + 1j * random.normal(size=(3, *frequency.shape))
    picture = np.fft.irfft2(noise / frequency**1.2, (height, width)).transpose(1, 2, 0)
    picture = 127 + 50 * (picture - picture.mean()) / picture.std()
    return PIL.Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def jpeg(picture, orientation=None, **options):
    file = io.BytesIO()
    exif = PIL.Image.Exif()  # not the own one of a picture that other tests get too
    if orientation is not None:
        exif[274] = orientation
    picture.save(file, "JPEG", quality=90, exif=exif, **options)
    return file


def both(file, pipeline, mode="RGB"):
    """What is kept of the picture decoded whole, and of the one decoded smaller."""
    pixels, size = open_scaled(file, pipeline.scaling, mode=mode)
    file.seek(0)
    whole = open_image(file, mode=mode)
    assert size == tuple(whole.shape[-2:])
    return pipeline.prepare(whole), pipeline.prepare(pixels), pixels


def difference(a, b):
    return (a.as_subclass(torch.Tensor).float() - b.as_subclass(torch.Tensor).float()).abs().mean()


@pytest.mark.parametrize("make", [smooth, detailed])
@pytest.mark.parametrize("size", [(299, 403), (400, 301), (517, 401)])
@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
def test_a_reduced_picture_is_the_whole_one_within_a_level(make, size, orientation):
    pipeline = ItemPipeline([Resize(48)])
    whole, reduced, decoded = both(jpeg(make(*size), orientation), pipeline)
    assert isinstance(reduced, Image)
    assert decoded.shape == reduced.shape == whole.shape
    assert (whole.shape[-2] > whole.shape[-1]) == ((size[0] > size[1]) != (orientation in SIDEWAYS))
    assert difference(whole, reduced) < 0.6
    assert reduced.permute(1, 2, 0).is_contiguous()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("source", ["RGB", "L", "CMYK"])
def test_colours_are_converted_as_ever(mode, source):
    whole, reduced, _ = both(jpeg(smooth(400, 500).convert(source), orientation=6), ItemPipeline([Resize(64)]), mode)
    assert type(reduced) is type(whole) is (Image if mode == "RGB" else ImageBW)
    assert reduced.shape == whole.shape
    assert difference(whole, reduced) < 0.6


@pytest.mark.parametrize(
    "transforms",
    [[], [Resize(200)], [Resize(32, interpolation="nearest")], [CropPad(32)], [FlipItem(), Resize(32)],
     [RandomResizedCrop(64)], [CropPad(300), Resize(32)]],
)  # fmt: skip
def test_what_needs_the_pixels_gets_them_all(transforms):
    whole, same, decoded = both(jpeg(detailed(400, 500)), ItemPipeline(transforms))
    assert decoded.shape == (3, 400, 500)
    assert torch.equal(whole, same)


def test_other_formats_are_decoded_whole():
    file = io.BytesIO()
    smooth(400, 500).save(file, "PNG")
    whole, same, decoded = both(file, ItemPipeline([Resize(32)]))
    assert decoded.shape == (3, 400, 500)
    assert torch.equal(whole, same)


def test_progressive_files_and_bicubic_scaling_are_reduced_too():
    pipeline = ItemPipeline([RatioResize(80, interpolation="bicubic")])
    whole, reduced, decoded = both(jpeg(smooth(400, 500), progressive=True), pipeline)
    assert decoded.shape == (3, 64, 80)
    assert difference(whole, reduced) < 0.6


def test_a_file_that_is_cut_off_is_told_though_it_is_reduced(tmp_path):
    data = jpeg(detailed(400, 500)).getvalue()
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"half.jpg: corrupt or truncated"):
        open_scaled(tmp_path / "half.jpg", ItemPipeline([Resize(32)]).scaling)


SCALING = (Resize(32), Resize((20, 45)), Resize(32, method="pad"), Resize((40, 17), method="squish"), RatioResize(30),
           RandomResizedCrop(24, min_scale=0.5))  # fmt: skip
sides = st.integers(1, 700)


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.sampled_from(SCALING))
def test_what_is_prepared_stays_when_it_is_prepared_again(height, width, transform):
    scaling = transform.scaling((height, width))
    if scaling is not None:
        once = typed(torch.zeros(1, *scaling.size, dtype=torch.uint8), Image)
        assert transform.prepare(once).shape == once.shape


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.sampled_from(SCALING), st.sampled_from([None, 3, 6, 8]))
def test_no_fewer_pixels_are_decoded_than_scaling_needs(height, width, transform, orientation):
    opening = reduced._Opening(transform.scaling, "RGB")
    with PIL.Image.open(jpeg(PIL.Image.new("RGB", (width, height)), orientation)) as picture:
        opening.begin(picture)
        decoded = picture.height, picture.width
    assert opening.size == ((width, height) if orientation in SIDEWAYS else (height, width))
    if decoded != (height, width):
        wanted = opening._turned(transform.scaling(opening.size).size)
        assert all(have >= reduced.LARGER * side for have, side in zip(decoded, wanted, strict=True))


def test_a_pipeline_says_what_its_prepared_pixels_depend_on():
    class Own(ItemTransform):
        def prepare(self, element):
            return element

    class Later(ItemTransform):
        random = True

    def signature(*transforms):
        return ItemPipeline(transforms).signature()

    assert signature() == signature(FlipItem()) == signature(Later()) == signature(FlipItem(0.1), Own())
    assert signature(Resize(32)) == signature(Resize(32), FlipItem()) != signature(Resize(33))
    assert signature(CropPad(32), Resize(32)) != signature(Resize(32))
    assert signature(Own(), Resize(32)) is None


def test_a_corrupt_png_is_refused_and_not_read_in_half(tmp_path):
    # Asked for its orientation before it was decoded, Pillow decodes, fails, and hands out the half the next time.
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:60] + bytes(40) + data[100:])
    with pytest.raises(DataError, match="corrupt or truncated"):
        open_scaled(tmp_path / "a.png", lambda size: None)
