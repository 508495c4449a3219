"""Random numbers as pure functions of (seed, epoch, batch), so that a resumed run draws what the whole one drew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt
import torch

Words = npt.NDArray[np.uint32]
BLOCK = 256
"""Steps whose seeds are derived at a time: each alone takes as long as a small layer."""


def derive_seed(seed: int, *keys: int) -> int:
    """A 63-bit seed, the same on every machine, for one use of `seed` named by `keys`.

    >>> derive_seed(42, 0, 1) == derive_seed(42, 0, 1)
    True
    >>> derive_seed(42, 0, 1) == derive_seed(42, 1, 0)
    False
    """
    return int(np.random.SeedSequence([seed, *keys]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def step_seeds(seed: int, epoch: int, use: int, first: int = 0) -> Iterator[int]:
    """The `derive_seed(seed, epoch, k, use)` of the steps k = `first`, `first` + 1, … without end.

    >>> seeds = step_seeds(42, 0, 2)
    >>> [next(seeds), next(seeds)] == [derive_seed(42, 0, 0, 2), derive_seed(42, 0, 1, 2)]
    True
    """
    for start in count(first, BLOCK):
        steps = np.arange(start, start + BLOCK, dtype=np.uint32)
        entropy = [word for key in (seed, epoch, steps, use) for word in _words(key)]
        yield from _first_states(_mixed(entropy))


def generator(seed: int, *keys: int) -> torch.Generator:
    """A CPU generator for one use of `seed` named by `keys`; torch's global generator is not touched."""
    return torch.Generator().manual_seed(derive_seed(seed, *keys))


def seed_device(device: torch.device, seed: int) -> None:
    """Seed torch's own generators of the CPU and of `device`, as `torch.manual_seed` does for every kind of device.

    Asked for at every step, that would take a good part of a small step's time.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


@contextlib.contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """Torch's global generators are ours inside, and as they were afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def _words(key: int | Words) -> list[Words]:
    """A key in words of 32 bits, the lowest first, as numpy's SeedSequence takes it."""
    if not isinstance(key, int):
        return [key]
    n = max(1, -(-key.bit_length() // 32))
    return [np.array([key >> 32 * i & 0xFFFFFFFF], dtype=np.uint32) for i in range(n)]


class _Hash:
    """SeedSequence's hash, whose constant changes with every use (numpy/random/bit_generator.pyx)."""

    def __init__(self, constant: int, factor: int) -> None:
        self.constant, self.factor = constant, factor

    def __call__(self, value: Words) -> Words:
        value = value ^ np.uint32(self.constant)
        self.constant = self.constant * self.factor & 0xFFFFFFFF
        value = value * np.uint32(self.constant)
        return value ^ (value >> np.uint32(16))


def _mixed(entropy: list[Words]) -> list[Words]:
    """The pool of four words that SeedSequence makes of `entropy`, for many sequences at once."""
    hashed = _Hash(0x43B0D7E5, 0x931E8875)
    first = [*entropy[:4], *[np.zeros(1, np.uint32)] * (4 - len(entropy))]
    pool = [hashed(word) for word in first]
    for source in range(4):
        for target in (other for other in range(4) if other != source):
            pool[target] = _mix(pool[target], hashed(pool[source]))
    for word in entropy[4:]:
        pool = [_mix(kept, hashed(word)) for kept in pool]
    return pool


def _mix(left: Words, right: Words) -> Words:
    mixed: Words = left * np.uint32(0xCA01F9DD) - right * np.uint32(0x4973F715)
    return mixed ^ (mixed >> np.uint32(16))


def _first_states(pool: list[Words]) -> list[int]:
    """The first 64 bits of every sequence, without the last of them, as `derive_seed` gives them."""
    hashed = _Hash(0x8B51F9DD, 0x58F38DED)
    low, high = hashed(pool[0]).astype(np.uint64), hashed(pool[1]).astype(np.uint64)
    states: list[int] = ((high << np.uint64(32) | low) >> np.uint64(1)).tolist()
    return states
