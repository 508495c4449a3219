import pytest
import torch

from fastcli.show import draw, in_words, show_grid
from fastcli.show.figures import open_figure
from fastcli.show.kernels import class_colours, picture
from fastcli.types import (
    KERNELS,
    BoundingBoxes,
    Category,
    Image,
    ImageBW,
    KeyPoints,
    Mask,
    MultiCategory,
    Regression,
    TVTensor,
    register_kernel,
    typed,
)

CANVAS = (20, 30)


@pytest.fixture
def axes():
    return open_figure(2, 2, hidden=True).add_axes((0, 0, 1, 0.8))


def image(height=20, width=30):
    return typed(torch.rand(3, height, width), Image)


def limits(axes):
    return axes.get_xlim(), axes.get_ylim()


def test_a_picture_lies_from_0_to_its_size(axes):
    draw(image(), axes)
    assert limits(axes) == ((0, 30), (20, 0))
    assert axes.images[0].get_interpolation() == "nearest"


def test_grey_bytes_and_wide_pictures_are_pictures_too(axes):
    draw(typed(torch.full((1, 4, 4), 255, dtype=torch.uint8), ImageBW), axes)
    assert axes.images[0].get_array().shape == (4, 4)
    assert picture(torch.rand(7, 4, 4)).shape == (4, 4, 3)
    assert picture(torch.full((2, 4, 4), float("nan"))).max() == 0


def test_two_pictures_of_a_sample_stand_side_by_side(axes):
    draw(image(), axes)
    draw(image(10, 10), axes)
    draw(typed(torch.zeros(20, 30, dtype=torch.long), Mask), axes)
    assert [tuple(each.get_extent()) for each in axes.images] == [(0, 30, 20, 0), (30.4, 40.4, 10, 0), (0, 30, 20, 0)]
    assert limits(axes) == ((0, 40.4), (20, 0))


def test_a_class_has_the_same_colour_in_every_mask(axes):
    draw(image(), axes)
    draw(typed(torch.full((1, 20, 30), 3, dtype=torch.uint8), Mask), axes)
    shown = axes.images[1]
    assert shown.get_alpha() == 0.5
    assert torch.equal(torch.tensor(shown.get_array()), torch.tensor(class_colours()[3]).expand(20, 30, 3))
    assert len({tuple(colour) for colour in class_colours().tolist()}) > 200


def test_points_and_boxes_are_in_pixels_whatever_their_format(axes):
    points = KeyPoints([[3.0, 4.0], [30.0, 20.0]], canvas_size=CANVAS)
    draw(image(), axes)
    draw(points, axes)
    assert axes.collections[0].get_offsets().tolist() == [[3, 4], [30, 20]]
    for format_, numbers in (("XYXY", [2, 3, 12, 9]), ("XYWH", [2, 3, 10, 6]), ("CXCYWH", [7, 6, 10, 6])):
        draw(BoundingBoxes([numbers], format=format_, canvas_size=CANVAS), axes, ["ship"])
        assert axes.patches[-1].get_bbox().extents.tolist() == [2, 3, 12, 9]
        assert axes.texts[-1].get_text() == "ship"
    assert limits(axes) == ((0, 30), (20, 0))
    draw(KeyPoints(torch.zeros(0, 2), canvas_size=CANVAS), axes)


def test_points_alone_are_shown_on_their_canvas(axes):
    draw(KeyPoints([[3.0, 4.0]], canvas_size=CANVAS), axes)
    assert limits(axes) == ((0, 30), (20, 0))


def test_labels_stand_above_each_other_cut_to_the_width(axes):
    draw(typed(torch.tensor(3), Category), axes, "dog")
    draw(typed(torch.ones(2), MultiCategory), axes, ["sea", "sun"])
    draw(typed(torch.tensor([0.25, 3.0]), Regression), axes)
    draw(typed(torch.tensor(3), Category), axes, "a very long name of a class " * 9)
    *lines, last = axes.get_title().split("\n")
    assert lines == ["dog", "sea, sun", "0.25, 3"]
    assert last.endswith("…")
    assert len(last) < 60
    assert in_words(3) == "3"


def test_a_users_type_is_shown_by_its_own_kernel(tmp_path):
    class Track(TVTensor):
        pass

    with pytest.raises(TypeError, match="draw has no kernel for Track"):
        show_grid([[(typed(torch.rand(4, 2), Track), None)]])

    @register_kernel(draw, Track)
    def draw_track(track, axes, decoded=None):
        axes.plot(*track.as_subclass(torch.Tensor).T)
        axes.set_title(decoded)

    try:
        figure = show_grid([[(image(), None), (typed(torch.rand(4, 2), Track), "walk")]])
    finally:
        del KERNELS["draw"][Track]
    assert len(figure.axes[0].lines) == 1
    assert figure.axes[0].get_title() == "walk"
