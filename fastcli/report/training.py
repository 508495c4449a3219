"""What a finished or interrupted training leaves to look at: the plots and the model's card."""

from __future__ import annotations

from typing import Any

from fastcli.callbacks.record import Recorder
from fastcli.report.history import plot_history
from fastcli.report.plots import plot_lr
from fastcli.report.show import show_batch
from fastcli.run.directory import Run
from fastcli.types import TargetInfo

SHOWN = 16
"""Pictures of batch_train.png."""


def plot_training(run: Run, learner: Any, monitor: str, *, lower_is_better: bool) -> None:
    """Draw plots/history.png and plots/lr.png from what the recorder kept."""
    recorder: Recorder = learner.callback(Recorder)
    steps = list(range(len(recorder.lrs)))
    losses = {"loss": recorder.losses}
    run.draw("history.png", lambda path: plot_history(
        learner.history, losses, path, monitor=monitor, lower_is_better=lower_is_better))  # fmt: skip
    run.draw("lr.png", lambda path: plot_lr(steps, recorder.lrs, recorder.momenta, path))


def plot_batch(run: Run, loaders: Any) -> None:
    """Draw plots/batch_train.png: pictures of the first training batch as the model sees them, with their labels."""
    *inputs, targets = loaders.one_batch()
    pictures = loaders.decode(inputs[0][:SHOWN])
    titles = [title(loaders.target, target) for target in targets[:SHOWN]]
    run.draw("batch_train.png", lambda path: show_batch(pictures, titles, path))


def title(target: TargetInfo, encoded: Any) -> str:
    """A sample's target in words.

    >>> import torch
    >>> title(TargetInfo("category", 2, ("cat", "dog")), torch.tensor(1))
    'dog'
    >>> title(TargetInfo("regression", 2), torch.tensor([0.5, 2.0]))
    '0.5, 2'
    """
    if target.kind == "category":
        return target.classes[int(encoded)]
    if target.kind == "multi_category":
        return ", ".join(name for name, on in zip(target.classes, encoded.tolist(), strict=True) if on > 0.5)
    return ", ".join(f"{value:.4g}" for value in encoded.reshape(-1).tolist())
