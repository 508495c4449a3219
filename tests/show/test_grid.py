import sys

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.image import imread

from fastcli.show import show_grid, show_results
from fastcli.show.grid import RIGHT, WRONG, cells
from fastcli.types import Category, Image, Mask, Regression, typed


def image(height=8, width=8):
    return typed(torch.rand(3, height, width), Image), None


def label(name):
    return typed(torch.tensor(0), Category), name


def numbers(*values):
    return typed(torch.tensor(values), Regression), list(values)


def mask(value):
    return typed(torch.full((8, 8), value), Mask), None


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_the_first_nine_samples_are_shown_with_their_labels():
    figure = show_grid([[image(), label(f"class {i}")] for i in range(12)])
    assert titles(figure) == [f"class {i}" for i in range(9)]
    assert len(titles(show_grid([[image()]] * 12, max_n=5))) == 5


@pytest.mark.parametrize(
    ("n", "options", "size", "count"),
    [
        (5, {"rows": 2}, (9.24, 6.16), 5),
        (5, {"columns": 5}, (15.4, 3.08), 5),
        (5, {"rows": 1, "columns": 2}, (6.16, 3.08), 2),
        (4, {"figsize": (5.0, 7.0)}, (5.0, 7.0), 4),
        (0, {}, (3.08, 3.08), 0),
    ],
)
def test_rows_columns_and_size_may_be_chosen(n, options, size, count):
    figure, grid = cells(n, 1.0, **options)
    assert figure.get_size_inches().tolist() == pytest.approx(size)
    assert len(grid) == count
    boxes = [axes.get_position() for axes in grid]
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_rows_and_columns_that_leave_some_out_show_the_others():
    assert titles(show_grid([[image(), label(str(i))] for i in range(9)], rows=1, columns=2)) == ["0", "1"]


def test_with_a_path_the_grid_is_written(tmp_path):
    show_grid([[image(8, 16)]], path=tmp_path / "grid.png")
    height, width = imread(tmp_path / "grid.png").shape[:2]
    assert width > 1.8 * height


def test_without_a_display_no_figure_stays_open():
    for _ in range(25):  # pyplot warns at 20
        show_grid([[image()]])
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_labels_are_compared_in_two_lines():
    samples = [[image(), label("dog")], [image(), label("dog")], [image(), numbers(1.0, 2.0)]]
    figure = show_results(samples, [label("dog"), label("cat"), numbers(1.5, 2.0)])
    assert titles(figure) == ["dog\ndog", "dog\ncat", "1, 2\n1.5, 2"]
    colours = [to_hex(axes.title.get_color()) for axes in figure.axes]
    assert colours[:2] == [RIGHT, WRONG]
    assert colours[2] not in (RIGHT, WRONG)


def test_what_is_drawn_is_compared_side_by_side():
    figure = show_results([[image(), mask(1)], [image(), mask(2)]], [mask(3), mask(2)])
    assert titles(figure) == ["target", "predicted"] * 2
    shown = [axes.images[1].get_array()[0, 0].tolist() for axes in figure.axes]
    assert shown[0] != shown[1]
    assert shown[2] == shown[3]
