"""Many pictures: downloaded, looked through, shrunk; and why some were not."""

import io

import numpy as np
import pytest
from PIL import Image

from fastcli.data.pictures import bad_pictures, download_pictures, shrink, shrink_pictures, why_bad
from fastcli.errors import DataError


def png(colour, size=(8, 6)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "png")
    return file.getvalue()


def test_what_is_no_picture_is_not_kept(web, tmp_path):
    web.files = {"red.png": png("red"), "page.jpg": b"<html>", "big name.png": png("blue")}
    urls = [web.url(name) for name in ("red.png", "page.jpg", "gone.png", "big%20name.png")]
    # The server knows names as they are asked for.
    web.files["big%20name.png"] = web.files.pop("big name.png")
    got = download_pictures(urls, tmp_path / "got", workers=2)
    assert len(got.files) == 2
    assert set(got.failed) == set(urls[1:3])
    assert "not a picture" in got.failed[urls[1]]
    assert "404" in got.failed[urls[2]]
    assert sorted(f.suffix for f in (tmp_path / "got").iterdir()) == [".png", ".png"]


def test_nothing_is_brought_twice(web, tmp_path):
    web.files = {"a.png": png("red")}
    first = download_pictures([web.url("a.png"), web.url("a.png")], tmp_path)
    second = download_pictures([web.url("a.png")], tmp_path)
    assert first == second
    assert len(web.requests) == 1
    named = download_pictures([web.url("a.png")], tmp_path, keep_names=True)
    assert [f.name for f in named.files] == ["a.png"]


def test_an_address_that_is_none(tmp_path):
    failed = download_pictures(["nonsense", "http://127.0.0.1:1/x.png"], tmp_path, timeout=1).failed
    assert len(failed) == 2
    assert all(failed.values())


def test_bad_files_in_their_order(tmp_path):
    (tmp_path / "a.png").write_bytes(png("red")[:-30])
    (tmp_path / "b.png").write_bytes(png("red"))
    (tmp_path / "c.png").touch()
    found = bad_pictures(sorted(tmp_path.iterdir()), workers=2)
    assert [file.name for file in found] == ["a.png", "c.png"]
    assert "empty" in found[tmp_path / "c.png"]
    assert why_bad(tmp_path / "b.png") is None
    assert "no such file" in why_bad(tmp_path / "d.png")


def test_copies_are_upright_and_no_larger(tmp_path):
    picture = Image.fromarray(np.zeros((20, 40, 3), np.uint8))
    exif = picture.getexif()
    exif[274] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(shrink(tmp_path / "turned.jpg", tmp_path / "out" / "small.png", most=10)) as small:
        assert (small.size, small.mode, small.format) == ((5, 10), "RGB", "PNG")
    with Image.open(shrink(tmp_path / "turned.jpg", tmp_path / "grey.jpg", channels=1)) as grey:
        assert (grey.size, grey.mode) == ((20, 40), "L")
    with pytest.raises(DataError, match="no such file"):
        shrink(tmp_path / "none.jpg", tmp_path / "x.jpg")


def test_a_folder_of_copies_says_what_failed(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.png").write_bytes(png("red", (30, 10)))
    (tmp_path / "in" / "b.png").write_text("no")
    files = sorted((tmp_path / "in").rglob("*.png"))
    made = shrink_pictures(files, tmp_path / "in", tmp_path / "out", most=6, suffix=".jpg")
    assert made.files == [tmp_path / "out" / "deep" / "a.jpg"]
    assert list(made.failed) == [str(tmp_path / "in" / "b.png")]
    made.files[0].write_bytes(b"mine")
    shrink_pictures(files, tmp_path / "in", tmp_path / "out", suffix=".jpg", again=False)
    assert made.files[0].read_bytes() == b"mine"
