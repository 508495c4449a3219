import math
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fastcli.callbacks.mix import CutMix, MixUp
from fastcli.callbacks.monitor import Best, direction
from fastcli.callbacks.stop import EVERY, EarlyStopping, StopOnSignal, TerminateOnNaN
from fastcli.errors import ConfigError, NonFiniteLossError, Stopped, Terminated
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.metrics import accuracy, error_rate
from fastcli.types import TargetInfo

TARGET = TargetInfo("category", 2, ("a", "b"), (8, 8))


def make(callbacks, metrics=()):
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (x[:, 0] > 0).long().split(4), strict=True))
    return Learner((batches, batches), nn.Linear(4, 2), nn.CrossEntropyLoss(), callbacks=callbacks, metrics=metrics)


class Scores(Callback):
    """Puts these validation losses into the history."""

    order = 0

    def __init__(self, losses):
        self.losses = losses

    def after_epoch(self, learner):
        learner.history[-1]["valid_loss"] = self.losses[learner.epoch]


def test_early_stopping_waits_for_patience_and_keeps_count_of_the_best():
    learner = make([Scores([3, 2, 2.5, 2.4, 1.9, 1.0]), EarlyStopping(patience=2)])
    assert len(learner.fit(6)) == 4
    learner = make([Scores([3, 2, 2.5, 1.5, 1.6, 1.7]), EarlyStopping(patience=2)])
    assert len(learner.fit(6)) == 6


def test_the_direction_is_the_metrics_own():
    metrics = [accuracy(TARGET), error_rate(TARGET)]
    assert direction("accuracy", metrics) == "max"
    assert direction("error_rate", metrics) == "min"
    assert direction("valid_loss", metrics) == "min"


def test_nan_is_never_an_improvement():
    best = Best("valid_loss", "min")
    assert not best.improved({"epoch": 0, "valid_loss": float("nan")})
    assert best.improved({"epoch": 1, "valid_loss": 3.0})
    assert not best.improved({"epoch": 2, "valid_loss": 3.0})


def test_an_unknown_monitor_is_answered():
    with pytest.raises(ConfigError, match="did you mean 'valid_loss'"):
        make([EarlyStopping(monitor="val_loss")]).fit(1)


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    class Break(Callback):
        def after_predict(self, learner):
            if learner.training and learner.iteration == 2:
                learner.prediction = learner.prediction * float("nan")

    with pytest.raises(NonFiniteLossError, match=r"not finite at step 2 \(epoch 0, lr 1.00e-03\)"):
        make([Break(), TerminateOnNaN()]).fit(1)


def test_on_a_device_that_must_be_waited_for_losses_are_read_many_at_a_time():
    """The first bad step is named, when it is found: at the next look, or at the end of the epoch."""
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    facts = {"optimizer": optimizer, "train_loader": [], "epoch": 3, "training": True}
    learner = SimpleNamespace(device=torch.device("meta"), iteration=0, **facts)
    watch = TerminateOnNaN()
    watch.before_fit(learner)
    for learner.iteration, loss in enumerate([1.0] * (EVERY + 2) + [math.inf, math.nan]):
        learner.loss = torch.tensor(loss, requires_grad=True)
        watch.after_loss(learner)
    with pytest.raises(NonFiniteLossError, match=rf"not finite at step {EVERY + 2} \(epoch 3, lr 1.00e-01\)"):
        watch.after_train(learner)
    watch.after_train(learner)  # it was told


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, Stopped, 130), (signal.SIGTERM, Terminated, 143)]
)
def test_a_signal_ends_the_fit_after_the_step(number, error, code):
    class Send(Callback):
        def after_loss(self, learner):
            if learner.training and learner.iteration == 1:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    learner = make([Send(), StopOnSignal()])
    with pytest.raises(error) as raised:
        learner.fit(3)
    assert raised.value.exit_code == code
    assert learner.step == 2
    assert learner.history == []
    assert signal.getsignal(number) is before


def test_a_mistake_in_another_callback_is_told_as_it_is():
    """It once ended in an AttributeError of the callback that waits for signals."""
    with pytest.raises(ConfigError, match="one callback alone"):
        make([MixUp(), CutMix(), StopOnSignal()]).fit(1)


def test_a_validation_before_and_after_an_interrupted_fit_is_whole():
    class Interrupt(Callback):
        def after_step(self, learner):
            signal.raise_signal(signal.SIGINT)

    learner = make([StopOnSignal()])
    before = learner.validate()
    with pytest.raises(Stopped):
        learner.fit(1, callbacks=[Interrupt()])
    assert learner.validate().keys() == before.keys()


@pytest.mark.skipif(StopOnSignal.save_signal is None, reason="there is no SIGUSR1")
def test_sigusr1_asks_for_a_save_and_does_not_stop():
    class Send(Callback):
        def __init__(self):
            self.saves = []

        def after_step(self, learner):
            if learner.iteration == 1:
                signal.raise_signal(StopOnSignal.save_signal)

        def at_rest(self, learner):
            self.saves.append(stop.take_save())

    send, stop = Send(), StopOnSignal()
    before = signal.getsignal(StopOnSignal.save_signal)
    learner = make([send, stop])
    assert len(learner.fit(1)) == 1
    assert [i for i, asked in enumerate(send.saves) if asked] == [1]
    assert signal.getsignal(StopOnSignal.save_signal) is before


def test_a_signal_between_fits_ends_the_next_one():
    learner, stop = make([]), StopOnSignal()
    learner.callbacks.append(stop)
    with stop.listening():
        learner.fit(1)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Terminated):
            learner.fit(1)
    assert (len(learner.history), learner.step) == (1, 1)
    assert stop.received is None
