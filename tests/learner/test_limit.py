import pytest
import torch
from torch import nn

from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.save import CSVLogger
from fastcli.callbacks.stop import EarlyStopping
from fastcli.data.tensors import DataLoader
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.limit import decode, measure, peak_memory


class Count(nn.Module):
    """A model that counts its steps by the size of what it is given."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen, self.modes, self.layouts = nn.Conv2d(3, 2, 3), [], [], []

    def forward(self, x):
        self.seen.append(len(x))
        self.modes.append((self.training, torch.is_autocast_enabled("cpu")))
        self.layouts.append(x.is_contiguous(memory_format=torch.channels_last))
        return self.layer(x).mean((2, 3))


def make(callbacks=(), n=48, batch_size=8):
    x, y = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 2
    loader = DataLoader(torch.utils.data.TensorDataset(x, y), batch_size, shuffle=True)
    torch.manual_seed(0)
    return Learner((loader, loader), Count(), nn.CrossEntropyLoss(), callbacks=callbacks)


def test_training_and_bare_steps_take_turns_on_as_many_batches():
    learner = make()
    speed = measure(learner, "whole", steps=4, blocks=2)
    assert (speed.phase, speed.batch_size, speed.steps) == ("whole", 8, 4)
    warm, bare, trained = 4, 3, 4 * 4
    assert len(learner.model.seen) == warm + bare + trained
    assert set(learner.model.seen) == {8}
    assert min(speed.limit, speed.training, speed.first) > 0
    assert len(speed.ratios) == 2
    assert 0 <= speed.wait < 1


def test_an_epoch_that_is_shorter_is_taken_whole():
    assert measure(make(n=20), steps=50, blocks=1).steps == 3


def test_bare_steps_have_the_precision_layout_and_mode_of_the_training():
    learner = make([MixedPrecision("bf16"), ChannelsLast()])
    measure(learner, steps=2, blocks=2)
    assert set(learner.model.modes) == {(True, True)}
    assert set(learner.model.layouts) == {True}


def test_weights_stay_in_place_and_nothing_is_recorded_written_or_validated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Refuse(Callback):
        def before_validate(self, learner):
            raise AssertionError

    learner = make([CSVLogger(), EarlyStopping(patience=1), Refuse()])
    before, random = [p.detach().clone() for p in learner.model.parameters()], torch.get_rng_state()
    measure(learner, steps=3, blocks=2)
    for old, new in zip(before, learner.model.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-6, rtol=0)
    assert learner.history == []
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), random)
    assert len(learner.callbacks) == 5


def test_every_block_trains_on_the_same_batches():
    class Keep(Callback):
        def __init__(self):
            self.first = []

        def after_loss(self, learner):
            if learner.batch_index == 0:
                self.first.append(learner.targets.tolist())

    keep = Keep()
    measure(make([keep]), steps=2, blocks=3)
    assert len(keep.first) == 4
    assert len({tuple(targets) for targets in keep.first}) == 1


class Store:
    n, tier = 130, "ram"

    def __init__(self):
        self.known = set()

    @property
    def complete(self):
        return len(self.known) == self.n

    def read(self, indices):
        self.known.update(indices)


def test_pictures_are_decoded_before_they_are_timed_unless_that_takes_long():
    loader = type("Loader", (), {"stores": [Store(), Store()]})()
    assert decode(loader)
    assert all(store.complete for store in loader.stores)
    loader = type("Loader", (), {"stores": [Store()]})()
    assert not decode(loader, seconds=-1)
    assert decode(object())


def test_the_peak_memory_of_a_process_is_at_least_what_it_holds():
    kept = torch.ones(30 * 2**20)
    most = peak_memory(torch.device("cpu"))
    assert most is None or most >= kept.nbytes


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_there_is_a_ratio_for_every_block(blocks):
    assert len(measure(make(), steps=1, blocks=blocks).ratios) == blocks
