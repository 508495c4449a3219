"""Batches on a stream of their own. There need not be a GPU: streams are stood for by what each of them knows of."""

import contextlib

import pytest
import torch

from fastcli.data import side_stream
from fastcli.data.loader import Loader
from fastcli.data.side_stream import a_step_ahead
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.transforms.batch import BatchPipeline, aug_transforms
from fastcli.transforms.item import ItemPipeline
from fastcli.types import Category, Image, typed


class Stream:
    """Does nothing, but knows what work is done before whatever it is given next."""

    def __init__(self, device=None):
        self.knows = set()

    def work(self, name):
        self.knows.add(name)

    def wait_stream(self, other):
        self.knows |= other.knows

    def wait_event(self, event):
        self.knows |= event

    def record_event(self):
        return frozenset(self.knows)


class Gpu:
    """What torch.cuda is asked for."""

    def __init__(self, monkeypatch):
        self.loop = self.now = Stream()
        self.beside = None
        self.kept = []
        monkeypatch.setattr(torch.cuda, "Stream", self.new)
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.now)
        monkeypatch.setattr(torch.cuda, "default_stream", lambda device: self.loop)
        monkeypatch.setattr(side_stream, "on_gpu", lambda tensor: True)
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: self.kept.append((tensor, stream)))

    def new(self, device):
        self.beside = Stream()
        return self.beside

    @contextlib.contextmanager
    def on(self, stream):
        before, self.now = self.now, stream
        try:
            yield
        finally:
            self.now = before


@pytest.fixture
def gpu(monkeypatch):
    return Gpu(monkeypatch)


def run(gpu, n, log):
    """Steps of a loop over `n` batches; `log` notes what is done in the order of the host."""

    def made():
        for k in range(n):
            gpu.now.work(f"made {k}")
            yield k, [torch.tensor([k])]

    def finish(item):
        k, (tensor,) = item
        assert gpu.now is gpu.beside
        assert f"made {k}" in gpu.now.knows
        gpu.now.work(f"finished {k}")
        log.append(f"finish {k}")
        return k, (tensor + 10,)

    for k, (tensor,) in a_step_ahead(made(), finish, torch.device("cuda")):
        assert gpu.now is gpu.loop
        assert f"finished {k}" in gpu.loop.knows
        assert tensor.item() == k + 10
        log.append(f"step {k}")
        gpu.loop.work(f"step {k}")


def test_the_next_batch_is_begun_before_a_step_and_a_step_waits_for_its_own_alone(gpu):
    log = []
    run(gpu, 3, log)
    assert log == ["finish 0", "finish 1", "step 0", "finish 2", "step 1", "step 2"]
    assert "step 0" in gpu.beside.knows  # batch 2 may be made of what was on the loop's stream by then
    assert "step 1" not in gpu.beside.knows  # nobody waits for the step that is running


@pytest.mark.parametrize("n", [0, 1])
def test_short_epochs(gpu, n):
    log = []
    run(gpu, n, log)
    assert log == ["finish 0", "step 0"][: 2 * n]


def test_memory_is_kept_until_the_other_stream_is_done_with_it(gpu):
    run(gpu, 2, [])
    assert [(tensor.item(), stream is gpu.loop) for tensor, stream in gpu.kept] == [
        (0, False), (1, False), (10, True), (11, True),
    ]  # fmt: skip


def loader(*, tier="ram", n=11, load=None, train=True, **options):
    pixels = torch.randint(0, 256, (n, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    store = Store(load or pixels.__getitem__, n, uniform=True, tier=tier, **options)
    elements, batches = [store, typed(torch.arange(n), Category)], BatchPipeline(aug_transforms(size=8, min_scale=0.6))
    return Loader(elements, range(n), items=ItemPipeline(), batches=batches, batch_size=4, train=train, seed=3)


@pytest.fixture
def pretend(gpu, monkeypatch):
    """Loaders take their device for a GPU; what is pinned is told."""
    told = []
    monkeypatch.setattr(Loader, "_on_gpu", property(lambda self: True))
    monkeypatch.setattr(side_stream, "on_gpu", lambda tensor: False)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: told.append(type(tensor)) or tensor.clone())
    return told


@pytest.mark.parametrize("tier", ["ram", "off"])
@pytest.mark.parametrize("first", [0, 2])
def test_pixels_and_draws_are_those_of_a_loader_without_a_gpu(request, tier, first):
    def epochs():
        found, made = [], loader(tier=tier)
        for epoch in range(3):
            made.set_epoch(epoch)
            found += made.starting_at(first)
        return found

    plain = epochs()
    pinned = request.getfixturevalue("pretend")
    ahead = epochs()
    assert len(ahead) == len(plain) == 3 * (3 - first)
    for one, other in zip(plain, ahead, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        assert one[0].stride() == other[0].stride()
    assert {Image, Category} == set(pinned)


def test_what_is_kept_on_the_gpu_is_gathered_there(pretend):
    made = loader()
    list(made)
    made.stores[0].tier = "device"
    pretend.clear()
    assert len(list(made)) == 3
    assert pretend == []


def test_a_picture_that_cannot_be_read_ends_the_epoch_and_can_be_left_out(pretend):
    def load(i):
        if i == 3:
            raise DataError("3.png is truncated")
        return torch.full((3, 12, 12), i, dtype=torch.uint8)

    with pytest.raises(DataError, match="3.png"):
        list(loader(load=load))
    labels = torch.cat([y for _, y in loader(load=load, skip_bad=True, train=False)])
    assert labels.tolist() == [0, 1, 2, *range(4, 11)]
