"""A training step never waits for a device: the whole loop on one whose tensors have shapes and no numbers to read."""

import contextlib

import pytest
import torch
from torch import nn

from fastcli.callbacks import precision, record, stop
from fastcli.callbacks.ema import EMA
from fastcli.callbacks.gradients import ClipGradients
from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.shapes import StaticShapes
from fastcli.callbacks.stop import TerminateOnNaN
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fit_one_cycle
from fastcli.metrics.classification import accuracy
from fastcli.metrics.counts import f_beta
from fastcli.optim.algorithms import adam, sgd
from fastcli.types import TargetInfo

DEVICE = torch.device("meta")
INFO = TargetInfo("category", 2)


@pytest.fixture
def once_an_epoch(monkeypatch):
    """What is read from the device when an epoch's training or validation is over, which this test is not about."""
    monkeypatch.setattr(record._Losses, "read", lambda self: torch.zeros(len(self._losses)))
    monkeypatch.setattr(TerminateOnNaN, "after_train", lambda self, learner: None)
    for metric in (accuracy(INFO), f_beta(INFO, 1.0)):
        monkeypatch.setattr(type(metric), "compute", lambda self: 0.0)
    monkeypatch.setattr(precision, "autocast", lambda *given: contextlib.nullcontext())  # there is none for it


def train(callbacks, optimizer=adam):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    batches = [
        (torch.empty(n, 3, 8, 8, device=DEVICE), torch.empty(n, dtype=torch.int64, device=DEVICE)) for n in (8, 8, 5)
    ]
    learner = Learner((batches, batches), model, nn.CrossEntropyLoss(), optimizer, device=DEVICE, callbacks=callbacks,
                      metrics=[accuracy(INFO), f_beta(INFO, 1.0)])  # fmt: skip
    fit_one_cycle(learner, 2, 0.1)
    return learner


@pytest.mark.parametrize("optimizer", [adam, sgd])
@pytest.mark.parametrize("extra", [[], [ChannelsLast(), MixedPrecision("bf16")], [ClipGradients(), EMA()]])
def test_neither_training_nor_validation_reads_a_number(once_an_epoch, extra, optimizer):
    assert train([StaticShapes(), TerminateOnNaN(), *extra], optimizer).global_step == 6


def test_losses_are_looked_at_together():
    assert stop.EVERY >= 50


@pytest.mark.parametrize("read", [
    lambda learner: learner.loss.item(), lambda learner: learner.loss.cpu(), lambda learner: bool(learner.loss > 0),
    lambda learner: learner.loss.detach().tolist(), lambda learner: learner.inputs[0][learner.targets > 0],
], ids=["item", "cpu", "bool", "tolist", "mask"])  # fmt: skip
def test_what_reads_would_be_found(once_an_epoch, read):
    class Reading(Callback):
        def after_loss(self, learner):
            read(learner)

    with pytest.raises((RuntimeError, NotImplementedError)):
        train([Reading()])
