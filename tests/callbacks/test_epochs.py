from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fastcli.callbacks.epochs import ProgressiveResize, ShortEpoch
from fastcli.callbacks.gradients import Accumulate
from fastcli.callbacks.precision import ChannelsLast
from fastcli.callbacks.record import Recorder
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fit_one_cycle
from fastcli.types import TargetInfo


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.conv(x).mean((2, 3)))


class Watch(Callback):
    orders = {"before_batch": 90}

    def __init__(self):
        self.train, self.valid, self.progress = [], [], []

    def before_batch(self, learner):
        (self.train if learner.training else self.valid).append((learner.inputs[0], learner.targets))
        self.progress.append(learner.progress)


def make(callbacks, n=20, size=(96, 64), masks=False):
    x = torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(0))
    y = torch.arange(n) % 2
    y = (x[:, 0] > 0.5).long() if masks else y
    batches = list(zip(x.split(2), y.split(2), strict=True))
    torch.manual_seed(0)
    model = nn.Conv2d(3, 2, 1) if masks else Net()
    return Learner((batches, batches[:4]), model, nn.CrossEntropyLoss(), callbacks=callbacks)


@pytest.mark.parametrize(("pct", "train", "valid"), [(0.01, 1, 1), (0.25, 3, 1), (0.5, 5, 2), (1.0, 10, 4)])
def test_an_epoch_ends_early(pct, train, valid):
    watch = Watch()
    learner = make([ShortEpoch(pct), watch])
    learner.fit(2)
    assert (len(watch.train), len(watch.valid)) == (2 * train, 2 * valid)
    assert learner.step == 2 * train
    assert len(learner.history) == 2


def test_validation_may_be_whole():
    watch = Watch()
    make([ShortEpoch(0.1, valid=False), watch]).fit(1)
    assert (len(watch.train), len(watch.valid)) == (1, 4)


def test_schedules_run_over_the_short_epochs():
    watch = Watch()
    learner = make([ShortEpoch(0.2), watch])
    fit_one_cycle(learner, 5, 0.1)
    assert [row[-1] for row in learner.callback(Recorder).lrs] == pytest.approx(short_reference(), rel=1e-5)


def short_reference():
    """What a loader of two batches gives."""
    learner = make([])
    learner.train_loader = learner.train_loader[:2]
    fit_one_cycle(learner, 5, 0.1)
    return [row[-1] for row in learner.callback(Recorder).lrs]


def test_a_short_epoch_steps_what_was_accumulated():
    learner = make([ShortEpoch(0.5), Accumulate(4)])
    learner.fit(1)
    assert learner.step == 3


def test_images_grow_from_epoch_to_epoch():
    watch = Watch()
    make([ProgressiveResize(start=0.5, until=0.75, multiple=16), ChannelsLast(), watch], n=2).fit(5)
    assert [tuple(x.shape[-2:]) for x, _ in watch.train] == [(48, 32), (64, 48), (80, 48), (96, 64), (96, 64)]
    assert {tuple(x.shape[-2:]) for x, _ in watch.valid} == {(96, 64)}
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x, _ in watch.train)


def test_the_last_epoch_sees_full_size_though_it_be_the_only_one():
    watch = Watch()
    make([ProgressiveResize(start=0.25, until=1.0), watch], n=2).fit(3)
    assert [tuple(x.shape[-2:]) for x, _ in watch.train] == [(32, 32), (64, 32), (96, 64)]
    watch = Watch()
    make([ProgressiveResize(), watch], n=2).fit(1)
    assert watch.train[0][0].shape[-2:] == (96, 64)


def test_smaller_images_are_means_of_larger_ones_and_masks_follow():
    watch = Watch()
    learner = make([ProgressiveResize(start=0.5, multiple=2), watch], n=2, size=(8, 8), masks=True)
    x = torch.zeros(2, 3, 8, 8)
    x[..., 4:] = 1
    mask = torch.zeros(2, 8, 8, dtype=torch.int64)
    mask[..., 4:] = 1
    learner.train_loader = [(x, mask)]
    learner.fit(2)
    images, masks = watch.train[0]
    assert (masks == torch.tensor([0, 0, 1, 1])).all()
    assert masks.dtype == torch.int64
    assert masks.shape == (2, 4, 4)
    torch.testing.assert_close(images.mean((0, 1, 2)), torch.tensor([0.0, 0.125, 0.875, 1.0]), atol=0.05, rtol=0)
    assert watch.train[1][1] is mask


def test_boxes_which_are_in_pixels_are_refused():
    learner = make([ProgressiveResize()])
    learner.loaders = SimpleNamespace(target=TargetInfo("boxes", 4))
    with pytest.raises(ConfigError, match="does not fit a boxes target"):
        learner.fit(1)
