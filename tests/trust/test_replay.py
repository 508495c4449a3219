"""A training that is killed at any event and resumed ends as the one that was never interrupted, bit for bit.

The kill is an exception that nothing catches, so that many can be tried in a second; `test_kill.py` sends signals.
"""

import copy
import os
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from fastcli.callbacks.checkpoint import Checkpoint
from fastcli.callbacks.ema import EMA
from fastcli.callbacks.epochs import ProgressiveResize, ShortEpoch
from fastcli.callbacks.gradients import Accumulate, ClipGradients
from fastcli.callbacks.mix import CutMix, MixUp
from fastcli.callbacks.modes import FreezeBatchNorm, McDropout
from fastcli.callbacks.plateau import ReduceOnPlateau
from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.record import Recorder
from fastcli.callbacks.save import CSVLogger, SaveModel
from fastcli.callbacks.schedule import HyperparameterSchedule, TorchScheduler
from fastcli.callbacks.smoothing import LabelSmoothing
from fastcli.callbacks.stop import EarlyStopping
from fastcli.errors import ConfigError, FastcliError
from fastcli.events import EVENTS, Callback, CancelFit
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fine_tune, fit
from fastcli.losses import CrossEntropy
from fastcli.optim.algorithms import adam, sgd
from fastcli.optim.lookahead import ranger
from fastcli.run.checkpoint import Checkpoints

WALL_CLOCK = {"img_per_s", "wait", "time"}


class Kill(BaseException):
    """The end, that nothing catches."""


class Killer(Callback):
    """Counts events and ends everything at one of them, first or last among those who hear it."""

    def __init__(self, at=None, order=-2000):
        self.at, self.heard, self.names = at, 0, []
        self.orders = dict.fromkeys(EVENTS, order)

    def hear(self, event):
        self.names.append(event)
        self.heard += 1
        if self.heard - 1 == self.at:
            raise Kill


for _event in EVENTS:
    if _event != "cleanup_fit":  # a dead process cleans nothing up
        setattr(Killer, _event, lambda self, learner, _e=_event: self.hear(_e))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, 2))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 2))

    def layer_groups(self):
        return [list(self.body.parameters()), list(self.head.parameters())]

    def forward(self, x):
        return self.head(self.body(x).amax((2, 3)))


def data(n=18):
    numbers = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    x = torch.rand(n, 3, 12, 12, generator=numbers) + y.reshape(-1, 1, 1, 1) * 0.1
    return list(zip(x.split(4), y.split(4), strict=True))


class Draws(Callback):
    """A plugin's: it draws from torch's own generator where it likes, and keeps what it drew by itself."""

    def __init__(self):
        self.drawn = []

    def before_fit(self, learner):
        self.at_start = float(torch.rand(()))

    def after_epoch(self, learner):
        if learner.epoch_done:
            self.drawn.append(float(torch.rand(())) + self.at_start)
            learner.history[-1]["drawn"] = self.drawn[-1]

    def before_validate(self, learner):
        learner.loss_noise = float(torch.rand(()))

    def after_validate(self, learner):
        learner.scores["noise"] = learner.loss_noise

    def state_dict(self):
        return {"drawn": list(self.drawn)}

    def load_state_dict(self, state):
        self.drawn = list(state["drawn"])


class StopsInTheMiddle(Callback):
    """Ends the second fit within an epoch, for good."""

    def after_batch(self, learner):
        if learner.training and len(learner.done) == 1 and learner.epoch == 1 and learner.batch_index == 2:
            raise CancelFit


def two_epochs(learner):
    fine_tune(learner, 2, 1, lr=0.02, freeze_bn=False)


def frozen_norms(learner):
    fine_tune(learner, 2, 1, lr=0.02)


def constant(learner):
    fit(learner, 4, lr=0.05)


def torchs(learner):
    learner.fit(2, callbacks=[TorchScheduler(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 9))])


def amsgrad(parameters, lr):
    return torch.optim.AdamW(parameters, lr, amsgrad=True)


SCENARIOS = {
    "plain": (two_epochs, list, {}),
    "ema and accumulation": (two_epochs, lambda: [EMA(0.8), Accumulate(8), ClipGradients(0.5)], {}),
    "mixup": (frozen_norms, lambda: [MixUp(), LabelSmoothing(0.1)], {}),
    "bf16": (two_epochs, lambda: [MixedPrecision("bf16"), ChannelsLast(), CutMix()], {}),
    "fp16": (two_epochs, lambda: [MixedPrecision("fp16"), Accumulate(8)], {}),
    "early stopping": (constant, lambda: [EarlyStopping(patience=1, min_delta=0.1)], {}),
    "reduce on plateau": (constant, lambda: [ReduceOnPlateau(patience=1, factor=0.5, min_delta=0.1)], {}),
    "a schedule of torch": (torchs, lambda: [FreezeBatchNorm(weights=True)], {"optimizer": sgd}),
    "files": (two_epochs, lambda: [SaveModel(load_best=True), CSVLogger()], {"optimizer": ranger}),
    "short and small": (frozen_norms, lambda: [ShortEpoch(0.5), ProgressiveResize(multiple=4),
                        HyperparameterSchedule("weight_decay", start=0.1, end=0.0)], {}),
    "draws": (two_epochs, lambda: [Draws(), McDropout(2)], {}),
    "a fit cut short": (two_epochs, lambda: [StopsInTheMiddle(), EMA(0.9)], {}),
    "torch's optimizer": (two_epochs, list, {"optimizer": amsgrad}),
}  # fmt: skip


class Training:
    """One scenario in a folder, begun or resumed."""

    def __init__(self, folder, scenario, every_minutes=0.0):
        self.folder, self.every_minutes = folder, every_minutes
        self.recipe, self.callbacks, self.options = SCENARIOS[scenario]

    def run(self, killer):
        """Begin, or go on from what is in the folder; the learner at the end, or None when it was killed."""
        torch.manual_seed(0)
        store = Checkpoints(self.folder / "checkpoints", keep_best=2)
        saves = Checkpoint(store, "valid_loss", every_minutes=self.every_minutes, about={})
        optimizer = self.options.get("optimizer", adam)
        learner = Learner((data(), data(10)), Net(), CrossEntropy(2), lambda p: optimizer(p, lr=0.02),
                          callbacks=[*self.callbacks(), saves, killer], seed=3)  # fmt: skip
        learner.directory = self.folder
        if list(self.folder.glob("checkpoints/last*.json")):
            learner.resume(store.load("last").state)
        torch.manual_seed(random.getrandbits(30))  # the state of the process that goes on is another
        try:
            self.recipe(learner)
        except Kill:
            return None
        assert learner.resumed is None
        return learner


def summary(learner):
    """Everything that must be equal, with tensors."""
    recorder = learner.callback(Recorder)
    rows = [{key: value for key, value in row.items() if key not in WALL_CLOCK} for row in learner.history]
    optimizer = learner.optimizer.state_dict()
    kept = [callback.state_dict() for callback in learner.callbacks if not isinstance(callback, Recorder | CSVLogger)]
    return copy.deepcopy(
        [learner.model.state_dict(), optimizer, rows, recorder.losses, recorder.lrs, recorder.iters, kept, learner.done,
         learner.global_step, learner.global_epoch]
    )  # fmt: skip


def equal(first, second):
    """Whether two nested values are the same, to the last bit."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second or (first != first and second != second)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Nobody pulls the plug here: what is written need not be on the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(params=SCENARIOS, ids=lambda name: name.replace(" ", "-"))
def scenario(request):
    return request.param


def files(folder):
    """The plain files that a scenario writes besides checkpoints, and the best."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}
    best = Checkpoints(folder / "checkpoints").available()
    return found, {name: (record.sha256, record.value) for name, record in best.items() if name.startswith("best")}


def test_killed_at_any_event_it_ends_as_if_it_had_not_been(tmp_path, scenario):
    moments = Killer()
    whole = Training(tmp_path / "whole", scenario).run(moments)
    expected, expected_files = summary(whole), files(tmp_path / "whole")
    numbers = random.Random(scenario)
    first_of_each = {moments.names.index(name) for name in set(moments.names)}
    last_of_each = {len(moments.names) - 1 - moments.names[::-1].index(name) for name in set(moments.names)}
    some = {*numbers.sample(range(moments.heard), 8)}
    for at in sorted({*numbers.sample(sorted(first_of_each | last_of_each), 8), *some}):
        training = Training(tmp_path / str(at), scenario, every_minutes=numbers.choice([0.0, 0.0, 60.0]))
        assert training.run(Killer(at, order=numbers.choice([-2000, 2000]))) is None
        kills = 0
        while numbers.random() < 0.3 and kills < 3:  # and again on the way
            kills += training.run(Killer(numbers.randrange(1, 40))) is None
        resumed = training.run(Killer())
        assert equal(summary(resumed), expected), f"killed at {moments.names[at]}, event {at}"
        assert files(tmp_path / str(at)) == expected_files


@pytest.mark.parametrize("scenario", ["ema and accumulation"])
def test_killed_at_any_move_of_a_file_during_a_save(tmp_path, scenario, monkeypatch):
    expected = summary(Training(tmp_path / "whole", scenario).run(Killer()))
    moves, last = 0, 0
    move = Path.replace

    def counted(source, target):
        nonlocal moves
        moves += 1
        if moves == last:
            raise Kill
        return move(source, target)

    monkeypatch.setattr(Path, "replace", counted)
    for at in (1, 2, 3, 4, 5, 6, 7, 8, 9, 40, 41, 42, 43, 44, 45, 46, 47, 90, 91, 92, 93):
        training = Training(tmp_path / str(at), scenario)
        moves, last = 0, at
        assert training.run(Killer()) is None
        last = 0
        assert equal(summary(training.run(Killer())), expected), f"killed at move {at}"


def test_another_training_is_not_gone_on_with(tmp_path):
    training = Training(tmp_path, "early stopping")
    assert training.run(Killer(60)) is None
    training.callbacks = list
    with pytest.raises(ConfigError, match="a training with the callback EarlyStopping, which is missing now"):
        training.run(Killer())
    training.options = {"optimizer": sgd}
    with pytest.raises(FastcliError, match="another optimizer"):
        training.run(Killer())


def test_a_recipe_that_runs_another_way_is_told(tmp_path):
    training = Training(tmp_path, "plain")
    assert training.run(Killer(100)) is None
    training.recipe = lambda learner: fine_tune(learner, 2, 3)
    with pytest.raises(ConfigError, match="asks for 3 epochs where it had 1"):
        training.run(Killer())


def test_what_a_recipe_chose_stays_chosen(tmp_path):
    told = []

    def choosing(learner):
        learner.freeze()
        fit(learner, 1, lr=0.01)
        learner.unfreeze()
        told.append((learner.choose("epochs", 1 + len(told), "so many"), list(learner.notes)))
        fit(learner, learner.chosen["epochs"] + 1, lr=0.01)

    training = Training(tmp_path, "plain")
    training.recipe = choosing
    assert training.run(Killer(150)) is None
    assert len(training.run(Killer()).history) == 3
    assert told == [(1, ["so many"]), (1, [])]
