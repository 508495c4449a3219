import gc
import threading
import weakref
from concurrent.futures import CancelledError
from weakref import WeakKeyDictionary

import pytest
import torch

from fastcli.data import memory, tiers
from fastcli.data.seeding import generator
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.types import Image, Mask

UNSEEN = 1
"""An item that a store of forty does not look at when it is made."""


def picture(i, size=(3, 4, 5)):
    return torch.full(size, i, dtype=torch.uint8)


def counting(load):
    calls = []

    def counted(i):
        calls.append(i)
        return load(i)

    return counted, calls


@pytest.mark.parametrize("tier", ["ram", "disk", "device"])
@pytest.mark.parametrize("uniform", [True, False])
def test_every_tier_gives_the_same_pixels_and_decodes_once(tier, uniform, tmp_path):
    load, calls = counting(lambda i: picture(i, (3, 4, 5) if uniform else (3, 4 + i, 5)))
    store = Store(load, 60, uniform=uniform, tier=tier, cache_folder=tmp_path, workers=2)
    for _ in range(2):
        pixels = store.take([4, 0, 4])
        assert [int(p[0, 0, 0]) for p in pixels] == [4, 0, 4]
        assert all(isinstance(p, Image) for p in pixels)
        assert pixels[0].shape == ((3, 4, 5) if uniform else (3, 8, 5))
    assert {0, 4} <= set(calls) < set(range(60))
    assert not store.complete
    store.take(range(60))
    assert store.complete
    assert sorted(calls) == list(range(60))
    assert list(tmp_path.iterdir()) == []  # the mapped file has no name


def test_off_decodes_anew_each_time():
    load, calls = counting(picture)
    store = Store(load, 3, uniform=True, tier="off")
    store.take([1])
    store.take([1])
    assert calls == [1, 1]
    assert not store.complete


def test_gather_is_one_typed_batch_in_channels_last_memory():
    store = Store(picture, 5, uniform=True, tier="ram")
    for _ in range(2):
        batch = store.gather([3, 1])
        assert isinstance(batch, Image)
        assert batch.shape == (2, 3, 4, 5)
        assert batch[:, 0, 0, 0].tolist() == [3, 1]
        assert batch.is_contiguous(memory_format=torch.channels_last)
        store.take(range(5))


def test_sizes_that_differ_are_told_with_the_remedy():
    def load(i):
        return picture(i, (3, 4 + i, 5))

    told = r"1.png is 5 x 5 pixels, 0.png is 5 x 4\nhint: .*resize"
    with pytest.raises(DataError, match=told):
        Store(load, 2, uniform=True, tier="ram", workers=1, name_of=lambda i: f"{i}.png")
    with pytest.raises(DataError, match=told):
        Store(load, 2, uniform=True, tier="off", name_of=lambda i: f"{i}.png").gather([0, 1])


def broken(i):
    if i % 2:
        raise DataError(f"{i}.jpg is truncated")
    return picture(i)


def test_a_bad_item_is_an_error_or_is_listed():
    with pytest.raises(DataError, match=r"1.jpg is truncated"):
        Store(broken, 4, uniform=True, tier="ram").take([0, 1])
    store = Store(broken, 4, uniform=True, tier="ram", skip_bad=True)
    assert [int(p[0, 0, 0]) for p in store.take([0, 1, 2, 3])] == [0, 2]
    assert store.bad == {1: "1.jpg is truncated", 3: "3.jpg is truncated"}
    assert store.complete
    assert store.gather([1, 2]).shape[0] == 1
    assert store.gather([1, 3]).shape[0] == 0


@pytest.mark.parametrize("tier", ["auto", "ram", "disk", "off"])
def test_nothing_but_bad_items(tier, tmp_path):
    def load(i):
        raise DataError(f"{i}.jpg is truncated")

    store = Store(load, 3, uniform=True, tier=tier, skip_bad=True, cache_folder=tmp_path, key=lambda: "key")
    assert store.take([0, 1, 2]) == []
    assert store.gather([1]).shape[0] == 0
    assert len(store.bad) == 3
    store.close()
    assert not list(tmp_path.glob("*.pixels"))


def test_auto_takes_ram_where_it_fits_and_streams_where_not(monkeypatch):
    assert Store(picture, 100, uniform=True).tier == "ram"
    monkeypatch.setattr(tiers, "available_memory", lambda: 1000)
    assert Store(picture, 100, uniform=True, epochs=1).tier == "off"


def test_threads_that_ask_for_the_same_item_get_one_copy():
    asked = threading.Barrier(2)
    calls = []

    def load(i):
        if i == UNSEEN:
            calls.append(i)
            asked.wait(timeout=5)
        return picture(i)

    store = Store(load, 40, uniform=True, tier="ram", workers=2)
    first = threading.Thread(target=store.take, args=([UNSEEN],))
    first.start()
    while not calls:
        pass
    second = threading.Thread(target=store.take, args=([UNSEEN],))
    second.start()
    asked.wait(timeout=5)
    first.join()
    second.join()
    assert int(store.take([UNSEEN])[0][0, 0, 0]) == UNSEEN
    assert calls == [UNSEEN]


def pictures(uniform):
    """Twenty pictures with pixels of their own, of one size or of several."""
    random = torch.Generator().manual_seed(0)
    sizes = [(3, 9, 7) if uniform else (3, 5 + i % 4, 6 + i % 3) for i in range(20)]
    return [torch.randint(0, 256, size, dtype=torch.uint8, generator=random) for size in sizes]


BAD = {3, 11, 12}


def in_threads(function, n=4):
    threads = [threading.Thread(target=function, args=(k,)) for k in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("element", [Image, Mask])
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("tier", ["ram", "device", "off", "disk", "kept", "reused"])
def test_tiers_agree_for_threads_that_ask_at_random(tier, uniform, workers, element, tmp_path):
    originals = [p if element is Image else p[:1] for p in pictures(uniform)]
    seen = []

    def load(i):
        if i in BAD:
            raise DataError(f"{i}.png is truncated")
        return originals[i]

    def make(tier):
        named, key = ("disk", "key") if tier in ("kept", "reused") else (tier, None)
        return Store(load, 20, uniform=uniform, tier=named, element=element, workers=workers, skip_bad=True,
                     cache_folder=tmp_path, key=lambda: key)  # fmt: skip

    def ask(seed):
        for asked in torch.stack([torch.randperm(20, generator=generator(seed, k))[:9] for k in range(5)]).tolist():
            good = [i for i in asked if i not in BAD]
            taken = store.take(asked)
            seen.extend(type(pixels) is element for pixels in taken)
            seen.extend(torch.equal(pixels, originals[i]) for i, pixels in zip(good, taken, strict=True))
            seen.append(not uniform or torch.equal(store.gather(asked), torch.stack([originals[i] for i in good])))

    if tier == "reused":
        kept(make("kept"))
    store = make(tier)
    assert store.reused == (tier == "reused")
    in_threads(ask)
    store.take(range(20))
    ask(9)
    assert len(seen) > 200
    assert all(seen)
    assert set(store.bad) == BAD
    assert store.complete == (tier != "off")
    assert [store.canvas(i) for i in (0, 4)] == [tuple(originals[i].shape[-2:]) for i in (0, 4)]


def kept(store):
    """The store, complete and with its file under its name."""
    store.take(range(store.n))
    store.close()
    return store


def test_items_that_nobody_uses_are_not_waited_for():
    store = Store(picture, 6, uniform=True, tier="ram", used=[0, 2, 5])
    store.take([5, 0, 2])
    assert store.complete
    assert store.gather([2, 3, 0])[:, 0, 0, 0].tolist() == [2, 3, 0]


@pytest.mark.parametrize("uniform", [True, False])
def test_what_does_not_fit_is_decoded_anew_and_told(uniform, monkeypatch):
    """The sample says that all fit; then come larger pictures."""

    def load(i):
        return picture(i, (3, 4, 5) if uniform or i % 4 == 0 else (3, 40, 50))

    monkeypatch.setattr(tiers, "available_memory", lambda: 60 * 64 * 5)
    load, calls = counting(load)
    store = Store(load, 64, uniform=uniform, workers=2)
    assert store.tier == "ram"
    for _ in range(2):
        assert [int(p[0, 0, 0]) for p in store.take(range(64))] == list(range(64))
    assert store._shelf.taken <= 0.4 * 60 * 64 * 5
    assert store.complete == uniform
    assert bool(store.notes) == (len(calls) > 64) == (not uniform)


def test_memory_that_one_store_will_fill_is_not_promised_to_another(monkeypatch):
    monkeypatch.setattr(memory, "_promised", WeakKeyDictionary())
    monkeypatch.setattr(memory, "_system_memory", lambda: 18_000)
    monkeypatch.setattr(memory, "_cgroup_memory", lambda: 18_000)
    first, second = (Store(picture, 100, uniform=True, epochs=1) for _ in range(2))
    assert (first.tier, second.tier) == ("ram", "off")
    del first
    gc.collect()
    assert Store(picture, 100, uniform=True, epochs=1).tier == "ram"


def test_pixels_go_with_their_store_at_once():
    store = Store(picture, 40, uniform=True, tier="ram", workers=2)
    with store.ahead(range(40)):
        store.take(range(40))
    store.close()
    left = weakref.ref(store._shelf)
    gc.disable()
    try:
        del store
        assert left() is None
    finally:
        gc.enable()


def test_pictures_are_decoded_ahead_while_that_is_wanted():
    load, calls = counting(picture)
    store = Store(load, 40, uniform=True, tier="ram", workers=2)
    measured = len(calls)
    with store.ahead(reversed(range(40))):
        while not store.complete:
            pass
    assert sorted(calls) == list(range(40))
    assert calls[measured : measured + 10] != sorted(calls[measured : measured + 10])
    store = Store(picture, 40, uniform=True, tier="ram")
    with store.ahead([]), store.ahead(range(0)):
        assert not store.complete


def test_a_bad_item_ahead_is_told_when_it_is_asked_for():
    store = Store(lambda i: broken(i) if i == UNSEEN else picture(i), 40, uniform=True, tier="ram", workers=1)
    with store.ahead(range(40)):
        assert int(store.take([4])[0][0, 0, 0]) == 4
        with pytest.raises(DataError, match=r"1.jpg is truncated"):
            store.take([0, UNSEEN])
        assert int(store.take([39])[0][0, 0, 0]) == 39


def test_who_stops_does_not_stop_others():
    go, ended, calls = threading.Event(), threading.Event(), []

    def load(i):
        if i % 2:
            calls.append(i)
        if i in (1, 3):
            assert {1: go, 3: ended}[i].wait(timeout=5)
        return picture(i)

    store = Store(load, 40, uniform=True, tier="ram", workers=1)  # which looks at every second one
    stop, seen = threading.Event(), []

    def give_up():
        with pytest.raises(CancelledError):
            store.read(range(40), stop)
        ended.set()

    threads = [threading.Thread(target=give_up), threading.Thread(target=lambda: seen.extend(store.take([1, 39])))]
    threads[0].start()
    while not calls:
        pass
    threads[1].start()
    stop.set()
    go.set()
    for thread in threads:
        thread.join()
    assert [int(p[0, 0, 0]) for p in seen] == [1, 39]
    assert {1, 39} <= set(calls) <= {1, 3, 39}


def test_kept_pixels_are_not_decoded_again(tmp_path):
    def make(key="a", **options):
        store = Store(load, 40, uniform=True, tier="disk", cache_folder=tmp_path, key=lambda: key, **options)
        return store, calls.clear()

    load, calls = counting(picture)
    first = kept(make()[0])
    assert not first.reused
    assert [path.name for path in tmp_path.iterdir()] == ["a.pixels"]
    again, _ = make()
    assert again.complete
    assert again.reused
    assert again.gather(range(40))[:, 0, 0, 0].tolist() == list(range(40))
    assert calls == []
    assert again.notes == [f"pixels decoded by an earlier run: {tmp_path / 'a.pixels'} (0 MiB)"]
    assert not make("b")[0].reused
    again.take([0])[0].zero_()  # by mistake
    assert int(make()[0].take([39])[0].amax()) == 39


def test_items_that_could_not_be_decoded_are_tried_again_by_the_next_run(tmp_path):
    def make(load, **options):
        return Store(load, 40, uniform=True, tier="disk", cache_folder=tmp_path, key=lambda: "a", **options)

    kept(make(broken, skip_bad=True))
    again = make(broken)
    assert int(again.take([2])[0].amax()) == 2
    with pytest.raises(DataError, match="3.jpg is truncated"):
        again.take([3])
    assert not again.complete
    mended = make(picture)
    assert mended.gather(range(40))[:, 0, 0, 0].tolist() == list(range(40))
    assert mended.complete
    assert mended.gather(range(40))[:, 0, 0, 0].tolist() == list(range(40))
    assert len(make(broken, skip_bad=True).take(range(40))) == 20  # what was mended is not written
