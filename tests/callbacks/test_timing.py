import pytest
import torch
from torch import nn

from fastcli.callbacks.timing import Timer
from fastcli.events import Callback
from fastcli.learner.learner import Learner


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Work(Callback):
    """Steps that take these seconds."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def after_loss(self, learner):
        self.clock.now += self.seconds[learner.batch_index] if learner.training else 100.0


class Loader:
    """Batches of four that take two seconds each to come."""

    def __init__(self, clock, n):
        self.clock, self.n = clock, n

    def __len__(self):
        return self.n

    def __iter__(self):
        for _ in range(self.n):
            self.clock.now += 2
            yield torch.zeros(4, 3), torch.zeros(4, 1)


def fitted(seconds, fits=1):
    clock = Clock()
    loader = Loader(clock, len(seconds))
    learner = Learner((loader, loader), nn.Linear(3, 1), nn.MSELoss(), callbacks=[Work(clock, seconds)])
    learner.callbacks[1] = timer = Timer(clock)
    for _ in range(fits):
        learner.fit(1)
    return timer


def test_the_pace_is_that_of_training_over_all_fits():
    pace = fitted([3, 3, 3, 3], fits=2).pace
    assert (pace.images, pace.seconds, pace.waited) == (32, 40, 16)
    assert pace.img_per_s == pytest.approx(0.8)
    assert pace.wait == pytest.approx(0.4)


def test_the_ideal_is_the_pace_of_the_fastest_quarter_of_steps_without_waiting():
    pace = fitted([3, 3, 8, 3]).pace
    assert pace.ideal == pytest.approx(16 * 3 / 4)
    assert pace.ratio == pytest.approx(12 / 25)


def test_where_nothing_was_trained_nothing_is_known():
    pace = fitted([]).pace
    assert (pace.ratio, pace.img_per_s, pace.wait) == (None, 0, 0)


def test_work_of_the_model_before_a_batch_is_no_waiting():
    """A frozen body computes features where a loader would read pictures."""
    clock = Clock()
    learner = Learner(([], None), nn.Linear(3, 1), nn.MSELoss())
    learner.callbacks[1] = timer = Timer(clock)

    class Features(Loader):
        def __iter__(self):
            for batch in super().__iter__():
                clock.now += 5
                timer.credit(5)
                yield batch

    learner.train_loader = Features(clock, 2)
    learner.fit(1, callbacks=[Work(clock, [3, 3])])
    assert timer.waited == 4
    assert timer.pace.ideal == pytest.approx(6 + 10)
    assert timer.pace.ratio == pytest.approx(16 / 20)
