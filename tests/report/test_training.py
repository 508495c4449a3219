import pytest
import torch

from fastcli.report.training import PlotBatch
from fastcli.run.directory import Run
from fastcli.show import grid
from fastcli.types import Category, Image, typed


class Loaders:
    def one_batch(self):
        return torch.rand(20, 3, 8, 8), torch.arange(20)

    def samples(self, batch, max_n):
        return [[(typed(x, Image), None), (typed(y, Category), f"class {y}")]
                for x, y in zip(*batch, strict=True)][:max_n]  # fmt: skip


def test_the_plot_of_a_batch_shows_what_the_loaders_say(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(grid, "save", lambda figure, path: figures.append((figure, path)))
    plot = PlotBatch(Run(tmp_path), Loaders())
    plot.after_batch(None)
    plot.after_batch(None)
    plot.finish()
    assert len(figures) == 1
    figure, path = figures[0]
    assert path == tmp_path / "plots" / "batch_train.png"
    assert [axes.get_title() for axes in figure.axes] == [f"class {i}" for i in range(16)]


def test_the_batch_is_drawn_without_a_step_and_what_goes_wrong_is_raised(tmp_path, monkeypatch):
    PlotBatch(Run(tmp_path), Loaders()).finish()
    assert (tmp_path / "plots" / "batch_train.png").is_file()

    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr("fastcli.report.training.show_grid", fail)
    plot = PlotBatch(Run(tmp_path), Loaders())
    plot.after_batch(None)
    with pytest.raises(OSError, match="the disk is full"):
        plot.finish()
