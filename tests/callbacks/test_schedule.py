"""Schedules of any hyperparameter, and torch's schedulers, in a fit."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from fastcli.callbacks.schedule import HyperparameterSchedule, Scheduler, TorchScheduler
from fastcli.errors import ConfigError
from fastcli.events import Callback, CancelStep
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fit_one_cycle
from fastcli.optim import torch_optimizers
from fastcli.optim.algorithms import adam, lion, sgd
from fastcli.optim.schedules import linear
from fastcli.registry import callbacks, optimizers


class Watch(Callback):
    """Notes the hyperparameters of the last param group that decays at every step."""

    def __init__(self):
        self.seen = []

    def before_step(self, learner):
        group = [group for group in learner.optimizer.param_groups if group["decays"]][-1]
        self.seen.append({name: value for name, value in group.items() if name != "params"})

    def of(self, name):
        return [numbers[name] for numbers in self.seen]


def fit(*extra, optimizer=adam, epochs=1, run=None):
    """The learner and what was seen of ten steps an epoch."""
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (x.sum(1) > 0).long().split(4), strict=True))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    watch = Watch()
    learner = Learner((batches, batches[:1]), model, nn.CrossEntropyLoss(), optimizer, callbacks=[*extra, watch])
    (run or (lambda learner: learner.fit(epochs)))(learner)
    return learner, watch


def test_any_hyperparameter_goes_from_start_to_end():
    schedule = callbacks.build("schedule", hyperparameter="weight_decay", shape="cosine", start=0.1, end=0.01)
    learner, watch = fit(schedule, epochs=2)
    wanted = [0.1 + (1 - math.cos(math.pi * i / 20)) * (0.01 - 0.1) / 2 for i in range(20)]
    assert watch.of("weight_decay") == pytest.approx(wanted, rel=1e-5)
    assert {group["weight_decay"] for group in learner.optimizer.param_groups if not group["decays"]} == {0.0}


def test_shapes_follow_one_another():
    parts = [
        {"share": 0.2, "shape": "linear", "start": 0, "end": 0.1},
        {"share": 0.3, "shape": "constant", "start": 0.1},
        {"share": 0.5, "shape": "polynomial", "start": 0.1, "end": 0, "power": 3},
    ]
    _, watch = fit(callbacks.build("schedule", hyperparameter="eps", parts=parts))
    wanted = [0, 0.05, 0.1, 0.1, 0.1, *(0.1 - 0.1 * (i / 5) ** 3 for i in range(5))]
    assert watch.of("eps") == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["lr", "momentum"])
def test_what_a_user_schedules_stays_whatever_the_recipe_does(name):
    schedule = HyperparameterSchedule(name, "linear", 0.5, 0.7)
    _, watch = fit(schedule, run=lambda learner: fit_one_cycle(learner, 1, 0.1))
    assert watch.of(name) == pytest.approx([0.5 + 0.02 * i for i in range(10)])


@pytest.mark.parametrize(("name", "hint"), [("weigth_decay", "did you mean 'weight_decay'?"), ("momentun", "momentum")])
def test_an_unknown_hyperparameter_is_told_before_the_fit(name, hint):
    watch = Watch()
    with pytest.raises(ConfigError, match=f"'{name}' cannot be scheduled") as error:
        fit(HyperparameterSchedule(name, "linear", 0, 1), watch)
    assert hint in error.value.hint
    assert watch.seen == []


def test_momentum_is_told_too_where_there_is_none_but_may_be_optional():
    with pytest.raises(ConfigError, match="'momentum' cannot be scheduled"):
        fit(HyperparameterSchedule("momentum", "linear", 0, 1), optimizer=sgd)
    _, watch = fit(Scheduler({"momentum": linear(0, 1)}, optional=["momentum"]), optimizer=sgd)
    assert "momentum" not in watch.seen[0]


@pytest.mark.parametrize(
    "numbers",
    [{}, {"end": 1.0}, {"parts": []}, {"start": 1.0, "parts": [{"share": 1.0, "start": 0, "shape": "constant"}]}],
)
def test_a_schedule_needs_its_values_once(numbers):
    with pytest.raises(ConfigError, match="has no values, or has them twice"):
        HyperparameterSchedule("lr", **numbers)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"shape": "cosin", "start": 0, "end": 1}, "parameter 'shape'"),
        ({"parts": [{"share": 0.5, "start": 0, "ende": 1}]}, "parts.0.ende"),
        ({"parts": [{"share": 1.5, "start": 0, "end": 1}]}, "parts.0.share"),
        ({"parts": [{"share": 0.5, "start": 0, "end": 1}]}, "do not divide a fit"),
        ({"shape": "exponential", "start": 0, "end": 1}, "both must be above 0"),
    ],
)
def test_yaml_is_checked(numbers, message):
    with pytest.raises(ConfigError, match=message):
        callbacks.build("schedule", hyperparameter="lr", **numbers)


@pytest.mark.parametrize("name", ["torch_nadam", "lion", "torch_adamw"])
def test_momentum_and_beta2_are_scheduled_by_these_names_in_all_optimizers(name):
    schedule = HyperparameterSchedule("beta2", "linear", 0.5, 0.9)
    _, watch = fit(schedule, optimizer=partial(optimizers.build, name))
    assert watch.of("beta2") == pytest.approx([0.5 + 0.04 * i for i in range(10)])


def test_timms_momentum_is_scheduled():
    schedule = HyperparameterSchedule("momentum", "linear", 0.5, 0.9)
    learner, _ = fit(schedule, optimizer=partial(torch_optimizers.timm_optimizer, algorithm="adan"))
    assert learner.optimizer.param_groups[0]["betas"] == pytest.approx((0.86, 0.92, 0.99))


def test_torchs_scheduler_steps_with_the_optimizer():
    _, watch = fit(TorchScheduler(lambda o: lr_scheduler.ExponentialLR(o, 0.5)), optimizer=lion)
    assert watch.of("lr") == pytest.approx([1e-4 * 0.5**i for i in range(10)])
    _, watch = fit(TorchScheduler(lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=11)))
    assert min(watch.of("momentum")) == pytest.approx(0.85, abs=1e-2)


def test_torchs_scheduler_steps_with_the_epoch():
    _, watch = fit(TorchScheduler(lambda o: lr_scheduler.StepLR(o, 2, 0.1), every="epoch"), epochs=3, optimizer=lion)
    assert watch.of("lr")[::10] == pytest.approx([1e-4, 1e-4, 1e-5])


def test_a_step_that_is_put_off_is_no_step_of_torchs_scheduler():
    class Every(Callback):
        def before_step(self, learner):
            if learner.iteration % 2 == 0:
                raise CancelStep

    learner, _ = fit(TorchScheduler(lambda o: lr_scheduler.ExponentialLR(o, 0.5)), Every(), optimizer=lion)
    assert learner.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4 * 0.5**5)


def test_torchs_scheduler_goes_on_from_its_state(resumed):
    def new():
        return TorchScheduler(lambda o: lr_scheduler.CosineAnnealingLR(o, 20))

    first = new()
    learner, watch = fit(first, run=lambda learner: learner.fit(1))
    again = new()
    learner.callbacks = [again, watch, resumed(again, {**first.state_dict(), "steps": 0})]
    learner.fit(1)
    wanted = [1e-3 * (1 + math.cos(math.pi * i / 20)) / 2 for i in range(20)]
    assert watch.of("lr") == pytest.approx(wanted, abs=1e-9)


def test_two_schedules_of_the_rate_are_refused():
    scheduler = TorchScheduler(lambda o: lr_scheduler.ExponentialLR(o, 0.5))
    with pytest.raises(ConfigError, match="two schedules"):
        fit(scheduler, run=lambda learner: fit_one_cycle(learner, 1, 0.1))
    with pytest.raises(ConfigError, match="wants a metric"):
        fit(TorchScheduler(lr_scheduler.ReduceLROnPlateau))
