"""Threads that decode: how much at a time, and that nobody pays for what another asked for."""

import threading

import pytest
import torch

from fastcli.data.decoders import MOST, Decoders, sensible_threads
from fastcli.errors import DataError

SMALL, LARGE = 28 * 28, 500 * 375


def test_small_pictures_are_decoded_by_one_thread_many_at_a_time(monkeypatch):
    monkeypatch.setattr("fastcli.data.decoders.usable_cores", lambda: 8)
    assert [sensible_threads(pixels) for pixels in (SMALL, LARGE, None)] == [1, 8, 8]
    tasks = [Decoders(2, pixels).per_task for pixels in (0, SMALL, 256**2, LARGE, 10**9)]
    assert tasks == [MOST, MOST, 4, 1, 1]


@pytest.mark.parametrize("pixels", [SMALL, LARGE, None])
@pytest.mark.parametrize("threads", [1, 3])
def test_everything_is_decoded_once_for_whoever_asks(threads, pixels):
    calls = []

    def decode(i):
        calls.append(i)
        return torch.tensor(i)

    made, kept = Decoders(threads, pixels), {}
    with made.ahead(decode, range(100), lambda i: i not in kept):
        for start in range(0, 100, 10):
            kept |= {i: int(found) for i, found in made.get(decode, range(start, start + 10)).items() if i not in kept}
    made.close()
    assert kept == {i: i for i in range(100)}
    assert set(calls) == set(range(100))


def test_the_error_of_one_item_is_not_that_of_its_neighbours():
    def decode(i):
        if i % 5 == 3:
            raise DataError(f"{i}.png is broken")
        return None if i == 4 else torch.tensor(i)

    made = Decoders(1, SMALL)
    with pytest.raises(DataError, match=r"^3.png"):
        made.get(decode, range(10))
    assert made.get(decode, [2, 4]) == {2: torch.tensor(2), 4: None}
    made.close()


def test_what_is_decoded_ahead_is_not_begun_when_nobody_wants_it_any_more():
    begun, go = [], threading.Event()

    def decode(i):
        begun.append(i)
        assert go.wait(timeout=5)

    made = Decoders(1, SMALL)
    with made.ahead(decode, range(100), lambda _: True):
        while not begun:
            pass
    go.set()
    made.close()
    assert begun == [0]


def test_other_errors_reach_everybody_who_waits():
    made = Decoders(2, SMALL)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            made.get(lambda i: 1 // i, [1, 0])
    made.close()
