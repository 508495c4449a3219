import itertools
import math
import sys
import threading

import pytest
from matplotlib.image import imread

from fastcli.report import history, plots
from fastcli.report.plots import plot_history, plot_lr, plot_lr_find

NAN = float("nan")


def rows(n, **metrics):
    """A history whose losses fall and whose best epoch is the one before the last."""
    made = []
    for epoch in range(n):
        valid = 0.5 / (epoch + 1) + (0.2 if epoch == n - 1 else 0)
        row = {"epoch": epoch, "train_loss": 1 / (epoch + 1), "valid_loss": valid, "error_rate": valid / 4}
        made.append({**row, **metrics, "lr": 1e-3, "img_per_s": 10.0, "wait": 0.1, "time": 1.0})
    return made


def losses(n):
    return {"loss": [1 / (1 + i / 10) for i in range(n)]}


@pytest.fixture
def drawn(monkeypatch):
    """The figures instead of files, drawn once so that every text has its place."""
    figures = []

    def keep(figure, path):
        figure.canvas.draw()
        figures.append(figure)

    for module in (history, plots):
        monkeypatch.setattr(module, "save", keep)
    return figures


def texts(axes):
    return [text.get_text() for text in axes.texts]


def no_overlap(figure):
    """Whether no two texts of the figure, ticks aside, cover each other."""
    boxes = [t.get_window_extent() for axes in figure.axes for t in [*axes.texts, axes._left_title] if t.get_text()]
    return not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def inside(figure):
    boxes = [t.get_window_extent() for axes in figure.axes for t in axes.texts if t.get_text()]
    return all(figure.bbox.x0 <= b.x0 and b.x1 <= figure.bbox.x1 and b.y0 >= 0 for b in boxes)


EXTREMES = {
    "one epoch": (rows(1), losses(50)),
    "one epoch without steps": (rows(1), None),
    "one step": (rows(1), losses(1)),
    "no epoch": ([], losses(5)),
    "nothing": ([], None),
    "two epochs": (rows(2), losses(40)),
    "many epochs": (rows(40), losses(800)),
    "all nan": ([{**row, "train_loss": NAN, "valid_loss": None, "error_rate": math.inf} for row in rows(4)], None),
    "nan steps": (rows(2), {"loss": [NAN] * 10}),
    "gaps": ([{**row, "valid_loss": NAN} if row["epoch"] % 2 else row for row in rows(9)], losses(90)),
    "an explosion": ([{**row, "train_loss": 1e12} if row["epoch"] == 0 else row for row in rows(9)], losses(90)),
    "no validation": ([{"epoch": e, "train_loss": 1.0} for e in range(3)], losses(9)),
    "zeros": ([{"epoch": e, "train_loss": 0.0, "valid_loss": 0.0, "accuracy": 1.0} for e in range(3)], None),
    "resumed": (rows(9)[5:], losses(40)),
    "scripts": (rows(3, **{"точность": 0.5, "猫 $x_2$ 😀": 0.7, "עברית": 0.1}), None),
}


def test_history_is_a_picture_and_nothing_else(tmp_path):
    plot_history(rows(3), losses(30), tmp_path / "history.png")
    assert imread(tmp_path / "history.png").shape[0] > 300
    assert [p.name for p in tmp_path.iterdir()] == ["history.png"]


@pytest.mark.parametrize("name", EXTREMES)
def test_history_of_any_numbers_has_no_text_over_another_or_outside(drawn, name):
    plot_history(*EXTREMES[name], None)
    assert no_overlap(drawn[0])
    assert inside(drawn[0])


def test_history_has_a_panel_for_the_losses_and_each_metric(drawn):
    plot_history(rows(6, accuracy=0.5, f1_score=0.5), None, None, monitor="error_rate")
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert titles == ["loss", "error_rate", "accuracy", "f1_score"]


def test_history_draws_the_numbers_of_the_rows(drawn):
    plot_history(rows(6), None, None)
    train, _, valid, *_ = drawn[0].axes[0].lines
    assert list(train.get_xdata()) == [0, 1, 2, 3, 4, 5]
    assert list(train.get_ydata()) == [row["train_loss"] for row in rows(6)]
    assert list(valid.get_ydata()) == [row["valid_loss"] for row in rows(6)]
    assert texts(drawn[0].axes[0])[-2:] == ["train 0.1667", "valid 0.2833"]


def test_history_marks_the_best_epoch_by_the_monitor(drawn):
    plot_history(rows(6), None, None, monitor="error_rate")
    assert texts(drawn[0].axes[1])[0] == "best, epoch 4: 0.0250"
    plot_history([{"epoch": e, "accuracy": v} for e, v in enumerate([0.5, 0.9, 0.7])], None, None, monitor="accuracy",
                 lower_is_better=False)  # fmt: skip
    assert texts(drawn[1].axes[1])[0] == "best, epoch 1: 0.9000"


def test_history_is_logarithmic_only_where_a_linear_axis_would_flatten(drawn):
    plot_history(EXTREMES["an explosion"][0], None, None)
    plot_history(rows(6), None, None)
    assert [figure.axes[0].get_yscale() for figure in drawn] == ["log", "linear"]


def test_one_epoch_is_told_by_its_steps(drawn):
    plot_history(rows(1), losses(50), None)
    axes = drawn[0].axes[0]
    assert len(axes.lines[0].get_ydata()) == 50
    assert texts(axes)[0] == "error_rate 0.1750"
    assert "valid 0.7000" in texts(axes)


@pytest.mark.parametrize("n", [3, 9, 20])
def test_many_metrics_of_one_epoch_stand_in_lines_below_the_title(drawn, n):
    plot_history(rows(1, **{f"metric_number_{i}": i / n for i in range(n)}), losses(50), None)
    (figure,) = drawn
    assert "".join(texts(figure.axes[0])).count("metric_number") == n
    assert no_overlap(figure)
    assert inside(figure)
    assert figure.axes[0].get_window_extent().width > 0.6 * figure.bbox.width


def test_steps_behind_the_epochs_end_at_the_last_row(drawn):
    plot_history(rows(4), losses(400), None)
    places = drawn[0].axes[0].lines[0].get_xdata()
    assert (places[0], places[-1]) == (pytest.approx(-0.99), pytest.approx(3.0))


LR_CASES = {
    "one group": [[0.1 * i] for i in range(20)],
    "three groups": [[1e-5 * i, 1e-4 * i, 1e-3 * i] for i in range(20)],
    "frozen first": [[1e-3]] * 10 + [[1e-5, 1e-4, 1e-3]] * 10,
    "many groups": [[1e-3 * 0.7**k * i for k in reversed(range(15))] for i in range(20)],
    "zeros": [[0.0, 0.0]] * 20,
    "a frozen group": [[0.0, 1e-3]] * 20,
    "not a number": [[NAN]] * 20,
}


@pytest.mark.parametrize("name", LR_CASES)
def test_lr_of_any_rates_has_no_text_over_another_or_outside(drawn, name):
    plot_lr(range(20), LR_CASES[name], [0.9] * 20, None)
    assert [axes.get_title(loc="left").split(",")[0] for axes in drawn[0].axes] == ["learning rate", "momentum"]
    assert no_overlap(drawn[0])
    assert inside(drawn[0])


def test_lr_labels_the_head_and_the_layer_groups(drawn):
    plot_lr(range(20), LR_CASES["three groups"], [None] * 20, None)
    assert texts(drawn[0].axes[0]) == ["layer group 0  1.9e-04", "layer group 1  1.9e-03", "head  1.9e-02"]
    assert drawn[0].axes[0].get_yscale() == "log"


def test_lr_of_a_frozen_phase_belongs_to_the_head(drawn):
    plot_lr(range(20), LR_CASES["frozen first"], [None] * 20, None)
    first, _, head = (line.get_ydata() for line in drawn[0].axes[0].lines)
    assert math.isnan(first[0])
    assert head[0] == 1e-3


def test_lr_of_one_or_no_step(tmp_path):
    plot_lr([0], [[1e-3]], [0.9], tmp_path / "one.png")
    plot_lr([], [], [], tmp_path / "none.png")
    assert len(list(tmp_path.iterdir())) == 2


def curve(n=100):
    """Rates, and a loss that is flat, falls and explodes."""
    rates = [1e-7 * 10 ** (8 * i / (n - 1)) for i in range(n)]
    return rates, [0.7 - 0.4 / (1 + (3e-3 / rate)) + (1e4 * rate if rate > 0.1 else 0) for rate in rates]


SUGGESTIONS = {
    "apart": {"valley": 1e-6, "slide": 1e-4, "minimum": 1e-2, "steep": 0.5},
    "together": {"valley": 1.2e-3, "slide": 1.3e-3, "minimum": 1.25e-3, "steep": 1.22e-3},
    "the same": dict.fromkeys(("valley", "slide", "minimum", "steep"), 1e-3),
    "at the left edge": dict.fromkeys(("valley", "slide", "minimum", "steep"), 1e-7),
    "at the right edge": dict.fromkeys(("valley", "slide", "minimum", "steep"), 10.0),
    "one": {"valley": 1e-3},
    "none": {},
}


@pytest.mark.parametrize("name", SUGGESTIONS)
def test_lr_find_names_every_suggestion_readably(drawn, name):
    rates, loss = curve()
    plot_lr_find(rates, loss, loss, SUGGESTIONS[name], None)
    words = texts(drawn[0].axes[0])
    assert set(words[1::2]) == set(SUGGESTIONS[name])
    assert words[0::2] == [f"{rate:.1e}" for rate in SUGGESTIONS[name].values()]
    assert no_overlap(drawn[0])
    assert inside(drawn[0])


def test_lr_find_marks_lie_on_the_curve(drawn):
    rates, loss = curve()
    plot_lr_find(rates, loss, loss, {"valley": rates[40]}, None)
    axes = drawn[0].axes[0]
    mark = axes.transAxes.transform((axes.lines[-1].get_xdata()[0], axes.lines[-1].get_ydata()[0]))
    assert mark == pytest.approx(axes.transData.transform((rates[40], loss[40])), abs=0.01)


def test_lr_find_shows_the_useful_range_when_the_loss_diverges(drawn):
    rates, loss = curve()
    plot_lr_find(rates, loss, [*loss[:-3], math.inf, NAN, 1e30], {}, None)
    low, high = drawn[0].axes[0].get_ylim()
    assert low < min(loss) < loss[0] < high < 2 * loss[0]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_lr_find_of_next_to_nothing(tmp_path, n):
    rates, loss = curve()
    plot_lr_find(rates[:n], loss[:n], loss[:n], {"valley": NAN, "slide": 0.0, "steep": 1e-7}, tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_formats_by_suffix_and_no_global_state(tmp_path):
    before = sys.modules.get("matplotlib.pyplot")
    for suffix, start in ((".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")):
        plot_history(rows(3), None, tmp_path / f"a{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes().startswith(start)
    assert sys.modules.get("matplotlib.pyplot") is before


def test_threads_may_draw_at_once(tmp_path):
    threads = [threading.Thread(target=plot_history, args=(rows(3), None, tmp_path / f"{i}.png")) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(tmp_path / f"{i}.png").read_bytes() for i in range(3)}) == 1
