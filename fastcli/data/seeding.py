"""Random numbers as pure functions of (seed, epoch, batch), so that a resumed run draws what the whole one drew."""

from __future__ import annotations

import numpy as np
import torch


def derive_seed(seed: int, *keys: int) -> int:
    """A 63-bit seed, the same on every machine, for one use of `seed` named by `keys`.

    >>> derive_seed(42, 0, 1) == derive_seed(42, 0, 1)
    True
    >>> derive_seed(42, 0, 1) == derive_seed(42, 1, 0)
    False
    """
    return int(np.random.SeedSequence([seed, *keys]).generate_state(1, np.uint64)[0] >> np.uint64(1))


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
