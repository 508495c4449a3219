import sys

import matplotlib
import numpy as np
import PIL.Image
import pytest
import torch

from fastcli.show import plot_function, show_image, show_images
from fastcli.types import Image, typed


@pytest.mark.parametrize(
    "image",
    [
        torch.rand(3, 40, 64),
        torch.rand(1, 40, 64).half(),
        torch.rand(40, 64),
        torch.randint(0, 255, (3, 40, 64), dtype=torch.uint8),
        typed(torch.rand(3, 40, 64), Image),
        np.zeros((40, 64, 3), dtype=np.uint8),
        np.zeros((40, 64), dtype=bool),
        PIL.Image.new("L", (64, 40)),
        PIL.Image.new("RGB", (64, 40)),
    ],
)
def test_pictures_of_any_kind_are_shown(image):
    axes = show_image(image)
    assert axes.images[0].get_array().shape[:2] == (40, 64)
    axes.figure.canvas.draw()


@pytest.mark.parametrize(("size", "inches"), [((28, 28), (1, 1)), ((96, 64), (2, 3)), ((500, 90), (2, 5))])
def test_the_figure_grows_with_the_picture_within_bounds(size, inches):
    """fastai gives a high picture a wide figure: it takes height for width."""
    assert tuple(show_image(torch.rand(size)).figure.get_size_inches()) == inches
    assert tuple(show_image(torch.rand(size), figsize=(7, 2)).figure.get_size_inches()) == (7, 2)


def test_axes_title_and_colours_may_be_given():
    axes = show_image(torch.rand(4, 4), cmap="Reds", title=7)
    assert axes.images[0].get_cmap().name == "Reds"
    assert axes.get_title() == "7"
    assert show_image(torch.rand(4, 4), axes) is axes
    assert axes.images[1].get_cmap().name == "gray"


def test_a_map_chosen_for_all_figures_is_taken():
    with matplotlib.rc_context({"image.cmap": "Greys"}):
        assert show_image(torch.rand(4, 4)).images[0].get_cmap().name == "Greys"


def test_several_pictures_stand_in_a_row_unless_told_otherwise():
    figure = show_images([torch.rand(3, 8, 8)] * 3, titles=["a", "b", "c"])
    assert figure.get_size_inches().tolist() == [9, 3]
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]
    assert show_images([torch.rand(3, 8, 8)] * 3, rows=2).get_size_inches().tolist() == [6, 6]


def test_a_function_is_drawn_over_100_points():
    axes = plot_function(torch.sigmoid, title="Sigmoid", tx="x", ty="y", min=-4, max=4)
    x, y = axes.lines[0].get_data()
    assert len(x) == 100
    assert (x[0], x[-1]) == (-4, 4)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x)), rtol=1e-5)
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Sigmoid", "x", "y")
    assert axes.figure.get_size_inches().tolist() == [6, 4]
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_a_parameter_is_drawn_without_its_gradient():
    weight = torch.ones(1, requires_grad=True)
    assert len(plot_function(lambda x: x * weight).lines) == 1
