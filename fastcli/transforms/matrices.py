"""Small helpers on the CPU: random columns, and matrices built from them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["DIHEDRAL", "chance", "inverse", "matrix_of", "to_device", "uniform"]

DIHEDRAL = ((1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (0, -1, 1, 0),
            (-1, 0, 0, -1), (0, 1, -1, 0), (0, 1, 1, 0), (0, -1, -1, 0))  # fmt: skip
"""The eight symmetries of a square as xx, xy, yx, yy (from output to input), in fastai's order."""


def uniform(n: int, low: float, high: float, generator: Generator, always: float | None = None) -> Tensor:
    """`n` numbers in low..high, or all of them `always`; float32 on the CPU.

    >>> uniform(2, 0.0, 1.0, torch.Generator(), always=0.5)
    tensor([0.5000, 0.5000])
    """
    if always is not None:
        return torch.full((n,), float(always))
    return low + (high - low) * torch.rand(n, generator=generator)


def chance(values: Tensor, p: float, neutral: float, generator: Generator) -> Tensor:
    """Each of `values` with probability `p`, else `neutral`."""
    return torch.where(torch.rand(len(values), generator=generator) < p, values, neutral)


def matrix_of(*entries: Tensor | float) -> Tensor:
    """Matrices (n, 3, 3) from nine entries by rows, each a number or (n,).

    >>> matrix_of(torch.tensor([1.0, 2.0]), 0, 0, 0, 1, 0, 0, 0, 1)[1].tolist()
    [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    n = next(len(entry) for entry in entries if isinstance(entry, Tensor))
    columns = [entry if isinstance(entry, Tensor) else torch.full((n,), float(entry)) for entry in entries]
    return torch.stack(columns, -1).view(n, 3, 3)


def inverse(matrices: Tensor) -> Tensor:
    """The inverses of (n, 3, 3) matrices, up to a factor that homogeneous coordinates do not see.

    >>> inverse(torch.diag(torch.tensor([2.0, 4.0, 1.0]))[None])[0].diag().tolist()
    [4.0, 2.0, 8.0]
    """
    a, b, c = matrices.unbind(1)
    return torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], -1)


def to_device(numbers: Tensor, device: torch.device) -> Tensor:
    """A few numbers from the CPU on `device`, in a copy that does not stop it."""
    pinned = numbers.contiguous().pin_memory() if device.type == "cuda" else numbers
    return pinned.to(device, non_blocking=True)
