import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fastcli.callbacks.checkpoint import Checkpoint
from fastcli.callbacks.ema import EMA
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.lr_find import lr_find
from fastcli.optim.algorithms import sgd
from fastcli.run.checkpoint import Checkpoints


class Watch(Callback):
    """Keeps the model after every step, and what it is validated with."""

    order = 99

    def __init__(self):
        self.steps, self.validated = [], []

    def before_fit(self, learner):
        self.steps.append(copy.deepcopy(learner.model.state_dict()))

    def after_step(self, learner):
        self.steps.append(copy.deepcopy(learner.model.state_dict()))

    def before_validate(self, learner):
        self.validated.append(copy.deepcopy(learner.model.state_dict()))


def make(callbacks):
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (x[:, 0] > 0).long().split(4), strict=True))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    return Learner((batches, batches), model, nn.CrossEntropyLoss(), lambda p: sgd(p, lr=0.5), callbacks=callbacks)


def close(first, second):
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name])


def averaged(steps, decay, warm_up=True):
    """The formula, step by step."""
    average = {name: tensor.clone() for name, tensor in steps[0].items()}
    for k, state in enumerate(steps[1:]):
        kept = min(decay, (1 + k) / (10 + k)) if warm_up else decay
        for name, tensor in state.items():
            own = "running" in name or "tracked" in name
            average[name] = tensor if own else kept * average[name] + (1 - kept) * tensor
    return average


def test_the_average_is_that_of_the_formula_and_is_validated_and_left_in_the_model():
    watch = Watch()
    learner = make([EMA(0.5), watch])
    learner.fit(2)
    close(averaged(watch.steps[:7], 0.5), watch.validated[0])
    close(averaged(watch.steps, 0.5), watch.validated[1])
    close(learner.model.state_dict(), watch.validated[1])
    assert learner.validate()["valid_loss"] == pytest.approx(learner.history[-1]["valid_loss"])
    close(learner.weights(), learner.model.state_dict())


def test_without_warm_up_it_equals_torchs():
    class Torchs(Callback):
        def before_fit(self, learner):
            self.model = AveragedModel(learner.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
            self.model.n_averaged += 1  # torch's first update copies; ours averages with where the fit began

        def after_step(self, learner):
            self.model.update_parameters(learner.model)

    theirs = Torchs()
    learner = make([EMA(0.9, warm_up=False), theirs])
    learner.fit(2)
    for ours, parameter in zip(learner.model.parameters(), theirs.model.module.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter)


def test_training_itself_is_not_changed():
    with_average, without = Watch(), Watch()
    make([EMA(0.9), with_average]).fit(2)
    make([without]).fit(2)
    for first, second in zip(with_average.steps, without.steps, strict=True):
        close(first, second)


def test_best_is_the_average_and_last_what_training_goes_on_with(tmp_path):
    watch = Watch()
    store = Checkpoints(tmp_path)
    learner = make([EMA(0.9), watch, Checkpoint(store, "valid_loss", about={})])
    learner.fit(1)
    close(watch.validated[0], store.load("best").tensors)
    close(watch.steps[-1], store.load("last").tensors)


def test_a_second_fit_starts_from_the_average():
    watch = Watch()
    learner = make([EMA(0.9), watch])
    learner.model[0].requires_grad_(False)
    learner.fit(1)
    end = copy.deepcopy(learner.model.state_dict())
    learner.model[0].requires_grad_(True)
    watch.steps.clear()
    learner.fit(1)
    close(end, watch.steps[0])
    close(averaged(watch.steps, 0.9), learner.model.state_dict())


def test_weights_unfrozen_during_the_fit_are_averaged_from_then_on():
    class Unfreeze(Callback):
        def before_epoch(self, learner):
            learner.model[0].requires_grad_(learner.epoch > 0)

    watch = Watch()
    learner = make([EMA(0.5, warm_up=False), Unfreeze(), watch])
    learner.model[0].requires_grad_(False)
    learner.fit(2)
    expected = averaged(watch.steps[6:], 0.5, warm_up=False)
    torch.testing.assert_close(learner.model[0].weight.detach(), expected["0.weight"])


@pytest.mark.parametrize("event", ["after_loss", "before_validate", "after_epoch"])
def test_an_error_leaves_the_average_and_a_plain_learner(event):
    def fail(self, learner):
        if not learner.training:
            raise ValueError("boom")

    watch = Watch()
    learner = make([EMA(0.9), watch, type("Fail", (Callback,), {event: fail, "order": 30})()])
    with pytest.raises(ValueError, match="boom"):
        learner.fit(1)
    close(averaged(watch.steps, 0.9), learner.model.state_dict())
    close(learner.weights(), learner.model.state_dict())


def test_its_state_goes_on(resumed):
    first = EMA(0.9)
    make([first]).fit(1)
    state = copy.deepcopy(first.state_dict())
    assert state["steps"] == 6
    again, watch = EMA(0.9), Watch()
    learner = make([again, watch, resumed(again, state)])
    learner.fit(1)
    expected = state["average"]
    for k, weights in enumerate(watch.steps[1:]):
        kept = min(0.9, (7 + k) / (16 + k))
        expected = {name: kept * tensor + (1 - kept) * weights[name] for name, tensor in expected.items()}
    close(expected, learner.model.state_dict())
    close(expected, again.state_dict()["average"])


def test_a_search_for_a_rate_does_without():
    ema = EMA(0.9)
    learner = make([ema])
    before = copy.deepcopy(learner.model.state_dict())
    lr_find(learner, steps=30)
    assert ema.steps == 0
    close(before, learner.model.state_dict())
