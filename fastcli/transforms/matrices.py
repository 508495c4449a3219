"""Small helpers on the CPU: random columns, and matrices built from them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["chance", "inverse", "matrix_of", "uniform"]


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """`n` numbers in low..high, float32 on the CPU."""
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
