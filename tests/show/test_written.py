"""What the written pictures of samples look like, pixel by pixel."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from fastcli.show import show_grid
from fastcli.show.kernels import class_colours
from fastcli.types import Image, KeyPoints, Mask, typed


def written(samples, path, **options):
    """The pixels of the grid that is written to `path`."""
    show_grid(samples, path=path, width=1.5, **options)
    return imread(path)


def pictures(images):
    return [[(typed(image, Image), None)] for image in images]


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (5, 4, 20, 60), (9, 2, 60, 20), (20, 1, 28, 28)])
def test_pictures_of_any_size_and_channels_are_written(tmp_path, shape):
    assert written(pictures(torch.rand(shape)), tmp_path / "a.png", max_n=20).shape[2] == 4


def test_the_pixels_are_shown_as_they_are(tmp_path):
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, :, :4] = 1.0  # the left half red
    image[0, :, 0, 7] = torch.tensor([float("nan"), float("inf"), -3.0])
    picture = written(pictures(image), tmp_path / "a.png")
    height, width = picture.shape[:2]
    assert picture[height // 2, width // 4].tolist() == [1, 0, 0, 1]
    assert picture[height // 2, 3 * width // 4].tolist() == [0, 0, 0, 1]
    assert picture[height // 10, width - width // 10].tolist() == [0, 1, 0, 1]


def test_grey_pictures_are_grey(tmp_path):
    picture = written(pictures(torch.full((4, 1, 8, 8), 0.5)), tmp_path / "a.png")
    assert np.allclose(picture[picture.shape[0] // 4, picture.shape[1] // 4, :3], 0.5, atol=0.01)


def test_low_precision_and_gradients_are_fine(tmp_path):
    assert written(pictures(torch.rand(2, 3, 8, 8).bfloat16().requires_grad_()), tmp_path / "a.png").size


def test_what_lies_on_a_picture_is_drawn_over_it(tmp_path):
    black = typed(torch.zeros(3, 8, 8), Image)
    mask = torch.zeros(8, 8, dtype=torch.int64)
    mask[:, 4:] = 1
    points = KeyPoints([[2.0, 2.0]], canvas_size=(8, 8))
    masked, dotted = (
        written([[(black, None), (part, None)]], tmp_path / f"{k}.png")[..., :3]
        for k, part in enumerate((typed(mask, Mask), points))
    )
    height, width = masked.shape[:2]
    left, right = (masked[height // 2, width * k // 4] for k in (1, 3))
    assert np.allclose(left, class_colours()[0] / 2, atol=0.01)
    assert np.allclose(right, class_colours()[1] / 2, atol=0.01)
    assert dotted[height // 4 + 2, width // 4].max() > 0.2
    assert dotted[3 * height // 4, 3 * width // 4].max() == 0
