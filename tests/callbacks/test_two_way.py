"""What a callback may do to a training: change anything, cancel any phase."""

import pytest
import torch
from torch import nn

from fastcli.events import (
    EVENTS,
    PHASES,
    Callback,
    CancelBackward,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    CancelStep,
    CancelTrain,
    CancelValidate,
    handlers,
)
from fastcli.learner.learner import Learner
from fastcli.optim.algorithms import sgd


def data(n=32, batch=8, seed=0):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return list(zip(x.split(batch), (x[:, :1].sum(1) > 0).long().split(batch), strict=True))


def make(*callbacks, lr=0.1, loss=None):
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    loss = loss or nn.CrossEntropyLoss()
    return Learner((data(), data(16, seed=1)), model, loss, lambda p: sgd(p, lr=lr), callbacks=callbacks)


def does(event, action, **attributes):
    """A callback that does `action(learner)` at `event`, in training."""

    def act(self, learner):
        if learner.training:
            action(learner)

    return type("Does", (Callback,), {event: act, **attributes})()


def trained(*callbacks, **options):
    learner = make(*callbacks, **options)
    learner.fit(2)
    return learner


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_it_may_change_the_batch():
    learner = trained(does("before_batch", lambda it: setattr(it, "inputs", (it.inputs[0] * 2,))))
    doubled = make()
    doubled.train_loader = [(x * 2, y) for x, y in doubled.train_loader]
    doubled.fit(2)
    assert same(learner, doubled)
    assert not same(learner, trained())


def test_it_may_change_the_targets():
    learner = trained(does("before_batch", lambda it: setattr(it, "targets", 1 - it.targets)))
    other = make()
    other.train_loader = [(x, 1 - y) for x, y in other.train_loader]
    other.fit(2)
    assert same(learner, other)
    assert not same(learner, trained())


def test_it_may_change_the_prediction():
    learner = trained(does("after_predict", lambda it: setattr(it, "prediction", it.prediction * 3)))
    expected = trained(loss=lambda p, t: nn.functional.cross_entropy(p * 3 if p.requires_grad else p, t))
    assert same(learner, expected)
    assert learner.history[0]["train_loss"] == expected.history[0]["train_loss"]


def test_it_may_change_the_loss_which_is_what_is_recorded():
    learner = trained(does("after_loss", lambda it: setattr(it, "loss", it.loss * 0.5)))
    assert same(learner, trained(lr=0.05))
    seen = trained(does("after_loss", lambda it: setattr(it, "loss", it.loss + 100)))
    assert seen.history[0]["train_loss"] > 100 > seen.history[0]["valid_loss"]


def test_it_may_change_the_loss_that_is_sent_back_alone():
    learner = trained(does("before_backward", lambda it: setattr(it, "backward_loss", it.backward_loss * 0.5)))
    half = trained(lr=0.05)
    assert same(learner, half)
    assert learner.history[0]["train_loss"] == half.history[0]["train_loss"]


@pytest.mark.parametrize("event", ["after_backward", "before_step"])
def test_it_may_change_the_gradients(event):
    def halve(learner):
        for parameter in learner.model.parameters():
            parameter.grad *= 0.5

    assert same(trained(does(event, halve)), trained(lr=0.05))


def test_it_may_change_the_parameters():
    @torch.no_grad()
    def zero(learner):
        for parameter in learner.model.parameters():
            parameter.zero_()

    learner = trained(does("after_step", zero))
    assert not any(p.any() for p in learner.model.parameters())
    assert learner.history[0]["valid_loss"] == pytest.approx(0.6931, abs=1e-4)


def test_it_may_change_hyperparameters_of_the_optimizer():
    def faster(learner):
        learner.optimizer.param_groups[0]["lr"] = learner.optimizer.param_groups[1]["lr"] = 0.05

    assert same(trained(does("before_step", faster)), trained(lr=0.05))


def test_it_may_change_the_optimizer():
    def replace(learner):
        learner.optimizer = torch.optim.SGD(learner.model.parameters(), lr=0.05)

    class Replace(Callback):
        def before_fit(self, learner):
            replace(learner)

    learner, expected = trained(Replace()), trained(lr=0.05)
    assert isinstance(learner.optimizer, torch.optim.SGD)
    torch.testing.assert_close(learner.model.weight, expected.model.weight)


def test_it_may_change_the_data_between_epochs():
    class Grow(Callback):
        def before_epoch(self, learner):
            learner.train_loader = data(16 * (learner.epoch + 1))

        def __init__(self):
            self.batches = []

        def after_train(self, learner):
            self.batches.append(learner.batch_index + 1)

    grow = Grow()
    trained(grow)
    assert grow.batches == [2, 4]


class Listen(Callback):
    def __init__(self, order):
        self.heard = []
        self.orders = dict.fromkeys(EVENTS, order)


for _event in EVENTS:
    setattr(Listen, _event, lambda self, learner, _e=_event: self.heard.append(_e))

CASES = [
    # event, cancel, whether it is raised in training: then what is missing, and what comes after all.
    ("before_fit", CancelFit, None, "before_epoch", "after_fit"),
    ("before_epoch", CancelEpoch, None, "before_train", "after_epoch"),
    ("before_train", CancelTrain, True, "before_backward", "after_train"),
    ("before_validate", CancelValidate, False, "nothing", "after_validate"),
    ("before_batch", CancelBatch, True, "before_backward", "after_batch"),
    ("after_predict", CancelBatch, True, "before_backward", "after_batch"),
    ("after_loss", CancelBatch, True, "before_backward", "after_batch"),
    ("before_backward", CancelBackward, True, "nothing", "after_step"),
    ("after_backward", CancelBatch, True, "before_step", "after_batch"),
    ("before_step", CancelStep, True, "nothing", "after_step"),
    ("after_step", CancelFit, True, "before_validate", "after_fit"),
    ("after_batch", CancelTrain, True, "nothing", "after_validate"),
    ("after_train", CancelEpoch, True, "before_validate", "after_epoch"),
    ("after_validate", CancelEpoch, False, "nothing", "after_epoch"),
    ("after_epoch", CancelFit, None, "nothing", "after_fit"),
    ("after_loss", CancelFit, True, "before_validate", "after_fit"),
    ("after_loss", CancelEpoch, True, "before_validate", "after_epoch"),
]


@pytest.mark.parametrize(("event", "cancel", "training", "missing", "present"), CASES)
def test_it_may_cancel_every_phase(event, cancel, training, missing, present):
    def act(self, learner):
        if training is None or learner.training == training:
            raise cancel

    first, last = Listen(-200), Listen(200)
    learner = make(first, type("Cancels", (Callback,), {event: act})(), last)
    learner.fit(2)
    assert missing not in last.heard
    assert present in last.heard
    assert first.heard == last.heard, "everybody hears an event before a cancel travels"
    for phase in PHASES:  # every phase that began ends
        assert last.heard.count(f"before_{phase}") == last.heard.count(f"after_{phase}")
    assert last.heard[-2:] == ["after_fit", "cleanup_fit"]
    assert last.heard.count("before_epoch") == (2 if cancel is not CancelFit else event != "before_fit")


def test_a_cancelled_backward_leaves_no_gradients_and_a_cancelled_step_keeps_them():
    def cancel(kind):
        def act(learner):
            raise kind

        return act

    learner = make(does("before_backward", cancel(CancelBackward)))
    start = learner.model.weight.clone()
    learner.fit(1)
    assert torch.equal(learner.model.weight, start)
    assert learner.model.weight.grad is None
    learner = make(does("before_step", cancel(CancelStep)))
    learner.fit(1)
    assert torch.equal(learner.model.weight, start)
    assert learner.model.weight.grad is not None
    assert learner.step == 0


def test_of_two_cancels_the_wider_one_travels():
    def act(kind):
        def raise_(learner):
            raise kind

        return raise_

    listen = Listen(200)
    make(does("after_loss", act(CancelBatch)), does("after_loss", act(CancelFit)), does("after_loss", act(CancelEpoch)),
         listen).fit(3)  # fmt: skip
    assert listen.heard.count("before_batch") == 1
    assert listen.heard[-2:] == ["after_fit", "cleanup_fit"]


def test_a_cancelled_epoch_leaves_no_row_and_schedules_go_on_in_place():
    class Skip(Callback):
        def before_epoch(self, learner):
            if learner.epoch == 1:
                raise CancelEpoch

    class Progress(Callback):
        def __init__(self):
            self.begun = []

        def before_train(self, learner):
            self.begun.append(learner.progress)

    progress = Progress()
    learner = make(Skip(), progress)
    learner.fit(4)
    assert progress.begun == [0.0, 0.5, 0.75]
    assert [row["epoch"] for row in learner.history] == [0, 1, 2]


def test_the_modes_are_set_before_the_phases_begin():
    class Modes(Callback):
        def __init__(self):
            self.seen = []

        def before_train(self, learner):
            self.seen.append((learner.training, learner.model.training))

        def before_validate(self, learner):
            self.seen.append((learner.training, learner.model.training))

    modes = Modes()
    learner = make(modes)
    learner.fit(1)
    learner.validate()
    assert modes.seen == [(True, True), (False, False), (False, False)]


def test_an_event_that_nobody_hears_costs_no_call():
    heard = handlers(make().callbacks)
    unheard = {event for event in heard if not heard[event]}
    assert unheard >= {"after_predict", "before_backward", "after_backward", "before_step", "after_step", "after_fit"}
