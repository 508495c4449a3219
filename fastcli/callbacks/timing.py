"""Timer: how long an epoch takes, how much of its training is waiting for data, and how fast it could have been."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastcli.events import Callback

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

MOST_TIMED = 1000
"""Steps of an epoch that are timed one by one: enough for a quartile."""


@dataclass
class Pace:
    """How fast a training was, over all its epochs; validation does not count."""

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    """Seconds between one batch and the next."""
    ideal: float = 0.0
    """Seconds at the pace of its fastest quarter of steps, with every batch there at once; 0 where it is not known."""

    @property
    def img_per_s(self) -> float:
        """Images trained on in a second."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def wait(self) -> float:
        """The share of the time that was waiting for data."""
        return self.waited / max(self.seconds, 1e-9)

    @property
    def ratio(self) -> float | None:
        """The speed over the ideal one; None where that is not known."""
        return self.ideal / self.seconds if self.ideal and self.seconds else None


class Timer(Callback):
    """Times the running epoch, for whoever records or shows; first at the start of a batch and last at its end.

    `pace` goes on over all epochs and fits. Its ideal comes from the run's own steps, from a batch's arrival to its
    last callback: that costs two looks at a clock, where a GPU's own clock tells how long the GPU was busy. So it
    knows of data that comes late and of steps that are held up, and not of what slows all steps alike; `fastcli bench`
    does.
    """

    order = -100
    only_looks = True
    orders = {"after_batch": 100, "after_train": 100}  # after the recorder, which has waited for the device

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.images = 0
        """Trained on in this epoch."""
        self.waited = 0.0
        """Seconds of this epoch's training between one batch and the next: waiting for data."""
        self.pace = Pace()
        self._clock = clock
        self._epoch_started = self._train_started = self._batch_ended = clock()

    def before_epoch(self, learner: Learner) -> None:
        self._epoch_started = self._clock()

    def before_train(self, learner: Learner) -> None:
        self.images, self.waited, self._elsewhere = 0, 0.0, 0.0
        self._steps: list[tuple[int, Any, Any]] = []
        self._train_started = self._batch_ended = self._clock()

    def before_batch(self, learner: Learner) -> None:
        if learner.training:
            now = self._clock()
            self.waited += now - self._batch_ended
            self._began = self._moment(learner.inputs[0].device, now)

    def after_loss(self, learner: Learner) -> None:
        if learner.training:
            self.images += learner.inputs[0].shape[0]

    def after_batch(self, learner: Learner) -> None:
        self._batch_ended = self._clock()
        if learner.training and len(self._steps) < MOST_TIMED:
            ended = self._moment(learner.inputs[0].device, self._batch_ended)
            self._steps.append((learner.inputs[0].shape[0], self._began, ended))

    def after_train(self, learner: Learner) -> None:
        pace, seconds = self.pace, self.seconds
        pace.images, pace.seconds, pace.waited = (
            pace.images + self.images,
            pace.seconds + seconds,
            pace.waited + self.waited,
        )
        per_image = sorted(_between(began, ended) / n for n, began, ended in self._steps if ended is not None)
        if per_image:
            pace.ideal += self.images * per_image[len(per_image) // 4] + self._elsewhere

    def credit(self, seconds: float) -> None:
        """Count the last seconds before a batch as work of the model, not as waiting for data."""
        self.waited -= seconds
        self._elsewhere += seconds

    @staticmethod
    def _moment(device: Any, now: float) -> Any:
        """Now, by the device's own clock; None where it has none and does not wait for its work."""
        if device.type != "cuda":
            return now if device.type == "cpu" else None
        import torch

        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return event

    @property
    def seconds(self) -> float:
        """Since the training of this epoch began."""
        return self._clock() - self._train_started

    @property
    def epoch_seconds(self) -> float:
        """Since this epoch began."""
        return self._clock() - self._epoch_started


def _between(began: Any, ended: Any) -> float:
    """Seconds from one moment to another, of the host's clock or of a GPU's."""
    return float(ended - began) if isinstance(ended, float) else began.elapsed_time(ended) / 1e3
