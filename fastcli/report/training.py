"""What a finished or interrupted training leaves to look at: the plots and the model's card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastcli.callbacks.record import Recorder
from fastcli.report.history import plot_history
from fastcli.report.plots import plot_lr
from fastcli.report.show import show_batch
from fastcli.run.directory import Run

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


def plot_batch(run: Run, loaders: Any, decode: Callable[[Any], Any]) -> None:
    """Draw plots/batch_train.png: pictures of the first training batch as the model sees them, with their labels.

    `decode` gives the label of an encoded target.
    """
    *inputs, targets = loaders.one_batch()
    pictures = loaders.decode(inputs[0][:SHOWN])
    titles = [title(decode(target)) for target in targets[:SHOWN]]
    run.draw("batch_train.png", lambda path: show_batch(pictures, titles, path))


def title(label: Any) -> str:
    """A decoded label in words.

    >>> title("dog"), title(["sea", "sun"]), title([0.5, 2.0])
    ('dog', 'sea, sun', '0.5, 2')
    """
    parts = label if isinstance(label, list) else [label]
    return ", ".join(f"{part:.4g}" if isinstance(part, float) else str(part) for part in parts)
