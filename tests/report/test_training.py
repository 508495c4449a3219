import torch

from fastcli.report.training import plot_batch
from fastcli.run.directory import Run
from fastcli.show import grid
from fastcli.types import Category, Image, typed


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
