import numpy as np
import pytest
import torch
from matplotlib.image import imread

from fastcli.report import show
from fastcli.report.training import plot_batch
from fastcli.run.directory import Run
from fastcli.show import grid
from fastcli.show.kernels import class_colours
from fastcli.types import Category, Image, KeyPoints, Mask, typed


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (5, 4, 20, 60), (9, 2, 60, 20), (40, 1, 28, 28)])
def test_any_batch_is_a_picture(tmp_path, shape):
    show.show_batch(torch.rand(shape), [f"class {i}" for i in range(shape[0])], tmp_path / "a.png")
    assert imread(tmp_path / "a.png").shape[2] == 4


def test_the_pixels_are_shown_as_they_are(tmp_path):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, :, :4] = 1.0  # the left half red
    image[0, :, 0, 7] = torch.tensor([float("nan"), float("inf"), -3.0])
    show.show_batch(image, [], tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")
    height, width = picture.shape[:2]
    assert picture[height // 2, width // 4].tolist() == [1, 0, 0, 1]
    assert picture[height // 2, 3 * width // 4].tolist() == [0, 0, 0, 1]
    assert picture[height // 10, width - width // 10].tolist() == [0, 1, 0, 1]


def test_grey_images_are_grey_and_not_stretched(tmp_path):
    show.show_batch(np.full((4, 1, 8, 8), 0.5), ["a"] * 4, tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")
    assert np.allclose(picture[picture.shape[0] // 4, picture.shape[1] // 4, :3], 0.5, atol=0.01)


def test_low_precision_and_gradients_are_fine(tmp_path):
    show.show_batch(torch.rand(2, 3, 8, 8).bfloat16().requires_grad_(), ["a", "b"], tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_long_titles_are_cut_to_the_width_of_their_picture(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(grid, "save", lambda figure, path: figures.append(figure))
    titles = ["W" * 300, "short", "a b c " * 50, "猫$_x^2$ über\nzwei"]
    show.show_batch(torch.rand(4, 3, 16, 16), titles, tmp_path / "a.png")
    labels = [axes.title for axes in figures[0].axes]
    assert labels[0].get_text().endswith("W…")
    assert labels[1].get_text() == "short"
    assert "\n" not in labels[3].get_text()
    room = figures[0].bbox.width / 2
    assert all(label.get_window_extent().width < room for label in labels)


def test_what_lies_on_a_picture_is_drawn_over_it(tmp_path):
    black = typed(torch.zeros(3, 8, 8), Image)
    mask = torch.zeros(8, 8, dtype=torch.int64)
    mask[:, 4:] = 1
    points = KeyPoints([[2.0, 2.0]], canvas_size=(8, 8))
    for name, part in (("mask", typed(mask, Mask)), ("points", points)):
        show.show_samples([[(black, None), (part, None)]], tmp_path / f"{name}.png")
    masked, dotted = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("mask", "points"))
    height, width = masked.shape[:2]
    left, right = (masked[height // 2, width * k // 4] for k in (1, 3))
    assert np.allclose(left, class_colours()[0] / 2, atol=0.01)
    assert np.allclose(right, class_colours()[1] / 2, atol=0.01)
    assert dotted[height // 4 + 2, width // 4].max() > 0.2
    assert dotted[3 * height // 4, 3 * width // 4].max() == 0


def test_the_plot_of_a_batch_shows_what_the_loaders_say(tmp_path, monkeypatch):
    class Loaders:
        def one_batch(self):
            return torch.rand(20, 3, 8, 8), torch.arange(20)

        def samples(self, batch, max_n):
            return [[(typed(x, Image), None), (typed(y, Category), f"class {y}")]
                    for x, y in zip(*batch, strict=True)][:max_n]  # fmt: skip

    figures = []
    monkeypatch.setattr(grid, "save", lambda figure, path: figures.append((figure, path)))
    plot_batch(Run(tmp_path), Loaders())
    figure, path = figures[0]
    assert path == tmp_path / "plots" / "batch_train.png"
    assert [axes.get_title() for axes in figure.axes] == [f"class {i}" for i in range(16)]
