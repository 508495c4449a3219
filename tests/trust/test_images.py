"""Files that are no good pictures, met in training and in prediction: named, never a traceback, never a wait."""

import errno
import io
import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import PIL.Image as Pillow
import pytest

from fastcli import cli
from fastcli.config.models import DataSection
from fastcli.errors import DataError
from fastcli.transforms.image import MAX_PIXELS, open_image

SIZE = (24, 16)
with_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
CONFIG = """
data: {source: pictures, batch_size: 4, item_transforms: [{name: resize, size: 16}]}
model: mlp
train: {recipe: fit, epochs: 1, lr: 1e-3}
runtime: {precision: fp32, channels_last: false, device: cpu}
"""


def noise(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Pillow.Image:
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    return Pillow.fromarray(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8), mode)


def coded(picture: Pillow.Image, kind: str, **options) -> bytes:
    raw = io.BytesIO()
    picture.save(raw, kind, **options)
    return raw.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says to be of this size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def turned() -> bytes:
    exif = Pillow.Exif()
    exif[274] = 6
    return coded(noise(), "JPEG", exif=exif)


sixteen = Pillow.fromarray(np.full(SIZE[::-1], 40_000, np.uint16))
GOOD = {
    "one pixel": coded(noise(size=(1, 1)), "PNG"),
    "16 bit": coded(sixteen, "PNG"),
    "CMYK": coded(noise().convert("CMYK"), "JPEG"),
    "palette with alpha": coded(noise().quantize(16), "PNG", transparency=3),
    "grey with alpha": coded(noise("RGBA").convert("LA"), "PNG"),
    "animated": coded(noise(), "GIF", save_all=True, append_images=[noise().rotate(90), noise()]),
    "turned": turned(),
    "bitmap": coded(noise(), "BMP"),
}
jpeg, png = coded(noise(size=(64, 64)), "JPEG"), coded(noise(size=(64, 64)), "PNG")
BAD = {
    "no bytes": (b"", "the file is empty"),
    "text": (b"this is a note\n", "is not a picture"),
    "page": (b"<!doctype html><html><body>404</body></html>", "is not a picture"),
    "vector": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is not a picture"),
    "program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "EPS is a program"),
    "cut JPEG": (jpeg[: len(jpeg) // 2], "corrupt or truncated"),
    "cut PNG": (png[: len(png) // 2], "corrupt or truncated"),
    "corrupt": (png[:60] + bytes(40) + png[100:], "corrupt or truncated"),
    "bomb": (png_of(60_000, 60_000), "too large"),
    "lying": (png_of(500, 500), "corrupt or truncated"),
}


@pytest.fixture
def place(place):
    for number in range(8):
        folder = Path("pictures", ("cat", "dog")[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        noise().save(folder / f"{number}.png")
    Path("c.yaml").write_text(CONFIG)
    return place


def train(*words: str) -> int:
    return cli.run(["train", "c.yaml", "--run-dir", "run", "--plain", *words])


def test_odd_but_good_pictures_are_trained_on_and_predicted(place, capsys):
    for number, data in enumerate(GOOD.values()):
        Path("pictures", ("cat", "dog")[number % 2], f"good{number}.jpg").write_bytes(data)
    assert train() == 0
    capsys.readouterr()
    assert cli.run(["predict", "run", "pictures", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 16
    assert all(row["error"] is None for row in rows)


def test_bad_pictures_are_named_and_left_out_on_demand(place, capsys):
    for number, (data, _) in enumerate(BAD.values()):
        Path("pictures/cat", f"bad{number}.jpg").write_bytes(data)
    assert train() == 3
    assert "pictures/cat/bad" in capsys.readouterr().err
    shutil.rmtree("run", ignore_errors=True)
    assert train("data.on_bad_image=skip", "data.batch_size=8") == 0
    capsys.readouterr()
    assert cli.run(["predict", "run", "pictures", "--json"]) == 0
    errors = {Path(row["path"]).name: row["error"] for row in json.loads(capsys.readouterr().out) if row["error"]}
    assert list(errors) == [f"bad{number}.jpg" for number in range(len(BAD))]
    for number, (_, reason) in enumerate(BAD.values()):
        assert f"bad{number}.jpg: {reason}" in errors[f"bad{number}.jpg"]
    assert cli.run(["predict", "run", "pictures", "--on-error", "fail"]) == 3


@with_pipes
def test_what_is_no_file_is_told_without_waiting(place, capsys):
    assert train() == 0
    os.mkfifo("pictures/cat/pipe.jpg")
    Path("pictures/cat/gone.jpg").symlink_to("nowhere")
    Path("pictures/cat/loop.jpg").symlink_to("loop.jpg")
    Path("pictures/cat/folder.jpg").mkdir()
    capsys.readouterr()
    names = [f"pictures/cat/{name}.jpg" for name in ("pipe", "gone", "loop")]
    Path("list").write_text("".join(f"{name}\n" for name in [*names, "pictures/cat/folder.jpg"]))
    with pytest.MonkeyPatch.context() as patch, Path("list").open() as stdin:
        patch.setattr("sys.stdin", stdin)
        assert cli.run(["predict", "run", "-", "--json"]) == 0
    errors = [row["error"] for row in json.loads(capsys.readouterr().out)]
    reasons = ("pipe or a device", "no such file", "symbolic links", "Is a directory")
    assert all(reason in error for reason, error in zip(reasons, errors, strict=True)), errors
    shutil.rmtree("run")
    assert train() == 3  # the broken link is among the pictures, the pipe and the folder are not
    assert "gone.jpg: no such file" in capsys.readouterr().err


@with_pipes
def test_a_pipe_in_a_table_or_as_the_only_input_does_not_hang(place, capsys):
    os.mkfifo("pipe.png")
    Path("labels.csv").write_text("image,label\npipe.png,cat\npictures/dog/1.png,dog\n")
    assert train("data.source=labels.csv") == 3
    assert "pipe.png" in capsys.readouterr().err
    with pytest.raises(DataError, match="pipe or a device"):
        open_image("pipe.png")


def test_unreadable_files_are_named(place, monkeypatch, capsys):
    system = os.open

    def refused(path, *given, **named):  # and not by its mode: the superuser reads everything
        if os.fsdecode(path).endswith("cat/0.png"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return system(path, *given, **named)

    monkeypatch.setattr(os, "open", refused)
    assert train() == 3
    assert "0.png: cannot be read: Permission denied" in capsys.readouterr().err


def test_max_pixels_lowers_and_raises_the_limit(place, capsys, monkeypatch):
    assert DataSection(source="x").max_pixels == MAX_PIXELS
    assert train(f"data.max_pixels={SIZE[0] * SIZE[1] - 1}") == 3
    assert "24 x 16 pixels, and 383 pixels are allowed" in capsys.readouterr().err
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr("fastcli.transforms.reading.MAX_PIXELS", 20)
    with pytest.raises(DataError, match="too large"):
        open_image("pictures/cat/0.png", max_pixels=20)
    assert open_image("pictures/cat/0.png", max_pixels=384).shape == (3, 16, 24)


def test_a_bomb_is_refused_before_it_is_decoded(place, monkeypatch):
    Path("bomb.png").write_bytes(png_of(10_000, 10_000))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(DataError, match="10000 x 10000 pixels"):
        open_image("bomb.png", max_pixels=10**7)
