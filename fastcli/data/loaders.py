"""Batches: slices of a store by a permutation that is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fastcli.data.seeding import generator
from fastcli.data.store import Store, stack_pixels
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline
from fastcli.types import InputInfo, TargetInfo

Sampler = Literal["shuffle", "balanced", "weighted"]
AHEAD = 3
"""Batches that are assembled before they are asked for."""


@dataclass(frozen=True)
class Batch:
    """Which items make a batch, and where it stands."""

    epoch: int
    index: int
    items: tuple[int, ...]


class Loader:
    """Iterates over one split: (inputs…, targets…) as plain tensors on `device`, after the batch transforms.

    `elements` are the sample's parts in order, each a `Store` of pixels or a typed tensor of labels (n_items, …).
    Training shuffles anew each epoch and keeps every sample; a last batch of one joins the batch before it, because
    batch norm cannot train on a single sample. `augment` makes the random views of training in another order.
    """

    def __init__(
        self,
        elements: Sequence[Store | Tensor],
        indices: Sequence[int],
        *,
        items: ItemPipeline,
        batches: BatchPipeline,
        batch_size: int = 64,
        train: bool = False,
        augment: bool | None = None,
        seed: int = 0,
        weights: Tensor | None = None,
        device: torch.device | str = "cpu",
        name_of: Callable[[int], str] = str,
    ) -> None:
        self.elements, self.indices = list(elements), torch.as_tensor(indices, dtype=torch.int64)
        self.items, self.batches = items, batches
        self.batch_size, self.train, self.seed, self.weights = batch_size, train, seed, weights
        self.augment = train if augment is None else augment
        self.device, self.name_of = torch.device(device), name_of
        self.epoch = 0
        self.max_batches: int | None = None

    def __len__(self) -> int:
        return len(self._bounds())

    def __repr__(self) -> str:
        kind = "training" if self.train else "validation"
        return f"Loader({self.n} {kind} items, {len(self)} batches of {self.batch_size})"

    @property
    def n(self) -> int:
        """Items in one epoch."""
        return len(self.indices)

    @property
    def stores(self) -> list[Store]:
        """The stores among the elements."""
        return [element for element in self.elements if isinstance(element, Store)]

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation and the random draws of `epoch`."""
        self.epoch = epoch

    def _bounds(self) -> list[tuple[int, int]]:
        starts = list(range(0, self.n, self.batch_size))
        if self.train and len(starts) > 1 and self.n - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], self.n], strict=True))[: self.max_batches]

    def plan(self, epoch: int) -> list[Batch]:
        """The items of every batch of `epoch`."""
        order = self._order(epoch).tolist()
        return [Batch(epoch, i, tuple(order[start:end])) for i, (start, end) in enumerate(self._bounds())]

    def _order(self, epoch: int) -> Tensor:
        if not self.train:
            return self.indices
        random = generator(self.seed, epoch)
        if self.weights is not None:
            return self.indices[torch.multinomial(self.weights, self.n, replacement=True, generator=random)]
        return self.indices[torch.randperm(self.n, generator=random)]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch, elements in self._assembled(self.plan(self.epoch)):
            if len(elements[0]):
                yield self._to_device(batch, elements)

    def _assembled(self, plan: list[Batch]) -> Iterator[tuple[Batch, list[Tensor]]]:
        """Each batch with its collated elements, a few assembled ahead while pictures are being decoded or cut."""
        if all(not isinstance(e, Store) or (e.uniform and e.complete) for e in self.elements):
            for batch in plan:
                yield batch, self.assemble(batch)
            return
        queue: deque[tuple[Batch, Future[list[Tensor]]]] = deque()
        ahead = ThreadPoolExecutor(1, thread_name_prefix="assemble")
        try:
            for batch in plan:
                queue.append((batch, ahead.submit(self.assemble, batch)))
                if len(queue) > AHEAD:
                    done, future = queue.popleft()
                    yield done, future.result()
            for done, future in queue:
                yield done, future.result()
        finally:
            ahead.shutdown(wait=False, cancel_futures=True)

    def assemble(self, batch: Batch) -> list[Tensor]:
        """The collated, typed elements of a batch, before the batch transforms."""
        random = generator(self.seed, batch.epoch, batch.index, 0) if self.augment else None
        rows = self.items.draw(len(batch.items), random) if random is not None else None
        elements = [self._collate(element, batch.items, rows) for element in self.elements]
        bad = set().union(*(e.bad for e in self.elements if isinstance(e, Store)))
        if not bad.intersection(batch.items):
            return elements
        keep = torch.tensor([i not in bad for i in batch.items])
        pairs = zip(elements, self.elements, strict=True)
        return [e if isinstance(source, Store) else e[keep].as_subclass(type(e)) for e, source in pairs]

    def _collate(self, element: Store | Tensor, items: Sequence[int], rows: Any) -> Tensor:
        if not isinstance(element, Store):
            return element[torch.tensor(items)].as_subclass(type(element))
        if element.uniform:
            return element.gather(items)
        pixels = element.take(items)
        kept = [k for k, item in enumerate(items) if item not in element.bad]
        views = [self.items.finish(p, _row(rows, k)) for p, k in zip(pixels, kept, strict=True)]
        return stack_pixels(views, element.element)

    def _to_device(self, batch: Batch, elements: list[Tensor]) -> tuple[Tensor, ...]:
        moved = tuple(e.to(self.device, non_blocking=True).as_subclass(type(e)) for e in elements)
        return self.batches(moved, generator(self.seed, batch.epoch, batch.index, 1), train=self.augment)

    def names(self, batch: Batch) -> list[str]:
        """The file names of a batch."""
        return [self.name_of(item) for item in batch.items]


def _row(rows: Sequence[Tensor | None] | None, k: int) -> list[Tensor | None] | None:
    return None if rows is None else [None if row is None else row[k] for row in rows]


def class_weights(sampler: Sampler, labels: Tensor) -> Tensor | None:
    """How likely each item is drawn: `balanced` shows classes equally often, `weighted` by the root of their frequency.

    `labels` is int64 (n,); None for `shuffle`.
    """
    if sampler == "shuffle":
        return None
    counts = torch.bincount(labels).clamp_min(1).double()
    return counts[labels] ** (-1.0 if sampler == "balanced" else -0.5)


@dataclass
class DataLoaders:
    """The training and validation loaders of one task, and what a model needs to know of them."""

    train: Loader
    valid: Loader
    input: InputInfo
    target: TargetInfo
    n_inputs: int = 1

    def one_batch(self) -> tuple[Tensor, ...]:
        """The first training batch of the first epoch."""
        return next(iter(self.train))

    def decode(self, inputs: Tensor) -> Tensor:
        """Pictures for showing, float in [0, 1], from a batch's normalised inputs."""
        return self.train.batches.decode(inputs)
