"""open_image against Pillow and hand-made files: orientation, modes, and everything that can be wrong with a file."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcli.errors import DataError
from fastcli.transforms.image import from_pillow, open_image
from fastcli.types import Image, ImageBW

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def ramp(height=6, width=8, channels=3):
    count = height * width * channels
    return (np.arange(count) * 255 // count).astype(np.uint8).reshape(height, width, channels)


def saved(picture, format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    file.seek(0)
    return file


def pixels(image):
    return image.as_subclass(torch.Tensor).permute(1, 2, 0).numpy()


def test_colour_is_exact_uint8_and_channels_last(tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(ramp()).save(path)
    image = open_image(path)
    assert type(image) is Image
    assert image.dtype == torch.uint8
    assert image.shape == (3, 6, 8)
    assert image.stride() == (1, 24, 3)
    assert np.array_equal(pixels(image), ramp())
    assert np.array_equal(open_image(str(path)), image)


def test_grey_mode_gives_one_channel():
    image = open_image(saved(PIL.Image.fromarray(ramp())), mode="L")
    assert type(image) is ImageBW
    assert image.shape == (1, 6, 8)
    assert np.array_equal(image[0], np.array(PIL.Image.fromarray(ramp()).convert("L")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation(orientation, format):
    upright = PIL.Image.new("RGB", (48, 32))
    upright.paste(RED, (0, 0, 16, 16))
    upright.paste(GREEN, (32, 0, 48, 16))
    upright.paste(BLUE, (0, 16, 16, 32))
    # EXIF names the turn that shows the stored picture upright; store the opposite turn.
    stored = {1: lambda p: p, 2: lambda p: p.transpose(0), 3: lambda p: p.transpose(3), 4: lambda p: p.transpose(1),
              5: lambda p: p.transpose(5), 6: lambda p: p.transpose(2), 7: lambda p: p.transpose(6),
              8: lambda p: p.transpose(4)}[orientation](upright)  # fmt: skip
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = open_image(saved(stored, format, exif=exif)).float()
    assert image.shape == (3, 32, 48)
    for y, x, colour in [(8, 8, RED), (8, 40, GREEN), (24, 8, BLUE), (24, 40, (0, 0, 0))]:
        assert (image[:, y, x] - torch.tensor(colour)).abs().max() < 12


@pytest.mark.parametrize("value", [0, 9, 77])
def test_unknown_orientation_is_ignored(value):
    exif = PIL.Image.Exif()
    exif[0x0112] = value
    assert open_image(saved(PIL.Image.fromarray(ramp()), exif=exif)).shape == (3, 6, 8)


def test_broken_exif_is_no_exif():
    image = open_image(saved(PIL.Image.fromarray(ramp(64, 64)), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"))
    assert image.shape == (3, 64, 64)


def test_palette_and_one_bit():
    palette = PIL.Image.fromarray(ramp()).convert("P", palette=PIL.Image.Palette.ADAPTIVE)
    assert np.array_equal(pixels(open_image(saved(palette))), np.array(palette.convert("RGB")))
    bits = PIL.Image.fromarray(ramp()[..., 0]).convert("1")
    assert open_image(saved(bits)).unique().tolist() == [0, 255]


def test_alpha_is_laid_on_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 128, 255
    assert pixels(open_image(saved(PIL.Image.fromarray(rgba))))[0, :, 0].tolist() == [255, 127, 0]
    opaque = np.concatenate([ramp(), np.full((6, 8, 1), 255, np.uint8)], -1)
    assert np.array_equal(pixels(open_image(saved(PIL.Image.fromarray(opaque)))), ramp())


def test_grey_alpha_is_laid_on_white():
    la = np.zeros((1, 2, 2), np.uint8)
    la[0, 1] = 90, 255
    file = saved(PIL.Image.merge("LA", [PIL.Image.fromarray(plane) for plane in la.transpose(2, 0, 1).copy()]))
    assert open_image(file, mode="L").flatten().tolist() == [255, 90]


def test_transparent_palette_entry_and_colour_key():
    palette = PIL.Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert pixels(open_image(saved(palette, transparency=0)))[0].tolist() == [[255] * 3, [40, 50, 60]]
    assert pixels(open_image(saved(palette, transparency=bytes([0, 255]))))[0].tolist() == [[255] * 3, [40, 50, 60]]
    keyed = PIL.Image.new("RGB", (2, 1), RED)
    keyed.putpixel((1, 0), BLUE)
    assert pixels(open_image(saved(keyed, transparency=RED)))[0].tolist() == [[255] * 3, [0, 0, 255]]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_full_range(format):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    image = open_image(saved(PIL.Image.fromarray(values), format))
    assert image[0, 0].tolist() == [0, 1, 128, 255]
    assert torch.equal(image[0], image[2])


def tiff(values, bits):
    """A little-endian grey TIFF of one row of `bits`-bit packed samples."""
    packed = int("".join(f"{v:0{bits}b}" for v in values), 2) << (-len(values) * bits % 8)
    data = packed.to_bytes((len(values) * bits + 7) // 8, "big")
    tags = [(256, 3, len(values)), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 3, 1), (279, 4, len(data))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\x00" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def test_12_bit_tiff_is_not_dark():
    assert open_image(io.BytesIO(tiff([0, 2048, 4095, 4095], 12)), mode="L").flatten().tolist() == [0, 128, 255, 255]


def test_32_bit_integers():
    as_16_bit = PIL.Image.fromarray(np.array([[0, 32896, 65535]], np.int32))
    assert open_image(saved(as_16_bit, "TIFF"), mode="L").flatten().tolist() == [0, 128, 255]
    wide = PIL.Image.fromarray(np.array([[-100, 0, 100_000]], np.int32))
    assert open_image(saved(wide, "TIFF"), mode="L").flatten().tolist() == [0, 0, 255]


def test_32_bit_floats():
    unit = PIL.Image.fromarray(np.array([[0.0, 0.5, 0.25]], np.float32))
    assert open_image(saved(unit, "TIFF"), mode="L").flatten().tolist() == [0, 128, 64]
    wide = PIL.Image.fromarray(np.array([[-1.0, 1.0, 3.0, np.nan, np.inf]], np.float32))
    assert open_image(saved(wide, "TIFF"), mode="L").flatten().tolist() == [0, 128, 255, 0, 255]
    constant = PIL.Image.fromarray(np.full((2, 2), 7.0, np.float32))
    assert open_image(saved(constant, "TIFF"), mode="L").unique().tolist() == [0]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(format):
    cmyk = PIL.Image.new("RGB", (16, 16), (200, 60, 30)).convert("CMYK")
    image = open_image(saved(cmyk, format)).float()
    assert (image.mean((1, 2)) - torch.tensor([200.0, 60.0, 30.0])).abs().max() < 4


def test_animation_gives_its_first_frame():
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    for format in ("GIF", "WEBP", "PNG"):
        file = saved(
            frames[0],
            format,
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if format == "WEBP" else {}),
        )
        assert open_image(file)[:, 0, 0].tolist() == list(RED)


def test_missing_folder_and_empty(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jpg: no such file"):
        open_image(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        open_image(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match=r"empty\.jpg: the file is empty") as caught:
        open_image(tmp_path / "empty.jpg")
    assert "on_bad_image" in caught.value.hint
    assert caught.value.exit_code == 3


def test_not_a_picture_is_named():
    with pytest.raises(DataError, match="upload 7: is not a picture"):
        open_image(io.BytesIO(b"<html>404</html>"), name="upload 7")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_truncated(format):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = saved(PIL.Image.fromarray(noise), format).getvalue()
    with pytest.raises(DataError, match=r"cut\.x: (corrupt or truncated|is not a picture)"):
        open_image(io.BytesIO(data[: len(data) // 2]), name="cut.x")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "ICO"]), st.data())
def test_damaged_files_open_or_raise_data_error(format, data):
    noise = np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)
    damaged = bytearray(saved(PIL.Image.fromarray(noise), format).getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        assert open_image(io.BytesIO(bytes(damaged)), max_pixels=10_000_000).shape[0] == 3


def header_only_png(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 100) + b"IDAT"


def test_bombs_are_refused_before_decoding():
    with pytest.raises(DataError, match=r"bomb: too large"):
        open_image(io.BytesIO(header_only_png(60_000, 60_000)), name="bomb")
    with pytest.raises(DataError, match=r"too large: 8 x 6 pixels, and 47 pixels are allowed"):
        open_image(saved(PIL.Image.fromarray(ramp())), max_pixels=47)
    assert open_image(saved(PIL.Image.fromarray(ramp())), max_pixels=48).shape == (3, 6, 8)


def test_postscript_is_not_run():
    with pytest.raises(DataError, match="EPS is a program"):
        open_image(saved(PIL.Image.fromarray(ramp()), "EPS"))


def test_large_pictures_open_without_a_warning(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 30)  # 48 pixels: Pillow warns above 30, refuses above 60
    assert open_image(saved(PIL.Image.fromarray(ramp()))).shape == (3, 6, 8)


def test_threads_stay_silent_and_leave_other_warnings_alone(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 30)
    data = saved(PIL.Image.fromarray(ramp())).getvalue()
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda _: open_image(io.BytesIO(data)), range(64)))
    assert all(torch.equal(image, images[0]) for image in images)
    with pytest.raises(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)


def test_from_pillow_takes_a_picture_in_memory():
    picture = PIL.Image.fromarray(ramp())
    assert np.array_equal(pixels(from_pillow(picture)), ramp())
    assert from_pillow(picture, "L").shape == (1, 6, 8)
