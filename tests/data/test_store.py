import threading

import pytest
import torch

from fastcli.data import store as store_module
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.types import Image


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
    store = Store(load, 6, uniform=uniform, tier=tier, cache_folder=tmp_path, workers=2)
    for _ in range(2):
        pixels = store.take([4, 0, 4])
        assert [int(p[0, 0, 0]) for p in pixels] == [4, 0, 4]
        assert all(isinstance(p, Image) for p in pixels)
        assert pixels[0].shape == ((3, 4, 5) if uniform else (3, 8, 5))
    assert sorted(calls) == [0, 4]
    assert not store.complete
    store.take(range(6))
    assert store.complete
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
    store = Store(
        lambda i: picture(i, (3, 4 + i, 5)), 2, uniform=True, tier="ram", workers=1, name_of=lambda i: f"{i}.png"
    )
    with pytest.raises(DataError, match=r"1.png is 5 x 5 pixels, 0.png is 5 x 4\nhint: .*resize"):
        store.take([0, 1])


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


def test_auto_takes_ram_where_it_fits_and_streams_where_not(monkeypatch):
    assert Store(picture, 100, uniform=True).tier == "ram"
    monkeypatch.setattr(store_module, "available_memory", lambda: 1000)
    assert Store(picture, 100, uniform=True).tier == "off"


def test_threads_that_ask_for_the_same_item_get_one_copy():
    barrier = threading.Barrier(2)

    def load(i):
        barrier.wait(timeout=5)
        return picture(i)

    store = Store(load, 1, uniform=True, tier="ram", workers=2)
    threads = [threading.Thread(target=store.take, args=([0],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.complete
    assert int(store.take([0])[0][0, 0, 0]) == 0
