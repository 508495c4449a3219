"""What a finished or interrupted training leaves to look at: the plots and the model's card."""

from __future__ import annotations

from typing import Any

from fastcli.callbacks.record import Recorder
from fastcli.events import Callback
from fastcli.report.history import plot_history
from fastcli.report.plots import plot_lr
from fastcli.run.background import Background
from fastcli.run.directory import Run
from fastcli.show import show_grid

SHOWN, WIDTH = 16, 1.55
"""Pictures of batch_train.png, and the width of each in inches."""


def finish_drawing(learner: Any) -> None:
    """Return when what was begun is drawn; raises what went wrong."""
    if (plot := learner.callback(PlotBatch)) is not None:
        plot.finish()


def plot_training(run: Run, learner: Any, monitor: str, *, lower_is_better: bool) -> None:
    """Draw plots/history.png and plots/lr.png from what the recorder kept."""
    recorder: Recorder = learner.callback(Recorder)
    steps = list(range(len(recorder.lrs)))
    losses = {"loss": recorder.losses}
    run.draw("history.png", lambda path: plot_history(
        learner.history, losses, path, monitor=monitor, lower_is_better=lower_is_better))  # fmt: skip
    run.draw("lr.png", lambda path: plot_lr(steps, recorder.lrs, recorder.momenta, path))


class PlotBatch(Callback):
    """Draws plots/batch_train.png: the first training batch as the model sees it, with its targets on or above it.

    A thread does so after the first step, which need not wait for matplotlib.
    """

    order = 1000

    def __init__(self, run: Run, loaders: Any) -> None:
        self._samples = loaders.samples(loaders.one_batch(), SHOWN)
        self._run, self._begun, self._background = run, False, Background()

    def after_batch(self, learner: Any) -> None:
        """Begin, after the first one."""
        if not self._begun:
            self._begun = True
            self._background.start([self._draw])

    def finish(self) -> None:
        """Return when it is drawn, also where no step was taken; raises what went wrong."""
        self.after_batch(None)
        self._background.wait()

    def _draw(self) -> None:
        samples, self._samples = self._samples, None
        self._run.draw("batch_train.png", lambda path: show_grid(samples, max_n=SHOWN, width=WIDTH, path=path))
