"""The confusion matrix as a picture: no word covers another, whatever the classes are called, and however many."""

import itertools

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from fastcli.report.confusion import plot_confusion


def matrix(n):
    few = 7 if n > 12 else 1  # errors are in few of many cells
    return [[90 if i == j else ((i * 7 + j * 3) % 5 if (i + j) % few == 0 else 0) for j in range(n)] for i in range(n)]


NAMES = {
    "two": ["3", "7"],
    "two long": ["a class with a name of more than thirty letters", "no"],
    "scripts": ["кот", "猫", "$x_2$", "עברית", "a\nb"],
    "ten": [f"class number {i}" for i in range(10)],
    "many": [f"staffordshire_bull_terrier_{i}" for i in range(37)],
    "one": ["alone"],
}


def words(figure):
    figure.canvas.draw()
    axes = figure.axes[0]
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label, axes._left_title]
    return [t for t in [*axes.texts, *labels] if t.get_text()]


@pytest.mark.parametrize(("name", "normalize"), [*((name, False) for name in NAMES), ("two long", True), ("ten", True)])
def test_no_word_covers_another_or_leaves_the_figure(name, normalize):
    figure = plot_confusion(matrix(len(NAMES[name])), NAMES[name], normalize=normalize)
    boxes = [word.get_window_extent() for word in words(figure)]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(figure.bbox.x0 <= b.x0 and b.x1 <= figure.bbox.x1 for b in boxes)
    assert all(figure.bbox.y0 <= b.y0 and b.y1 <= figure.bbox.y1 for b in boxes)


def numbers(figure):
    return {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts
            if "right" not in t.get_text()}  # fmt: skip


def test_cells_have_their_counts_and_empty_ones_nothing():
    figure = plot_confusion([[8, 2], [0, 12000]], ["a", "b"])
    assert numbers(figure) == {(0, 0): "8", (0, 1): "2", (1, 1): "12k"}


def test_normalized_cells_have_the_share_of_their_row():
    figure = plot_confusion([[8, 2], [1, 999]], ["a", "b"], normalize=True)
    assert numbers(figure) == {(0, 0): "80", (0, 1): "20", (1, 0): "<1", (1, 1): "100"}


def test_right_and_wrong_have_two_colours_and_a_few_errors_are_seen():
    pixels = plot_confusion([[97, 3], [0, 100]], ["a", "b"]).axes[0].images[0].get_array()
    (right, wrong), (nothing, _) = pixels.tolist()
    assert right[2] > right[0]  # blue
    assert wrong[0] > wrong[2]  # orange
    assert nothing == [1, 1, 1]
    assert 1 - wrong[2] > 0.05


def test_very_many_classes_have_no_numbers_and_not_all_names():
    figure = plot_confusion(matrix(150), [str(i) for i in range(150)])
    assert numbers(figure) == {}
    assert 20 < len(figure.axes[0].get_xticklabels()) < 150


def test_it_is_a_file_or_on_given_axes(tmp_path):
    plot_confusion(matrix(3), "abc", tmp_path / "confusion.png")
    assert imread(tmp_path / "confusion.png").shape[0] > 200
    figure = Figure(figsize=(6, 3))
    left, right = figure.subplots(1, 2)
    assert plot_confusion(matrix(3), "abc", right) is figure
    assert not left.texts
    assert right.texts


def test_classes_without_items_are_drawn():
    assert numbers(plot_confusion([[0, 0], [0, 0]], ["a", "b"])) == {}
