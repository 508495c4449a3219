"""What a finished or interrupted training leaves to look at: the plots and the model's card."""

from __future__ import annotations

from typing import Any

from fastcli.callbacks.record import Recorder
from fastcli.report.history import plot_history
from fastcli.report.plots import plot_lr
from fastcli.run.directory import Run
from fastcli.show import show_grid

SHOWN, WIDTH = 16, 1.55
"""Pictures of batch_train.png, and the width of each in inches."""


def plot_training(run: Run, learner: Any, monitor: str, *, lower_is_better: bool) -> None:
    """Draw plots/history.png and plots/lr.png from what the recorder kept."""
    recorder: Recorder = learner.callback(Recorder)
    steps = list(range(len(recorder.lrs)))
    losses = {"loss": recorder.losses}
    run.draw("history.png", lambda path: plot_history(
        learner.history, losses, path, monitor=monitor, lower_is_better=lower_is_better))  # fmt: skip
    run.draw("lr.png", lambda path: plot_lr(steps, recorder.lrs, recorder.momenta, path))


def plot_batch(run: Run, loaders: Any) -> None:
    """Draw plots/batch_train.png: the first training batch as the model sees it, with its targets on or above it."""
    samples = loaders.samples(loaders.one_batch(), SHOWN)
    run.draw("batch_train.png", lambda path: show_grid(samples, max_n=SHOWN, width=WIDTH, path=path))
