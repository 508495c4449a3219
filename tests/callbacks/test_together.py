"""Callbacks that change one step in turn, and all of them by their names in YAML."""

import math

import pytest
import torch
from torch import nn

from fastcli.callbacks.ema import EMA
from fastcli.callbacks.gradients import Accumulate, ClipGradients
from fastcli.callbacks.mix import MixUp
from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.record import Recorder
from fastcli.components import COMPONENT_MODULES, load_components
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.lr_find import lr_find
from fastcli.learner.recipes import fine_tune, fit_one_cycle
from fastcli.losses import CrossEntropy
from fastcli.optim.algorithms import adam

NAMES = {
    "accumulate": {"items": 8}, "activation_stats": {"every": 2, "file": "stats.json"}, "channels_last": {},
    "clip_gradients": {"max_norm": 0.5}, "csv_logger": {}, "cutmix": {}, "early_stopping": {"patience": 1},
    "ema": {"decay": 0.9}, "freeze_batch_norm": {}, "gather_predictions": {"file": "predictions.safetensors"},
    "label_smoothing": {"amount": 0.2}, "mc_dropout": {"passes": 2}, "mixup": {"alpha": 0.2},
    "progressive_resize": {"start": 0.5, "multiple": 8}, "reduce_on_plateau": {}, "save_model": {"load_best": True},
    "short_epoch": {"pct": 0.5}, "terminate_on_nan": {},
}  # fmt: skip


class Net(nn.Module):
    """A small picture model of two layer groups."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 2))

    def layer_groups(self):
        return [list(self.body.parameters()), list(self.head.parameters())]

    def forward(self, x):
        return self.head(self.body(x).amax((2, 3)))


def make(callbacks, folder=None, n=44):
    random = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    x = torch.rand(n, 3, 16, 16, generator=random) * 0.2 + y.reshape(-1, 1, 1, 1) * 0.3
    batches = list(zip(x.split(4), y.split(4), strict=True))
    torch.manual_seed(0)
    learner = Learner((batches, batches), Net(), CrossEntropy(2), lambda p: adam(p, lr=0.02), callbacks=callbacks)
    learner.directory = folder or learner.directory
    return learner


class Norms(Callback):
    order = 50

    def __init__(self):
        self.norms = []

    def before_step(self, learner):
        self.norms.append(torch.cat([p.grad.flatten() for p in learner.model.parameters()]).norm().item())


def composed(precision, epochs=4):
    norms, ema = Norms(), EMA(0.8)
    chosen = [MixedPrecision(precision)] if precision != "fp32" else []
    learner = make([ema, ClipGradients(0.5), MixUp(), norms, Accumulate(8), ChannelsLast(), *chosen])
    fit_one_cycle(learner, epochs, 0.05)
    return learner, norms.norms, ema


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_mixed_precision_mixup_accumulation_clipping_and_averaging_go_together(precision):
    learner, norms, ema = composed(precision)
    exact, _, _ = composed("fp32")
    recorder = learner.callback(Recorder)
    assert learner.step == len(norms) == ema.steps == 4 * 6  # of 11 batches two and two, and the one left
    assert len(recorder.losses) == len(recorder.lrs) == 44
    finite = [norm for norm in norms if math.isfinite(norm)]
    assert max(finite) <= 0.5005
    assert len(norms) - len(finite) <= (
        2 if precision == "fp16" else 0
    )  # steps that the scaler skips to find its scale
    assert recorder.losses[0] == pytest.approx(exact.callback(Recorder).losses[0], rel=0.01)
    assert learner.history[-1]["valid_loss"] < 0.8 * learner.history[0]["valid_loss"]
    assert learner.history[-1]["valid_loss"] == pytest.approx(exact.history[-1]["valid_loss"], rel=0.25)
    for name, tensor in ema.state_dict()["average"].items():
        torch.testing.assert_close(learner.model.state_dict()[name], tensor)
        assert tensor.dtype == torch.float32
    assert learner.validate()["valid_loss"] == pytest.approx(learner.history[-1]["valid_loss"], rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_name_for_yaml_and_trains(name, tmp_path):
    registry = load_components()["callback"]
    assert registry[name].__doc__
    learner = make([registry.build(name, **NAMES[name])], tmp_path, n=12)
    fine_tune(learner, 2)
    assert all(math.isfinite(row["train_loss"]) for row in learner.history)
    again = registry.build(name, **NAMES[name])
    again.load_state_dict(learner.callbacks[-1].state_dict())  # what a checkpoint keeps
    make([again], tmp_path, n=12).fit(1)
    assert type(learner.weights()) is dict
    assert not hasattr(learner.model.body[0], "hooks")
    assert not learner.model.body[0]._forward_hooks


def test_a_search_for_a_rate_is_disturbed_by_none():
    registry = load_components()["callback"]
    for name, params in NAMES.items():
        learner = make([registry.build(name, **params)])
        assert len(lr_find(learner, steps=30, stop_on_divergence=False).lrs) >= (15 if name == "accumulate" else 30)
        assert learner.history == []


def test_a_misspelt_parameter_is_answered():
    with pytest.raises(ConfigError, match="no parameter 'apha'") as raised:
        load_components()["callback"].build("mixup", apha=1.0)
    assert "alpha" in raised.value.hint


def test_every_module_of_callbacks_with_a_name_is_listed():
    registered = {component.__module__ for component in load_components()["callback"]._components.values()}
    assert {module for module in registered if module.startswith("fastcli.")} <= set(COMPONENT_MODULES)
