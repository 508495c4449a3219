"""The recipe `auto`: what it chooses, that it tells it, and that it keeps to its minutes."""

import pytest
import torch

from fastcli.data.blocks import CategoryBlock, ImageBlock, RegressionBlock
from fastcli.data.datablock import DataBlock
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner import auto as module
from fastcli.learner import features
from fastcli.learner.auto import auto
from fastcli.learner.learner import Learner
from fastcli.losses import CrossEntropy
from fastcli.metrics import Mean
from fastcli.models.create import create_model
from fastcli.transforms.batch import aug_transforms
from fastcli.transforms.item import Resize

CLASSES = (CategoryBlock(), lambda path: int(path.stem) % 2)


def make(shapes, n=40, target=CLASSES, transforms=(), batch_size=8, callbacks=()):
    block = DataBlock(
        (ImageBlock(), target[0]),
        get_items=lambda root: sorted((root / "images").glob("*.png"))[:n],
        get_y=target[1],
        splitter=lambda items, labels: (list(range(n - n // 4)), list(range(n - n // 4, n))),
        item_transforms=[Resize(32, method="squish")],
        batch_transforms=transforms,
    )
    loaders = block.dataloaders(shapes, batch_size=batch_size, seed=1)
    torch.manual_seed(0)
    model = create_model("test_resnet", loaders.input, loaders.target.n_out, pretrained=False)
    model.weights = "none, but as if there were some"
    loss = CrossEntropy(2) if target is CLASSES else torch.nn.MSELoss()
    right = [Mean("accuracy", lambda logits, targets: logits.argmax(1) == targets, higher_is_better=True)]
    return Learner(loaders, model, loss, metrics=right if target is CLASSES else [], callbacks=callbacks, seed=1)


class Clock(Callback):
    """A clock that goes on by so many seconds with every batch of pictures that the body sees."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(module, "clock", lambda: self.now)

    def watch(self, learner):
        forward = learner.model.body.forward_features

        def slow(images):
            self.now += self.seconds
            return forward(images)

        learner.model.body.forward_features = slow
        return learner


def test_it_tells_and_keeps_what_it_chose(shapes):
    learner = make(shapes)
    auto(learner, lr=1e-2)
    assert learner.chosen == {"views": 1, "head_passes": 50, "body": "all", "body_epochs": 5}
    assert len(learner.notes) == 2
    assert "an epoch of all of it takes about" in learner.notes[1]
    assert "the head errs on" in learner.notes[1]
    best = min(row["valid_loss"] for row in learner.history)
    assert learner.validate()["valid_loss"] == pytest.approx(best, 1e-4)
    assert not [c for c in learner.callbacks if type(c).__name__ in ("KeepBest", "Deadline")]


def test_it_does_what_it_is_told(shapes):
    learner = make(shapes)
    auto(learner, lr=1e-2, head_passes=4, body="none", views=1)
    assert learner.chosen == {"views": 1, "head_passes": 4, "body": "none", "body_epochs": 0}
    assert len(learner.history) == 4
    body = make(shapes).model.body.state_dict()
    assert all(torch.equal(value, body[name]) for name, value in learner.model.body.state_dict().items())


def test_few_pictures_are_seen_in_several_views_where_views_differ(shapes):
    learner = make(shapes, transforms=aug_transforms())
    auto(learner, head_passes=4, body="none")
    assert learner.chosen["views"] == 4
    assert "4 random views of each picture" in learner.notes


def test_what_memory_does_not_hold_is_not_kept(shapes, monkeypatch):
    row, n = 4 * make(shapes).model.head[0].num_features, 30
    for kept, free in ((2, 2.5), (0, 0.5)):
        monkeypatch.setattr(features, "available_memory", lambda free=free: int(free * row * n / features.SHARE))
        learner = make(shapes, transforms=aug_transforms())
        auto(learner, body="none")
        assert learner.chosen["views"] == kept
        assert f"memory holds the features of {kept or 'no'} views of each picture, not of 4" in learner.notes
    assert learner.chosen["head_passes"] == len(learner.history) == 1


def test_minutes_end_everything_and_there_is_always_a_validation(shapes, monkeypatch):
    clock = Clock(monkeypatch, seconds=10)
    learner = clock.watch(make(shapes))
    auto(learner, minutes=0.5)
    assert clock.now == 50  # three of four batches, and a validation of two
    assert len(learner.history) == 1
    assert learner.chosen["body"] == "none"
    assert "the minutes were over" in " ".join(learner.notes)
    assert learner.chosen["head_passes"] == 1  # so that a training that is resumed passes by no fit that was not run


def test_what_minutes_leave_is_spent_on_the_body(shapes, monkeypatch):
    spent = {}
    for minutes in (2.0, 6.0, 30.0):
        clock = Clock(monkeypatch, seconds=10)
        learner = clock.watch(make(shapes))
        auto(learner, minutes=minutes, head_passes=4)
        spent[minutes] = learner.chosen["body"], learner.chosen["body_epochs"], clock.now <= 60 * minutes + 20
    assert spent[2.0] == ("none", 0, True)
    assert spent[6.0] == ("all", 1, True)
    assert spent[30.0] == ("all", 5, True)


def test_an_epoch_of_the_body_that_is_too_long_is_ended_where_the_minutes_are_over(shapes, monkeypatch):
    clock = Clock(monkeypatch, seconds=1)
    learner = clock.watch(make(shapes))
    auto(learner, minutes=0.3, head_passes=4, body="all", body_epochs=50)
    assert clock.now <= 18 + 3
    assert len(learner.history) < 10


@pytest.mark.parametrize(("error", "seconds", "body"), [(0.01, 10, "none"), (0.01, 1, "all"), (0.1, 10, "all"),
                                                        (None, 10, "all")])  # fmt: skip
def test_a_slow_body_is_trained_where_the_head_errs(shapes, monkeypatch, error, seconds, body):
    learner, best = make(shapes), module.KeepBest()
    best.error, best.seconds = error, seconds
    module._choose_body(learner, best, module.Deadline(float("inf")), None, None)
    assert learner.chosen == {"body": body, "body_epochs": 0 if body == "none" else 3 if seconds == 1 else 1}


def test_the_body_is_left_when_it_gains_nothing(shapes, monkeypatch):
    monkeypatch.setattr(module, "MOST_EPOCHS", 50)
    learner = make(shapes)

    class Worse(Callback):
        order = 70

        def after_epoch(self, learner):
            learner.scores["valid_loss"] = float(learner.global_epoch)

    learner.callbacks.append(Worse())
    auto(learner, head_passes=4, body="all", body_epochs=50)
    assert len(learner.history) == 4 + module.PATIENCE


@pytest.mark.parametrize("batch_size", [6, 2])
def test_eight_pictures_are_enough_to_run(shapes, batch_size):
    learner = make(shapes, n=8, batch_size=batch_size, transforms=aug_transforms())
    auto(learner, head_passes=6)
    assert learner.chosen["views"] == 4
    assert all(row["valid_loss"] < float("inf") for row in learner.history)


def test_numbers_have_no_share_of_errors_so_the_body_is_trained(shapes):
    learner = make(shapes, target=(RegressionBlock(), lambda path: int(path.stem) / 40))
    auto(learner, head_passes=4)
    assert learner.chosen["body"] == "all"
    assert "errs" not in " ".join(learner.notes)


def test_a_body_that_is_not_pretrained_is_told(shapes):
    learner = make(shapes)
    learner.model.weights = None
    auto(learner, head_passes=4, body="none")
    assert "the body is not pretrained" in learner.notes[0]


def test_without_validation_data_and_without_a_body_it_refuses(shapes):
    learner = make(shapes)
    learner.model = torch.nn.Flatten()
    with pytest.raises(ConfigError, match="no frozen body"):
        auto(learner)
    learner.valid_loader = None
    with pytest.raises(ConfigError, match="needs validation data"):
        auto(learner)
    assert not [c for c in learner.callbacks if type(c).__name__ in ("KeepBest", "Deadline")]
