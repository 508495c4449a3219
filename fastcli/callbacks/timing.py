"""Timer: how long an epoch takes, and how much of its training is waiting for data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastcli.events import Callback


class Timer(Callback):
    """Times the running epoch, for whoever records or shows; first at the start of a batch and last at its end."""

    order = -100
    orders = {"after_batch": 100}

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.images = 0
        """Trained on in this epoch."""
        self.waited = 0.0
        """Seconds of this epoch's training between one batch and the next: waiting for data."""
        self._clock = clock
        self._epoch_started = self._train_started = self._batch_ended = clock()

    def before_epoch(self, learner: Any) -> None:
        self._epoch_started = self._clock()

    def before_train(self, learner: Any) -> None:
        self.images, self.waited = 0, 0.0
        self._train_started = self._batch_ended = self._clock()

    def before_batch(self, learner: Any) -> None:
        if learner.training:
            self.waited += self._clock() - self._batch_ended

    def after_loss(self, learner: Any) -> None:
        if learner.training:
            self.images += learner.inputs[0].shape[0]

    def after_batch(self, learner: Any) -> None:
        self._batch_ended = self._clock()

    @property
    def seconds(self) -> float:
        """Since the training of this epoch began."""
        return self._clock() - self._train_started

    @property
    def epoch_seconds(self) -> float:
        """Since this epoch began."""
        return self._clock() - self._epoch_started
