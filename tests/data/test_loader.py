import gc
import threading

import pytest
import torch

from fastcli.data.loader import AHEAD, Loader
from fastcli.data.plan import Batch
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline, Resize
from fastcli.transforms.transform import ItemTransform
from fastcli.types import Category, Image, Mask, typed


def make(n=10, *, batch_size=4, train=True, load=None, skip_bad=False, item_transforms=(), tier="auto", workers=None,
         **kwargs):  # fmt: skip
    items = ItemPipeline(item_transforms)
    store = Store(load or (lambda i: torch.full((3, 4, 4), i, dtype=torch.uint8)), n, uniform=not items.random,
                  skip_bad=skip_bad, tier=tier, workers=workers)  # fmt: skip
    labels = typed(torch.arange(n) * 10, Category)
    return Loader([store, labels], range(n), items=items, batches=BatchPipeline((), None), batch_size=batch_size,
                  train=train, **kwargs)  # fmt: skip


def labels_of(loader):
    return [y.tolist() for _, y in loader]


def test_an_epoch_is_a_pure_function_of_seed_and_epoch():
    loader = make(seed=1)
    first = labels_of(loader)
    assert first == labels_of(loader)
    loader.set_epoch(1)
    assert labels_of(loader) != first
    loader.set_epoch(0)
    assert labels_of(loader) == first
    assert sorted(sum(first, [])) == [i * 10 for i in range(10)]
    assert labels_of(make(seed=2)) != first


def test_validation_keeps_the_order():
    assert labels_of(make(train=False)) == [[0, 10, 20, 30], [40, 50, 60, 70], [80, 90]]


@pytest.mark.parametrize(("n", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (3, [3])])
def test_every_sample_is_trained_on_and_no_batch_has_one(n, sizes):
    loader = make(n)
    assert [len(y) for _, y in loader] == sizes
    assert len(loader) == len(sizes)


def test_batches_are_plain_floats_that_fit_their_labels():
    for x, y in make():
        assert type(x) is torch.Tensor
        assert type(y) is torch.Tensor
        torch.testing.assert_close(x[:, 0, 0, 0] * 255, y / 10.0, check_dtype=False)


def test_a_bad_picture_is_left_out_with_its_label():
    def load(i):
        if i == 3:
            raise DataError("3.png is truncated")
        return torch.full((3, 4, 4), i, dtype=torch.uint8)

    with pytest.raises(DataError, match="3.png"):
        labels_of(make(load=load))
    loader = make(load=load, skip_bad=True)
    for _ in range(2):
        seen = []
        for x, y in loader:
            torch.testing.assert_close(x[:, 0, 0, 0] * 255, y / 10.0, check_dtype=False)
            seen += y.tolist()
        assert sorted(seen) == [0, 10, 20, 40, 50, 60, 70, 80, 90]


def test_pictures_of_several_sizes_are_cut_anew_each_epoch():
    pixels = torch.arange(4 * 40, dtype=torch.uint8).view(1, 4, 40).expand(3, 4, 40).contiguous()
    loader = make(6, load=lambda i: pixels, item_transforms=[Resize(4)])
    first = torch.cat([x for x, _ in loader])
    assert first.shape == (6, 3, 4, 4)
    assert len({tuple(p.flatten().tolist()) for p in first}) > 1  # each its own draw
    assert torch.equal(first, torch.cat([x for x, _ in loader]))
    loader.set_epoch(1)
    assert not torch.equal(first, torch.cat([x for x, _ in loader]))


def threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith(("assemble", "decode"))}


def none_left(before):
    """Whether the threads that came since end by themselves; those that decode do so when their store is collected."""
    for _ in range(100):
        if threads() <= before:
            return True
        gc.collect()  # an error and the frames in its traceback hold each other
        for thread in threads() - before:
            thread.join(timeout=0.05)
    return False


def test_leaving_an_epoch_early_leaves_no_thread_waiting():
    before = threads()
    loader = make(100, batch_size=2)
    next(iter(loader))
    assert len(labels_of(loader)) == 50
    batches = iter(loader)
    next(batches)
    del loader, batches
    assert none_left(before)


def test_an_error_leaves_no_thread():
    def load(i):
        if i == 60:
            raise DataError("60.png is truncated")
        return torch.full((3, 4, 4), i, dtype=torch.uint8)

    before = threads()
    with pytest.raises(DataError, match="60.png"):
        labels_of(make(100, load=load, shuffle=False))
    assert none_left(before)
    with pytest.raises(RuntimeError, match="Expected size"):
        [x @ torch.ones(3, 3) for x, _ in make(100)]
    assert none_left(before)


def test_who_leaves_waits_for_no_picture():
    """Nothing but the pictures that are being decoded at that moment is decoded after an epoch is left."""
    calls, go = [], threading.Event()

    def load(i):
        calls.append(i)
        if i >= 4:
            go.wait(timeout=5)
        return torch.full((3, 4, 4), i, dtype=torch.uint8)

    before = threads()
    loader = make(100, load=load, shuffle=False, tier="off", workers=2)
    batches = iter(loader)
    next(batches)
    batches.close()
    go.set()
    del loader, batches
    assert none_left(before)
    assert len(calls) <= 4 + 2


@pytest.mark.parametrize("tier", ["ram", "disk", "off"])
def test_the_first_batch_waits_for_its_own_pictures_and_the_next_ones_alone(tier, tmp_path):
    go, building = threading.Event(), True

    def load(i):
        assert building or i in early or go.wait(timeout=5), "the first batch was waited for"
        return torch.full((3, 4, 4), i, dtype=torch.uint8)

    loader = make(200, load=load, tier=tier, workers=2)
    early = {item for batch in loader.plan(0)[: 1 + AHEAD] for item in batch.items}
    building = False
    batches = iter(loader)
    next(batches)
    go.set()
    assert sum(1 for _ in batches) == 49
    assert loader.stores[0].complete == (tier != "off")


def test_nothing_is_seeded_that_nobody_asks(monkeypatch):
    monkeypatch.setattr("fastcli.data.loader.generator", lambda *_: 1 / 0)
    assert [len(y) for loader in (make(), make(train=False)) for _, y in loader] == [4, 4, 2] * 2
    with pytest.raises(ZeroDivisionError):
        next(iter(make(item_transforms=[Resize(4)])))


def test_no_more_batches_are_held_than_are_needed(monkeypatch):
    loader = make(80, batch_size=2, tier="off", workers=2)
    assembled, assemble = [], loader.assemble
    monkeypatch.setattr(loader, "assemble", lambda *args: assembled.append(1) or assemble(*args))
    for taken, _ in enumerate(loader, 1):
        assert len(assembled) <= taken + AHEAD


def test_the_next_loaders_pictures_are_decoded_while_this_one_is_used():
    loader = make(40, batch_size=4, tier="ram")
    loader.indices, valid = torch.arange(8), make(40, train=False)
    valid.elements, valid.indices = loader.elements, torch.arange(8, 40)
    loader.followed_by = valid
    for _ in loader:
        while not loader.stores[0].complete:
            pass
    assert valid.elements[0].ready


def test_names_of_a_batch():
    loader = make(name_of=lambda i: f"{i}.png", train=False)
    assert loader.names(loader.plan(0)[2]) == ["8.png", "9.png"]


def test_two_stores_leave_out_each_others_bad_pictures():
    def load_without(bad):
        def load(i):
            if i == bad:
                raise DataError(f"{i}.png is truncated")
            return torch.full((3, 4, 4), i, dtype=torch.uint8)

        return load

    stores = [Store(load_without(bad), 8, uniform=True, skip_bad=True) for bad in (2, 5)]
    loader = Loader([*stores, typed(torch.arange(8), Category)], range(8), items=ItemPipeline(),
                    batches=BatchPipeline(), batch_size=4)  # fmt: skip
    for _ in range(2):
        parts = list(loader)
        assert torch.cat([y for *_, y in parts]).tolist() == [0, 1, 3, 4, 6, 7]
        for first, second, labels in parts:
            assert torch.equal(first, second)
            torch.testing.assert_close(first[:, 0, 0, 0] * 255, labels.float())


def test_a_picture_and_a_mask_of_other_size_are_told():
    pictures = Store(lambda i: torch.zeros(3, 4, 6, dtype=torch.uint8), 4, uniform=True)
    masks = Store(lambda i: torch.zeros(1, 4, 5, dtype=torch.uint8), 4, uniform=True, element=Mask)
    loader = Loader([pictures, masks], range(4), items=ItemPipeline(), batches=BatchPipeline(),
                    name_of=lambda i: f"{i}.png")  # fmt: skip
    with pytest.raises(DataError, match=r"0.png is 6 x 4 pixels, its mask is 5 x 4\nhint: give both one size"):
        next(iter(loader))


def test_views_of_several_sizes_name_two_files():
    class Widen(ItemTransform):
        random = True

        def draw(self, n, generator):
            return torch.arange(n)

        def finish(self, element, row):
            return element[..., : 2 + int(row)]

    loader = make(4, item_transforms=[Widen()], name_of=lambda i: f"{i}.png", shuffle=False)
    loader.stores[0].name_of = lambda i: f"{i}.png"
    with pytest.raises(DataError, match=r"1.png is 3 x 4 pixels, 0.png is 2 x 4\nhint: "):
        next(iter(loader))


def test_an_item_that_is_drawn_twice_has_two_views():
    pixels = torch.arange(40, dtype=torch.uint8).view(1, 1, 40).expand(3, 4, 40).contiguous()
    loader = make(2, load=lambda i: pixels, item_transforms=[Resize(4)])
    x, _ = loader.load(Batch(0, 0, (1, 1, 1, 1, 1, 1)))
    assert len({tuple(p.flatten().tolist()) for p in x}) > 1


def test_a_store_remembers_the_size_of_what_was_opened():
    items = ItemPipeline([Resize(4, method="squish")])
    picture = typed(torch.zeros(3, 8, 6, dtype=torch.uint8), Image)
    store = Store(lambda i: picture[:, : 8 - i], 3, uniform=True, prepare=lambda x: items.prepare(typed(x, Image)))
    assert store.take([1])[0].shape == (3, 4, 4)
    assert (store.canvas(1), store.canvas(2)) == ((7, 6), (6, 6))


def test_partial_epochs_and_given_weights():
    loader = make(10, weights=[0.0] * 9 + [1.0], per_epoch=3)
    assert labels_of(loader) == [[90, 90, 90]]
    assert loader.n == 3


def test_a_plan_says_which_batches_cannot_be_opened_at_all():
    def load(i):
        if i < 2:
            raise DataError(f"{i}.png is truncated")
        return torch.full((3, 4, 4), i, dtype=torch.uint8)

    loader = make(5, batch_size=2, train=False, load=load, skip_bad=True)
    planned = [(batch.items, None if parts is None else parts[1].tolist()) for batch, parts in loader.planned()]
    assert planned == [((0, 1), None), ((2, 3), [20, 30]), ((4,), [40])]
    assert labels_of(loader) == [[20, 30], [40]]
