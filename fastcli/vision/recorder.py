"""What a training recorded, as fastai's notebooks read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastcli.callbacks.record import Recorder as Record
from fastcli.vision.core import L


class Recorder:
    """The figures of every epoch and every step of a learner."""

    def __init__(self, learner: Any) -> None:
        self._learner = learner
        self.search: Any = None
        """What the last `lr_find` found."""

    @property
    def _record(self) -> Record:
        record: Record | None = self._learner.callback(Record)
        assert record is not None  # every learner begins with one
        return record

    @property
    def metric_names(self) -> Any:
        """The columns of the table that is shown."""
        return L("epoch", "train_loss", "valid_loss", *(m.name for m in self._learner.metrics), "time")

    @property
    def values(self) -> Any:
        """For each epoch its training loss, validation loss and metrics."""
        return L(L(row) for row in self._record.values)

    @property
    def losses(self) -> list[float]:
        """The smoothed loss at every training batch, as fastai keeps it."""
        return smoothed(self._record.losses)

    @property
    def lrs(self) -> list[float]:
        """The last layer group's learning rate at every step."""
        return [rates[-1] for rates in self._record.lrs]

    @property
    def iters(self) -> list[int]:
        """How many training batches there were by the end of each epoch."""
        return list(self._record.iters)

    @property
    def final_record(self) -> Any:
        """The losses and metrics of the last epoch."""
        return self.values[-1]

    @property
    def log(self) -> Any:
        """The last epoch's row of the table."""
        row = self._learner.history[-1]
        return L(row[name] for name in self.metric_names if name in row)

    @property
    def hps(self) -> dict[str, list[Any]]:
        """The last layer group's learning rate and momentum at every step."""
        momenta = self._record.momenta
        return {"lr": self.lrs, **({"mom": list(momenta)} if any(m is not None for m in momenta) else {})}

    def plot_loss(
        self, skip_start: int = 5, with_valid: bool = True, log: bool = False, show_epochs: bool = False, ax: Any = None
    ) -> Any:
        """Draw the loss of every training batch, and of every epoch's validation; returns the axes."""
        axes = _axes(ax)
        losses, history = self.losses, self._learner.history
        axes.plot(range(skip_start, len(losses)), losses[skip_start:], label="train")
        for step in self.iters if show_epochs else ():
            axes.axvline(step, color="#999999", linewidth=0.5)
        if log:
            axes.set_yscale("log")
        if with_valid and history and "valid_loss" in history[-1]:
            axes.plot(self._record.iters, [row["valid_loss"] for row in history], label="valid")
            axes.legend()
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        return axes

    def plot_sched(self, keys: Any = None, figsize: tuple[float, float] | None = None) -> Any:
        """Draw learning rate and momentum over the steps; returns the axes."""
        import matplotlib.pyplot as plt

        shown = self.hps
        chosen = [name for name in shown if keys is None or name in keys]
        _, row = plt.subplots(1, len(chosen), figsize=figsize or (6 * len(chosen), 4), squeeze=False)
        for name, axes in zip(chosen, row[0], strict=True):
            axes.plot(shown[name])
            axes.set_xlabel("step")
            axes.set_ylabel(name)
        return row[0]

    def plot_lr_find(self, skip_end: int = 5, return_fig: bool = True, suggestions: Any = None, ax: Any = None) -> Any:
        """Draw the curve of the last `lr_find`, with the suggested rates on it; returns the axes."""
        axes = _axes(ax)
        lrs, losses = self.search.lrs[: -skip_end or None], self.search.smoothed[: -skip_end or None]
        axes.plot(lrs, losses)
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        for name, rate in suggestions._asdict().items() if suggestions else ():
            nearest = min(range(len(lrs)), key=lambda i: abs(lrs[i] - rate))
            axes.plot(rate, losses[nearest], "o", label=name)
        if suggestions:
            axes.legend()
        return axes


def smoothed(losses: Sequence[float], beta: float = 0.98) -> list[float]:
    """The mean of all values so far in which each counts `beta` times as much as the next, without a start at 0.

    >>> smoothed([1.0, 2.0], beta=0.5)
    [1.0, 1.6666666666666667]
    """
    average, means = 0.0, []
    for n, loss in enumerate(losses, 1):
        average = beta * average + (1 - beta) * loss
        means.append(average / (1 - beta**n))
    return means


def _axes(given: Any) -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if given is None else given
