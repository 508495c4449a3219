import pytest
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.events import (
    PHASES,
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    CancelStep,
    CancelTrain,
    CancelValidate,
)
from fastcli.learner.inference import predictions
from fastcli.learner.learner import Learner


def data(n=40, batch_size=8):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=random)
    y = (x.sum(1) > 0).long()
    batches = [(x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, n, batch_size)]
    return batches, batches[:2]


def make(callbacks=(), **kwargs):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    return Learner(data(), model, nn.CrossEntropyLoss(), callbacks=callbacks, **kwargs)


class Listen(Callback):
    order = 99

    def __init__(self):
        self.heard = []


for _event in (
    *(f"{w}_{p}" for p in PHASES for w in ("before", "after")),
    "after_predict",
    "after_loss",
    "cleanup_fit",
):
    setattr(Listen, _event, lambda self, learner, _e=_event: self.heard.append(_e))


def test_events_nest_in_order():
    listen = Listen()
    make([listen]).fit(1)
    assert listen.heard[:4] == ["before_fit", "before_epoch", "before_train", "before_batch"]
    batch = ["before_batch", "after_predict", "after_loss", "before_backward", "after_backward", "before_step",
             "after_step", "after_batch"]  # fmt: skip
    assert listen.heard[3:11] == batch
    assert listen.heard[-4:] == ["after_validate", "after_epoch", "after_fit", "cleanup_fit"]
    assert listen.heard.count("after_step") == 5


@pytest.mark.parametrize(
    ("event", "cancel", "missing", "present"),
    [
        ("after_loss", CancelBatch, "after_step", "after_validate"),
        ("before_batch", CancelTrain, "after_step", "after_validate"),
        ("after_batch", CancelEpoch, "before_validate", "after_fit"),
        ("before_step", CancelFit, "before_validate", "after_train"),
        ("before_validate", CancelValidate, "nothing", "after_epoch"),
    ],
)
def test_every_phase_that_began_ends(event, cancel, missing, present):
    def raise_(self, learner):
        if learner.training or cancel is CancelValidate:
            raise cancel

    listen = Listen()
    learner = make([type("Canceller", (Callback,), {event: raise_})(), listen])
    learner.fit(2)
    assert missing not in listen.heard
    assert present in listen.heard
    for phase in PHASES:
        assert listen.heard.count(f"before_{phase}") == listen.heard.count(f"after_{phase}")


def test_a_cancel_outside_its_phase_is_a_bug_that_is_told():
    class Wrong(Callback):
        def after_validate(self, learner):
            raise CancelTrain

    with pytest.raises(RuntimeError, match="CancelTrain was raised where its phase was not running"):
        make([Wrong()]).fit(1)


def test_a_phase_may_be_cancelled_from_its_own_end():
    class End(Callback):
        def after_epoch(self, learner):
            raise CancelEpoch

    learner = make([End()])
    assert len(learner.fit(2)) == 2


def test_cleanup_runs_when_an_error_passes():
    class Fail(Callback):
        def after_loss(self, learner):
            raise RuntimeError("boom")

    listen = Listen()
    with pytest.raises(RuntimeError, match="boom"):
        make([Fail(), listen]).fit(1)
    assert listen.heard[-1] == "cleanup_fit"


def test_accumulating_by_cancelling_steps_equals_the_large_batch():
    class Accumulate(Callback):
        def before_backward(self, learner):
            learner.backward_loss = learner.backward_loss / 5

        def before_step(self, learner):
            if learner.batch_index < 4:
                raise CancelStep

    from fastcli.optim.algorithms import sgd

    def trained(loaders, callbacks=()):
        torch.manual_seed(0)
        model = nn.Linear(4, 2)
        Learner(loaders, model, nn.CrossEntropyLoss(), lambda p: sgd(p, lr=0.5), callbacks=callbacks).fit(1)
        return model.weight

    small, valid = data()
    large = [tuple(torch.cat(parts) for parts in zip(*small, strict=True))]
    torch.testing.assert_close(trained((small, valid), [Accumulate()]), trained((large, valid)))


def test_a_callback_may_rewrite_the_batch_and_the_prediction():
    class Zero(Callback):
        def before_batch(self, learner):
            learner.inputs = (learner.inputs[0] * 0,)

        def after_predict(self, learner):
            self.seen = learner.inputs[0].abs().sum().item()
            learner.prediction = learner.prediction * 0

    zero = Zero()
    learner = make([zero])
    learner.fit(1)
    assert zero.seen == 0
    assert learner.history[0]["train_loss"] == pytest.approx(0.6931, abs=1e-4)


def test_history_holds_means_over_samples():
    learner = make()
    learner.fit(2)
    first, second = learner.history
    assert (first["epoch"], second["epoch"]) == (0, 1)
    assert set(first) == {"epoch", "train_loss", "valid_loss", "lr", "img_per_s", "wait", "time"}
    assert 0 <= first["wait"] <= 1
    expected = learner.validate()["valid_loss"]
    assert second["valid_loss"] == pytest.approx(expected)


def test_same_seed_same_weights_and_global_random_state_untouched():
    def run():
        learner = make(seed=3)
        torch.manual_seed(11)
        before = torch.get_rng_state()
        learner.fit(2)
        assert torch.equal(before, torch.get_rng_state())
        return torch.cat([p.flatten() for p in learner.model.parameters()])

    assert torch.equal(run(), run())


def test_frozen_body_is_in_eval_and_keeps_its_statistics():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
            self.head = nn.Linear(4, 2)

        def layer_groups(self):
            return [list(self.body.parameters()), list(self.head.parameters())]

        def forward(self, x):
            return self.head(self.body(x))

    learner = Learner(data(), Net(), nn.CrossEntropyLoss())
    learner.freeze()
    learner.fit(1)
    norm = learner.model.body[1]
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert norm.weight.grad is None
    learner.freeze(norms="train")
    assert norm.weight.requires_grad
    assert not learner.model.body[0].weight.requires_grad
    learner.fit(1)
    assert not torch.equal(norm.running_mean, torch.zeros(4))
    learner.unfreeze(norms="freeze")
    assert [p.requires_grad for p in learner.model.parameters()] == [True, True, False, False, True, True]
    statistics = norm.running_mean.clone()
    learner.fit(1)
    assert torch.equal(norm.running_mean, statistics)
    learner.unfreeze()
    assert all(p.requires_grad for p in learner.model.parameters())


def test_predictions_come_in_order():
    learner = make()
    logits, targets = predictions(learner, activate=False)[:2]
    assert logits.shape == (16, 2)
    assert torch.equal(targets, torch.cat([y for _, y in data()[1]]))


class Ask(Callback):
    """Asks for predictions and a validation in the middle of a fit."""

    def __init__(self, event):
        self.asked, self.asking = 0, False
        setattr(self, event, self.ask)

    def ask(self, learner):
        if not self.asking:
            self.asked, self.asking = self.asked + 1, True
            predictions(learner)
            learner.validate()
            self.asking = False


@pytest.mark.parametrize("event", ["before_backward", "after_step", "after_train", "after_epoch"])
def test_a_pass_in_the_middle_of_a_fit_changes_nothing_of_it(event):
    """It once left the recorder unheard for the rest of the fit, and the learner out of training."""
    plain, asking, ask = make(), make(), Ask(event)
    plain.fit(2)
    asking.fit(2, callbacks=[ask])
    assert ask.asked > 1
    columns = ("epoch", "train_loss", "valid_loss")
    assert [[row[c] for c in columns] for row in asking.history] == [[row[c] for c in columns] for row in plain.history]
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), asking.model.parameters(), strict=True))


def test_a_callback_that_fails_to_clean_up_keeps_no_other_from_it():
    class Fails(Callback):
        def cleanup_fit(self, learner):
            raise OSError("the disk is full")

    listen = Listen()
    with pytest.raises(OSError, match="full"):
        make([Fails(), listen]).fit(1)
    assert listen.heard[-1] == "cleanup_fit"


def test_what_a_callback_sets_for_the_forward_pass_ends_with_the_fit():
    """A precision that was given to one fit was once that of all later ones."""

    class Double(Callback):
        def before_fit(self, learner):
            learner.forward_context = torch.autocast("cpu", torch.bfloat16)

    class Look(Callback):
        def after_predict(self, learner):
            self.dtype = learner.prediction.dtype

    learner, look = make(), Look()
    learner.fit(1, callbacks=[Double(), look])
    assert look.dtype == torch.bfloat16
    learner.fit(1, callbacks=[look])
    assert look.dtype == torch.float32


def test_a_users_own_kind_of_cancel_is_as_wide_as_its_base():
    class Enough(CancelFit):
        pass

    class First(Callback):
        def after_batch(self, learner):
            raise Enough

    class Second(Callback):
        def after_batch(self, learner):
            raise CancelBatch

    learner = make([First(), Second()])
    learner.fit(3)
    assert learner.global_step == 1


def test_a_learner_without_validation_says_so():
    learner = Learner((data()[0], None), nn.Linear(4, 2), nn.CrossEntropyLoss())
    learner.fit(1)
    assert "valid_loss" not in learner.history[0]
    for ask in (learner.validate, lambda: predictions(learner)):
        with pytest.raises(ConfigError, match="nothing to validate on"):
            ask()
