import re

import pytest
from PIL import Image

from fastcli.report.compare import Curves, figures_of, letter_of, look_of, plot_compare
from fastcli.report.compare_page import write_page

ROWS = [{"epoch": i, "train_loss": 1 / (i + 1), "valid_loss": 1.2 / (i + 1), "lr": 0.1, "time": 3.0} for i in range(5)]


def test_no_two_of_many_runs_look_alike():
    assert len({look_of(i) for i in range(24)}) == 24
    assert len({letter_of(i) for i in range(800)}) == 800


def test_losses_come_first_and_rates_not_at_all():
    runs = [Curves("A", "a", ROWS), Curves("B", "b", [{"epoch": 0, "accuracy": 0.5}])]
    assert figures_of(runs) == ["valid_loss", "train_loss", "accuracy"]
    assert figures_of(runs, "accuracy") == ["accuracy", "valid_loss", "train_loss"]


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [], [{"epoch": 0, "valid_loss": None}], [{"epoch": None, "a": 1.0}]])
def test_any_history_can_be_drawn(rows, tmp_path):
    runs = [Curves("A", "pets/1-猫", ROWS, "batch_size 64", 4), Curves("B", "<b>", rows, "", 0)]
    plot_compare(runs, tmp_path / "a.png", first="valid_loss")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 700
    write_page(runs, tmp_path / "a.html", first="valid_loss")
    assert "nan" not in (tmp_path / "a.html").read_text("utf-8")


def test_the_page_needs_nothing_else_and_shows_names_as_they_are(tmp_path, parsed):
    runs = [Curves("A", "pets/<script>alert(1)</script>", ROWS, "", 4), Curves("B", "b", ROWS[:3], "lr 0.1", 2)]
    figures = [{"valid_loss": 0.24, "train_loss": 0.2}, {"valid_loss": 0.4, "train_loss": None}]
    path = tmp_path / "a.html"
    write_page(runs, path, first="valid_loss", differences={"train.epochs": ["5", "<i>3"]}, figures=figures,
               lower_is_better=True)  # fmt: skip
    text = path.read_text("utf-8")
    page = parsed(text)
    assert page.addresses == []
    assert not re.search(r"https?://", text)
    assert page.tags.count("script") == 1
    assert page.tags.count("circle") == 2 * (5 + 3)
    assert "i" not in page.tags
    assert '<td class="n best">0.2400' in text
    assert "train.epochs" in page.words
