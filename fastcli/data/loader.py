"""Loaders: batches of a split, assembled ahead, put through the batch transforms, as the loop sees them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from fastcli.data.elements import Element, Pixels, as_element, like
from fastcli.data.plan import Batch, BatchPlan
from fastcli.data.seeding import generator
from fastcli.data.side_stream import a_step_ahead, pinned
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline
from fastcli.types import Image, Mask

AHEAD = 3
"""Batches that are assembled before they are asked for."""
UNASKED = torch.Generator()
"""Stands where nothing is drawn: seeding a generator of its own takes longer than gathering a small batch."""


class Loader(BatchPlan):
    """Iterates over one split: (inputs…, targets…) as plain tensors on `device`, after the batch transforms.

    `elements` are the sample's parts in order; a `Store` of pixels or a typed tensor of labels (n_items, …) will do.
    Training shuffles anew each epoch and keeps every sample, unless told otherwise; a last batch of one joins the
    batch before it, because batch norm cannot train on a single sample. `augment` makes the random views of training
    in another order.
    """

    def __init__(
        self,
        elements: Sequence[Element | Store | Tensor],
        indices: Sequence[int],
        *,
        items: ItemPipeline,
        batches: BatchPipeline,
        batch_size: int = 64,
        train: bool = False,
        augment: bool | None = None,
        shuffle: bool | None = None,
        drop_last: bool = False,
        seed: int = 0,
        weights: Sequence[float] | Tensor | None = None,
        per_epoch: int | None = None,
        device: torch.device | str = "cpu",
        name_of: Callable[[int], str] = str,
    ) -> None:
        super().__init__(indices, batch_size, shuffle=train if shuffle is None else shuffle, drop_last=drop_last,
                         join_single=train, seed=seed, weights=weights, per_epoch=per_epoch)  # fmt: skip
        self.elements = [as_element(element) for element in elements]
        self.items, self.batches, self.train = items, batches, train
        self.augment = train if augment is None else augment
        self.device, self.name_of = torch.device(device), name_of
        self.followed_by: Loader | None = None
        """Whose items are decoded when those of this loader are, before it is asked for them."""

    def __repr__(self) -> str:
        kind = "training" if self.train else "validation"
        return f"Loader({self.n} {kind} items, {len(self)} batches of {self.batch_size})"

    @property
    def stores(self) -> list[Store]:
        """The stores among the elements."""
        return [element.store for element in self.elements if isinstance(element, Pixels)]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (parts for _, parts in self.planned() if parts is not None)

    def starting_at(self, first: int) -> Iterator[tuple[Tensor, ...]]:
        """What iterating gives from the batch `first` on; those before it are not made."""
        if any(store.skip_bad for store in self.stores):  # which batches there are is only known by opening them
            return islice(self, first, None)
        return (parts for _, parts in self.planned(first) if parts is not None)

    def planned(self, first: int = 0) -> Iterator[tuple[Batch, tuple[Tensor, ...] | None]]:
        """Each batch of the plan with what came of it: None where none of its items can be opened."""
        made = self._assembled(self.plan(self.epoch)[first:])
        return a_step_ahead(made, self._done, self.device) if self._on_gpu else map(self._done, made)

    def _done(self, made: tuple[Batch, list[Tensor]]) -> tuple[Batch, tuple[Tensor, ...] | None]:
        batch, elements = made
        return batch, self._finished(batch, elements) if elements[0].shape[0] else None

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def _at_hand(self) -> bool:
        """Whether a batch is but a gather, where the batch is wanted."""
        here = not self._on_gpu or all(store.tier == "device" for store in self.stores)
        return here and all(element.ready for element in self.elements)

    def load(self, batch: Batch) -> tuple[Tensor, ...]:
        """One batch, as iterating gives it."""
        return self._finished(batch, self.assemble(batch))

    def _assembled(self, plan: list[Batch]) -> Iterator[tuple[Batch, list[Tensor]]]:
        """Each batch with its collated elements, a few assembled ahead where that is more than a gather."""
        if self._at_hand:
            for batch in plan:
                yield batch, self.assemble(batch)
            return
        queue: deque[tuple[Batch, Future[list[Tensor]]]] = deque()
        with ExitStack() as meanwhile:
            assembling, stop = ThreadPoolExecutor(1, thread_name_prefix="assemble"), threading.Event()
            meanwhile.callback(assembling.shutdown, wait=False, cancel_futures=True)
            meanwhile.callback(stop.set)
            for store in self.stores:
                meanwhile.enter_context(store.ahead(self._items_to_come(plan)))
            for batch in plan:
                queue.append((batch, assembling.submit(self._assembled_in_ram, batch, stop)))
                if len(queue) > AHEAD:
                    done, future = queue.popleft()
                    yield done, future.result()
            while queue:
                done, future = queue.popleft()
                yield done, future.result()

    def _items_to_come(self, plan: list[Batch]) -> Iterator[int]:
        """The items of a plan in their order, then those of the loader that comes next."""
        yield from (item for batch in plan for item in batch.items)
        if self.followed_by is not None:
            yield from (item for batch in self.followed_by.plan(0) for item in batch.items)

    def assemble(self, batch: Batch, stop: threading.Event | None = None) -> list[Tensor]:
        """The collated, typed elements of a batch, before the batch transforms; once `stop` is set, CancelledError."""
        fetched = [element.fetch(batch.items, stop) for element in self.elements]
        rows = None
        if self.augment and self.items.random:
            rows = self.items.draw(len(batch.items), generator(self.seed, batch.epoch, batch.index, 0))
        items, kept = batch.items, list(range(len(batch.items)))
        if bad := set().union(*(element.bad for element in self.elements)):
            kept = [k for k, item in enumerate(batch.items) if item not in bad]
            items = tuple(batch.items[k] for k in kept)

        def view(element: Any, place: int) -> Any:
            return self.items.finish(element, _row(rows, kept[place]))

        pairs = zip(self.elements, fetched, strict=True)
        elements = [element.collate(found, items, view) for element, found in pairs]
        self._refuse_other_masks(items, elements)
        return elements

    def _assembled_in_ram(self, batch: Batch, stop: threading.Event) -> list[Tensor]:
        elements = self.assemble(batch, stop)
        return pinned(elements) if self._on_gpu else elements

    def _refuse_other_masks(self, items: Sequence[int], elements: Sequence[Tensor]) -> None:
        pictures = [e.shape[-2:] for e in elements if isinstance(e, Image)]
        masks = [e.shape[-2:] for e in elements if isinstance(e, Mask)]
        for size in masks if pictures and items else ():
            if size != pictures[0]:
                (height, width), (down, across) = pictures[0], size
                raise DataError(
                    f"{self.name_of(items[0])} is {width} x {height} pixels, its mask is {across} x {down}",
                    hint="give both one size with data.item_transforms: [{name: resize, size: 224}]",
                )

    def _finished(self, batch: Batch, elements: list[Tensor]) -> tuple[Tensor, ...]:
        moved = [e if e.device == self.device else like(e.to(self.device, non_blocking=True), e) for e in elements]
        random = generator(self.seed, batch.epoch, batch.index, 1) if self.batches.transforms else UNASKED
        return self.batches(moved, random, train=self.augment)

    def names(self, batch: Batch) -> list[str]:
        """The file names of a batch."""
        return [self.name_of(item) for item in batch.items]


def _row(rows: Sequence[Tensor | None] | None, k: int) -> list[Tensor | None] | None:
    return None if rows is None else [None if row is None else row[k] for row in rows]
