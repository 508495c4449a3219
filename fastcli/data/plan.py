"""Which items make which batch: a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fastcli.data.seeding import generator
from fastcli.errors import ConfigError

Sampler = Literal["shuffle", "balanced", "weighted"]


@dataclass(frozen=True)
class Batch:
    """Which items make a batch, and where it stands."""

    epoch: int
    index: int
    items: tuple[int, ...]


def index_of(items: Sequence[int]) -> Tensor:
    """These items as int64 (n,); torch itself takes four times as long to read so many numbers.

    >>> index_of((3, 1))
    tensor([3, 1])
    """
    return torch.from_numpy(np.fromiter(items, np.int64, len(items)))


class BatchPlan:
    """The batches of every epoch over `indices`: base of the loaders.

    With `shuffle` each epoch has its own order; with `weights`, one for each of `indices`, items are drawn with
    replacement. `per_epoch` makes an epoch of so many items. With `drop_last` a last batch that is not full is left
    out; one of a single item joins the batch before it with `join_single`, because batch norm cannot train on it.
    """

    def __init__(
        self,
        indices: Sequence[int] | Tensor,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        join_single: bool = False,
        seed: int = 0,
        weights: Sequence[float] | Tensor | None = None,
        per_epoch: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}", hint="give 1 or more", key="data.batch_size")
        self.indices = torch.as_tensor(indices, dtype=torch.int64)
        self.batch_size, self.shuffle, self.drop_last, self.join_single = batch_size, shuffle, drop_last, join_single
        self.seed, self.per_epoch = seed, per_epoch
        self.weights = None if weights is None else _checked_weights(weights, len(self.indices))
        if per_epoch is not None and (per_epoch < 1 or (self.weights is None and per_epoch > len(self.indices))):
            raise ConfigError(f"an epoch of {per_epoch} items cannot be made of {len(self.indices)}")
        if drop_last and 0 < self.n < batch_size:
            raise ConfigError(f"drop_last leaves nothing of {self.n} items in batches of {batch_size}")
        self.epoch = 0
        self.max_batches: int | None = None

    def __len__(self) -> int:
        return len(self._bounds())

    @property
    def n(self) -> int:
        """Items in one epoch."""
        return len(self.indices) if self.per_epoch is None else self.per_epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation and the random draws of `epoch`."""
        self.epoch = epoch

    def plan(self, epoch: int) -> list[Batch]:
        """The items of every batch of `epoch`."""
        order = self._order(epoch).tolist()
        return [Batch(epoch, i, tuple(order[start:end])) for i, (start, end) in enumerate(self._bounds())]

    def _bounds(self) -> list[tuple[int, int]]:
        starts = list(range(0, self.n, self.batch_size))
        end = self.n
        if self.drop_last and end % self.batch_size:
            end = starts.pop()
        elif self.join_single and len(starts) > 1 and end - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], end], strict=False))[: self.max_batches]  # no starts, no batches

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return self.indices[: self.n]
        random = generator(self.seed, epoch)
        if self.weights is not None:
            return self.indices[torch.multinomial(self.weights, self.n, replacement=True, generator=random)]
        return self.indices[torch.randperm(len(self.indices), generator=random)][: self.n]


def class_weights(sampler: Sampler, labels: Tensor) -> Tensor | None:
    """How likely each item is drawn: `balanced` shows classes equally often, `weighted` by the root of their frequency.

    `labels` is int64 (n,); None for `shuffle`.
    """
    if sampler == "shuffle":
        return None
    counts = torch.bincount(labels).clamp_min(1).double()
    return counts[labels] ** (-1.0 if sampler == "balanced" else -0.5)


def _checked_weights(weights: Sequence[float] | Tensor, n: int) -> Tensor:
    checked = torch.as_tensor(weights, dtype=torch.float64).flatten()
    if len(checked) != n:
        raise ConfigError(f"{len(checked)} weights for {n} items", hint="give one for each training item, in order")
    if not checked.isfinite().all() or (checked < 0).any() or not checked.any():
        raise ConfigError("weights must be finite, none below 0, and one above it")
    return checked
