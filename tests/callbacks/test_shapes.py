import pytest
import torch
from torch import nn

from fastcli.callbacks.epochs import ProgressiveResize
from fastcli.callbacks.precision import ChannelsLast
from fastcli.callbacks.shapes import StaticShapes, has_static_shapes
from fastcli.learner.inference import predictions
from fastcli.learner.learner import Learner
from fastcli.metrics.classification import accuracy
from fastcli.metrics.counts import f_beta
from fastcli.optim.algorithms import sgd
from fastcli.types import TargetInfo

CATEGORY = TargetInfo("category", 3)


class Net(nn.Module):
    """Notes the shapes that it is given."""

    def __init__(self, norm=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), norm or nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head, self.seen, self.last = nn.Linear(4 * 9, 3), [], None

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        self.last = images.is_contiguous(memory_format=torch.channels_last)
        return self.head(self.body(images))


def batches(*sizes):
    random = torch.Generator().manual_seed(len(sizes))
    return [(torch.randn(n, 3, 8, 8, generator=random), torch.arange(n) % 3) for n in sizes]


def make(callbacks=(), net=None, train=(8, 8, 5), valid=(8, 8, 3), loss=None):
    torch.manual_seed(0)
    loss = loss or nn.CrossEntropyLoss()
    metrics = [accuracy(CATEGORY), f_beta(CATEGORY, 1.0)]
    return Learner((batches(*train), batches(*valid)), net or Net(), loss, lambda p: sgd(p, lr=0.1), metrics=metrics,
                   callbacks=callbacks)  # fmt: skip


def numbers(learner):
    return [[row[name] for name in ("train_loss", "valid_loss", "accuracy", "f_beta")] for row in learner.history]


def test_loss_and_metrics_of_a_filled_batch_are_those_of_its_real_samples():
    plain, filled = make(), make([StaticShapes()])
    plain.fit(2)
    filled.fit(2)
    assert plain.model.seen[-1][0] == 3
    assert {shape[0] for shape in filled.model.seen[3:6]} == {8}  # validation
    assert [shape[0] for shape in filled.model.seen[:3]] == [8, 8, 5]  # training has no copies
    assert numbers(filled) == [pytest.approx(row, abs=1e-6) for row in numbers(plain)]
    assert filled.validate() == pytest.approx(plain.validate(), abs=1e-6)


def test_other_callbacks_see_the_real_samples_alone():
    assert len(predictions(make([StaticShapes()]), batches(8, 3))[0]) == 11


def test_a_filled_batch_keeps_its_memory_layout():
    learner = make([StaticShapes(), ChannelsLast()])
    learner.fit(1)
    assert learner.model.seen[-1][0] == 8
    assert learner.model.last


def test_norms_that_look_at_the_batch_in_validation_are_not_given_copies():
    torch.manual_seed(0)
    net = Net(nn.BatchNorm2d(4, track_running_stats=False))
    plain, filled = make([], net), make([StaticShapes()], net)
    assert filled.validate() == plain.validate()
    assert filled.model.seen[-1][0] == 3


class Pairs(nn.Module):
    """Says one thing of all its samples together beside what it says of each."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, images):
        scores = self.net(images)
        return scores, scores.mean()


def test_outputs_that_belong_to_no_sample_are_computed_from_the_real_ones():
    def loss(prediction, targets):
        return nn.functional.cross_entropy(prediction[0], targets) + prediction[1]

    net = Pairs()
    learners = [make(callbacks, net, loss=loss) for callbacks in ([], [StaticShapes()])]
    for learner in learners:
        learner.metrics = []
    assert learners[1].validate() == learners[0].validate()


def test_a_compiled_model_runs_as_written_for_a_smaller_batch_of_training():
    learner = make([StaticShapes(compiled=True)])
    compiled = []

    def backend(graph, example):
        compiled.append(tuple(example[-1].shape) if example[-1].ndim == 4 else None)
        return graph.forward

    learner.model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    learner.layer_groups = [list(learner.model.parameters())]
    learner.model.compile(backend=backend, dynamic=False)
    learner.fit(2)
    torch.compiler.reset()
    assert len(compiled) == 2  # for training and for validation


def test_validation_of_a_compiled_model_has_the_batches_that_it_was_compiled_for():
    learner = make([StaticShapes(compiled=True)], valid=(3,))
    learner.valid_loader = Sized(learner.valid_loader)
    assert learner.validate() == pytest.approx(make(valid=(3,)).validate(), abs=1e-6)
    assert learner.model.seen == [(8, 3, 8, 8)]


class Sized(list):
    """A list of batches that says how large they are."""

    batch_size = 8


def test_shapes_change_where_images_grow_or_stand_alone():
    assert has_static_shapes(make())
    assert not has_static_shapes(make([ProgressiveResize()]))
    learner = make()
    learner.train_loader = type("Loader", (), {"batch_size": 1})()
    assert not has_static_shapes(learner)
