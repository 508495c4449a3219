import pytest
import torch
from torch import nn

from fastcli.callbacks.plateau import ReduceOnPlateau
from fastcli.callbacks.record import Recorder
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fit, fit_one_cycle
from fastcli.optim.algorithms import sgd


class Scores(Callback):
    def __init__(self, losses):
        self.losses = losses

    def after_epoch(self, learner):
        learner.history[-1]["valid_loss"] = self.losses[learner.epoch]


def make(callbacks):
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (x[:, 0] > 0).long().split(4), strict=True))
    return Learner((batches, batches), nn.Linear(4, 2), nn.CrossEntropyLoss(), lambda p: sgd(p, lr=0.1),
                   callbacks=callbacks)  # fmt: skip


def rates(learner):
    return [row["lr"] for row in learner.history]


LOSSES = [3, 2, 2.5, 2.4, 2.3, 1, 1]


def test_the_rate_falls_when_there_is_no_progress():
    learner = make([Scores(LOSSES), ReduceOnPlateau(patience=1, factor=0.5)])
    learner.fit(7)
    assert rates(learner) == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.025, 0.0125, 0.0125])
    assert [group["lr"] for group in learner.optimizer.param_groups] == [0.1, 0.1]  # the next fit begins as this one


def test_patience_and_the_lowest_rate_count():
    learner = make([Scores(LOSSES), ReduceOnPlateau(patience=2, factor=0.1, min_lr=0.02)])
    learner.fit(7)
    assert rates(learner) == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.02, 0.02, 0.02])


@pytest.mark.parametrize("recipe", [fit, fit_one_cycle])
def test_what_a_schedule_sets_is_multiplied(recipe):
    plain, reduced = make([Scores(LOSSES)]), make([Scores(LOSSES), ReduceOnPlateau(patience=1, factor=0.5)])
    for learner in (plain, reduced):
        recipe(learner, 7, 0.2)
    scale = [1] * 6 + [0.5] * 2 + [0.25] * 2 + [0.125] * 4
    expected = [row[-1] * factor for row, factor in zip(plain.callback(Recorder).lrs, scale, strict=True)]
    assert [row[-1] for row in reduced.callback(Recorder).lrs] == pytest.approx(expected)


def test_a_rate_that_a_schedule_sets_below_the_lowest_is_not_raised():
    learner = make([Scores(LOSSES), ReduceOnPlateau(min_lr=0.05)])
    fit(learner, 7, 0.01)
    assert rates(learner) == pytest.approx([0.01] * 7)


def test_a_resumed_fit_goes_on(resumed):
    first = ReduceOnPlateau(patience=2, factor=0.5)
    make([Scores([1, 2, 2, 2]), first]).fit(4)
    state = first.state_dict()
    assert state.items() >= {"value": 1, "epoch": 0, "waited": 1, "scale": 0.5}.items()
    again = ReduceOnPlateau(patience=2, factor=0.5)
    learner = make([Scores([2, 2]), again, resumed(again, {**state, "set": [None] * len(state["given"])})])
    learner.fit(2)
    assert rates(learner) == pytest.approx([0.05, 0.025])
