"""Callbacks in fastai's style: what they read, what they write, what they cancel, what is refused."""

import pytest

from fastcli.events import EVENTS
from fastcli.vision.all import *


@pytest.fixture
def learn(dls):
    model = nn.Sequential(nn.AvgPool2d(8), Flatten(), nn.Linear(48, 2))
    return Learner(dls, model, metrics=accuracy, default_cbs=False, path=Path())


class Watch(Callback):
    order = 20

    def __init__(self):
        self.seen = []

    def after_create(self):
        self.seen.append(("created", type(self.learn).__name__))

    def before_fit(self):
        self.seen.append((self.n_epoch, len(self.dls.train), self.opt is self.learn.opt))

    def before_batch(self):
        self.seen.append((self.training, self.iter, self.x.shape[0], self.y.shape[0], len(self.xb), len(self.yb)))

    def after_pred(self):
        self.learn.pred = self.pred * 2

    def after_batch(self):
        if self.training:
            self.seen.append((self.train_iter, round(self.pct_train, 3), self.loss_grad.ndim, self.n_iter))


def test_what_a_callback_reads(learn):
    watch = Watch()
    learn.fit(1, 0.1, cbs=watch)
    assert watch.seen[:4] == [("created", "Learner"), (1, 3, True), (True, 0, 12, 12, 1, 1), (0, 0.0, 0, 3)]
    assert watch.seen[-1] == (False, 1, 8, 8, 1, 1)
    assert learn.ordered_cbs("after_pred") == []
    assert watch.name == "watch"
    assert event.after_pred == "after_pred"


def test_writing_changes_what_is_trained_on(learn):
    class Dark(Callback):
        def before_batch(self):
            self.learn.xb = (torch.zeros_like(self.x),)
            self.learn.yb = (torch.ones_like(self.y),)

        def after_loss(self):
            self.learn.loss = self.loss * 3
            self.learn.loss_grad = self.learn.loss

    before = learn.model[2].weight.clone()
    learn.fit(1, 0.1, cbs=Dark)
    # Black pictures leave the weights alone, and the bias learns what every label is now.
    torch.testing.assert_close(learn.model[2].weight, before, rtol=0.2, atol=1e-2)
    assert learn.model[2].bias[1] > learn.model[2].bias[0]


@pytest.mark.parametrize(
    ("where", "cancel", "steps"),
    [("before_batch", CancelBatchException, 0), ("after_loss", CancelTrainException, 0),
     ("before_step", CancelStepException, 0), ("before_backward", CancelBackwardException, 3),
     ("before_epoch", CancelEpochException, 0), ("after_batch", CancelFitException, 1),
     ("before_validate", CancelValidException, 3)],
)  # fmt: skip
def test_every_phase_can_be_cancelled(learn, where, cancel, steps):
    def stop(cb):
        if cb.training or where in ("before_validate", "before_epoch"):
            raise cancel

    ends = []
    ended = Callback(after_fit=lambda cb: ends.append("fit"))
    learn.fit(1, 0.1, cbs=[Callback(**{where: stop}), ended])
    assert learn.step == steps
    assert ends == ["fit"]


def test_phases_in_which_a_callback_is_heard(learn):
    class Once(Callback):
        run_valid = False

        def __init__(self):
            self.batches = self.fits = 0

        def before_fit(self):
            self.fits += 1
            self.run = self.fits > 1

        def before_batch(self):
            assert self.training
            self.batches += 1

    once = Once()
    learn.add_cb(once)
    learn.fit(1)
    assert (once.batches, once.fits, once.run) == (0, 1, True)
    learn.fit(1)
    assert (once.batches, once.fits) == (3, 2)
    learn.validate()
    assert once.batches == 3


def test_setting_what_the_learner_has_warns(learn):
    class Shadow(Callback):
        def before_batch(self):
            self.loss_func = F.nll_loss

    with pytest.warns(UserWarning, match=r"write self\.learn\.loss_func"):
        learn.fit(1, cbs=Shadow())


def test_callback_typos_are_told_when_the_class_is_defined():
    with pytest.raises(TypeError, match="after_bacth is not an event"):

        class Misspelt(Callback):
            def after_bacth(self):
                pass

    with pytest.raises(TypeError, match="before_pred is not an event"):
        Callback(before_pred=print)
    with pytest.raises(TypeError, match="after_batch is heard after a cancel too"):

        class Late(Callback):
            def after_cancel_batch(self):
                pass


def test_a_callback_may_call_that_of_its_base(learn):
    class Base(Callback):
        def before_fit(self):
            self.told = ["base"]

    class Derived(Base):
        def before_fit(self):
            super().before_fit()
            self.told.append("derived")

    derived = Derived()
    learn.fit(1, cbs=derived)
    assert derived.told == ["base", "derived"]


def test_a_callback_joins_in_the_middle_of_a_fit(learn):
    heard = []
    late = Callback(before_epoch=lambda cb: heard.append(cb.epoch))
    learn.fit(3, cbs=Callback(after_epoch=lambda cb: cb.epoch or cb.learn.add_cb(late)))
    assert heard == [1, 2]


def test_both_styles_side_by_side(learn):
    from fastcli.events import Callback as Ours

    class Told(Ours):
        def before_fit(self, learner):
            self.learner = learner

    told = Told()
    learn.fit(1, cbs=[told, Watch()])
    assert told.learner is learn
    assert set(EVENTS) >= {"before_fit", "after_predict"}
