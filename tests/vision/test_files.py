"""Downloading, checking and shrinking pictures; fastai's picture classes and how they are drawn."""

import pytest

from fastcli.errors import ConfigError, DataError
from fastcli.vision.all import *


def test_bad_pictures_are_found_and_told(folder, tmp_path, capsys):
    good = get_image_files(folder)[0]
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:200])
    (tmp_path / "text.jpg").write_text("no picture")
    shutil.copy(good, tmp_path / "good.png")
    failed = verify_images(sorted(tmp_path.iterdir()))
    assert [f.name for f in failed] == ["broken.png", "text.jpg"]
    told = capsys.readouterr().out.splitlines()
    assert "truncated" in told[0]
    assert "not a picture" in told[1]
    assert [verify_image(f) for f in sorted(tmp_path.iterdir())] == [False, True, False]
    failed.map(Path.unlink)
    assert [f.name for f in tmp_path.iterdir()] == ["good.png"]


def size(file):
    with Image.open(file) as picture:
        return picture.size


def test_small_copies(tmp_path, capsys):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    Image.new("RGBA", (80, 40), (200, 0, 0, 255)).save(tmp_path / "in" / "sub" / "a.png")
    Image.new("L", (10, 30), 7).save(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "c.png").write_text("no picture")
    made = resize_images(tmp_path / "in", max_size=20, recurse=True, dest=tmp_path / "out", ext=".jpg")
    assert {f.name: size(f) for f in made} == {"b.jpg": (7, 20), "a.jpg": (20, 10)}
    assert "c.png" in capsys.readouterr().out
    before = made[0].stat().st_mtime_ns
    resize_images(tmp_path / "in", max_size=10, recurse=True, dest=tmp_path / "out", ext=".jpg", resume=True)
    assert made[0].stat().st_mtime_ns == before
    grey = resize_image("b.png", tmp_path / "grey", src=tmp_path / "in", max_size=300, n_channels=1)
    with Image.open(grey) as picture:
        assert (picture.mode, picture.size) == ("L", (10, 30))
    with pytest.raises(DataError, match=r"c\.png"):
        resize_image("c.png", tmp_path / "out", src=tmp_path / "in")
    assert resize_to(Image.new("L", (100, 50)), 20) == (20, 10)
    assert resize_to(Image.new("L", (100, 50)), 20, use_min=True) == (40, 20)


def test_addresses_are_given_once():
    with pytest.raises(ConfigError, match="addresses"):
        download_images("x")


def test_pictures_are_pillows_with_more(folder):
    file = get_image_files(folder)[0]
    img = PILImage.create(file)
    assert isinstance(img, Image.Image)
    assert (img.shape, img.size, img.mode) == ((32, 32), (32, 32), "RGB")
    assert img.to_thumb(16).size == (16, 16)
    assert img.to_thumb(8, 16).size == (8, 8)
    assert array(PILImage.create(array(img))).tolist() == array(img).tolist()
    assert array(PILImage.create(tensor(img).permute(2, 0, 1))).tolist() == array(img).tolist()
    assert PILImage.create(file.read_bytes()).size == (32, 32)
    assert PILImageBW.create(img).mode == "L"
    assert array(PILMask.create(array([[1, 2]], dtype=np.uint8))).tolist() == [[1, 2]]
    assert img.show(title="a").get_title() == "a"


def test_drawing_by_fastais_arguments(folder):
    im = tensor(PILImage.create(get_image_files(folder)[0]))
    ax = subplots()[1]
    assert show_image(im, ax=ax, title="one") is ax
    assert ax.get_title() == "one"
    assert show_image(im[..., 0], ctx=ax, cmap="Reds", alpha=0.5).images[-1].get_alpha() == 0.5
    show_images([im, im, im], nrows=1, ncols=3, titles=["a", "b", "c"], imsize=2, suptitle="all")
    assert show_titled_image((im, "named")).get_title() == "named"
    figure, axes = subplots(2, 3, imsize=2, suptitle="six")
    assert axes.shape == (2, 3)
    assert tuple(figure.get_size_inches()) == (6, 4)
    assert len(get_grid(5, ncols=3)) == 5
    assert len(get_grid(1)) == 1
    assert len(get_grid(4, nrows=1, title="row")) == 4


def test_small_helpers():
    assert list(CategoryMap(["a", "b"]).map_ids([1, 0])) == ["b", "a"]
    assert list(CategoryMap(["a", "b"]).map_objs(["b"])) == [1]
    set_seed(3, reproducible=False)
    before = torch.random.get_rng_state()
    with no_random(7):
        first = torch.rand(1), np.random.rand(), random.random()
    assert torch.equal(torch.random.get_rng_state(), before)
    with no_random(7):
        assert first == (torch.rand(1), np.random.rand(), random.random())
    assert default_device(False) == torch.device("cpu")
    assert ".jpg" in image_extensions
    assert to_np(tensor(1, 2)).tolist() == [1, 2]
    with pytest.raises(ConfigError, match="FASTCLI_HOME"):
        untar_data(URLs.PETS, base="~/.elsewhere")
