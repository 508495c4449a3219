"""Pictures decoded once: each item's prepared pixels, kept where they are fastest to read again.

A store answers `take(indices)`. What is missing is decoded by threads (decoders release the GIL, so no worker
processes) and kept as uint8 in its tier: device memory, RAM, or a memory-mapped file; with `off` it is decoded
anew each time. Pictures of one size lie in one array and a batch is a single gather; pictures of several sizes
(kept whole, so that a random crop can be cut from them later) lie one after the other.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcli.data.pixel_file import KeptPixels, PixelFile
from fastcli.data.shelf import sizes_differ
from fastcli.data.tiers import Tier, Tiers
from fastcli.errors import DataError
from fastcli.run.environment import usable_cores
from fastcli.transforms.matrices import to_device
from fastcli.types import Image, TVTensor, typed

__all__ = ["Store", "Tier", "sizes_differ", "stack_pixels"]

Size = tuple[int, int]
SAMPLE = 16
"""Items that are decoded to estimate the size of all."""
HERE, WANTED, UNUSED = 0, 1, 2
"""What is known of an item: it is kept, or cannot be; it will be asked for; nobody uses it."""


class Store:
    """The prepared pixels of `n` items; `load(i)` decodes item i into uint8 (channels, height, width).

    `load` may give the picture reduced, and with it its (height, width). `prepare` is done to what was decoded before
    it is kept. `uniform` says that all have one size then. With `skip_bad`, items that cannot be decoded are listed in
    `bad` and `take` leaves them out; else the DataError of the first one is raised. Where only some items are `used`,
    the store is complete with these. On disk, pixels are kept between runs under what `key` says; `epochs` are those to
    come, where known.
    """

    def __init__(
        self,
        load: Callable[[int], Tensor | tuple[Tensor, Size]],
        n: int,
        *,
        uniform: bool,
        prepare: Callable[[Any], Tensor] | None = None,
        tier: Tier | Literal["auto"] = "auto",
        device: torch.device | str = "cpu",
        element: type[TVTensor] = Image,
        workers: int | None = None,
        skip_bad: bool = False,
        name_of: Callable[[int], str] = str,
        cache_folder: Path | None = None,
        key: Callable[[], str | None] | None = None,
        used: Iterable[int] | None = None,
        epochs: int | None = None,
    ) -> None:
        self.load, self.prepare, self.n, self.uniform, self.element = load, prepare, n, uniform, element
        self.device, self.skip_bad, self.name_of = torch.device(device), skip_bad, name_of
        self.workers = usable_cores() if workers is None else max(1, workers)
        self.bad: dict[int, str] = {}
        self._sizes: NDArray[np.int64] = np.full((n, 2), -1, np.int64)
        self._state = np.full(n, WANTED if used is None else UNUSED, np.uint8)
        if used is not None:
            self._state[list(used)] = WANTED
        self._missing = int((self._state == WANTED).sum())
        self._some = self._missing < n
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        self._flying: dict[int, Future[Tensor | None]] = {}
        self._full = False
        tiers = Tiers(n, uniform=uniform, name_of=name_of, device=device, folder=cache_folder, key=key, epochs=epochs)
        self.notes = tiers.notes
        """What a careful reader would want to know of where the pixels are."""
        sample: list[tuple[int, Tensor]] = []
        measure = lambda: self._measure(sample)  # noqa: E731 - one or none of the choices measures
        self.tier, self._shelf = tiers.automatic(measure) if tier == "auto" else tiers.named(tier, measure)
        self._begin(sample)

    def __repr__(self) -> str:
        return f"Store({self.n} items, {'one size' if self.uniform else 'several sizes'}, tier={self.tier!r})"

    def _measure(self, sample: list[tuple[int, Tensor]]) -> int:
        """Bytes that all items will take, by the mean of a few, which are left in `sample`."""
        used = np.flatnonzero(self._state == WANTED)
        indices = used[:: max(1, len(used) // SAMPLE)].tolist()
        decoded = zip(indices, self._pool.map(self._opened, indices), strict=True)
        sample += [(index, pixels) for index, pixels in decoded if pixels is not None]
        places = self.n if self.uniform else len(used)
        return places * sum(pixels.numel() for _, pixels in sample) // max(1, len(sample))

    def _begin(self, sample: Sequence[tuple[int, Tensor]]) -> None:
        if isinstance(self._shelf, KeptPixels):
            here = self._shelf.here
            self._sizes[here] = self._shelf.sizes[here]
            self._state[here] = HERE
            self._missing = int((self._state == WANTED).sum())
        for index, pixels in sample:
            self._keep(index, pixels)

    @property
    def complete(self) -> bool:
        """Whether every item that is used and can be decoded is kept."""
        return self._shelf is not None and self._missing == 0

    @property
    def reused(self) -> bool:
        """Whether an earlier run has decoded the pictures."""
        return isinstance(self._shelf, KeptPixels)

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """The typed (channels, height, width) pixels of these items; bad items are left out."""
        views = self.read(indices)
        return [views[i] for i in self._good(indices)]

    def read(self, indices: Sequence[int], stop: threading.Event | None = None) -> dict[int, Tensor]:
        """The typed (channels, height, width) pixels by item; bad items are left out.

        Once `stop` is set nothing more is decoded, and CancelledError is raised.
        """
        return {i: typed(view.permute(2, 0, 1), self.element) for i, view in self._ensure(indices, stop).items()}

    def canvas(self, index: int) -> Size:
        """Height and width of the picture in its file, upright. Raises DataError for a bad item."""
        if self._sizes[index, 0] < 0:
            self._ensure([index])
        if index in self.bad:
            raise DataError(self.bad[index])
        height, width = self._sizes[index].tolist()
        return height, width

    def gather(self, indices: Sequence[int]) -> Tensor:
        """The typed batch (n, channels, height, width) of these items, for a store of one size."""
        array = self._shelf.array if self._shelf is not None else None
        good = self._good(indices)
        if array is None or not self.complete or (self._some and (self._state[list(good)] != HERE).any()):
            return self.stack(self.take(indices), good)
        # index_select copies whole rows, array[…] byte by byte: ten times as long.
        picked = array.index_select(0, to_device(torch.as_tensor(good).long(), array.device))
        batch: Tensor = picked.permute(0, 3, 1, 2).as_subclass(self.element)
        return batch

    def stack(self, views: Sequence[Tensor], indices: Sequence[int]) -> Tensor:
        """The typed batch of pixels (channels, height, width) that belong to these items.

        Raises DataError that names two files whose sizes differ.
        """
        for index, view in zip(indices, views, strict=True):
            if view.shape != views[0].shape:
                raise sizes_differ(self.name_of(index), view.shape, self.name_of(indices[0]), views[0].shape)
        return stack_pixels(views, self.element)

    @contextlib.contextmanager
    def ahead(self, indices: Iterable[int]) -> Iterator[None]:
        """Context in which the threads also decode what is missing of these items, in this order, before others ask.

        Where it could not be kept nothing is done.
        """
        waiting = iter(indices if self._shelf is not None and not self.complete else ())
        stopped = threading.Event()

        def another(_: Any = None) -> None:
            while not stopped.is_set() and not self._full:
                with self._lock:
                    index = next((i for i in waiting if self._state[i] == WANTED and i not in self._flying), None)
                if index is None:
                    return
                future = self._submit(index, stopped)
                if not future.done():
                    future.add_done_callback(another)
                    return

        for _ in range(self.workers):
            another()
        try:
            yield
        finally:
            stopped.set()

    def _good(self, indices: Sequence[int]) -> Sequence[int]:
        return [i for i in indices if i not in self.bad] if self.bad else indices

    def _ensure(self, indices: Sequence[int], stop: threading.Event | None = None) -> dict[int, Tensor]:
        """The (height, width, channels) views of these items, the missing ones decoded by the threads."""
        views: dict[int, Tensor] = {}
        asked: dict[int, Future[Tensor | None]] = {}
        for index in dict.fromkeys(indices):
            if (view := self._known(index)) is not None:
                views[index] = view
            elif index not in self.bad:
                asked[index] = self._submit(index, stop)
        try:
            for index, future in asked.items():
                if (view := self._result(index, future, stop)) is not None:
                    views[index] = view
        finally:
            for future in asked.values():
                future.cancel()  # after an error nobody waits for the rest
        return views

    def _result(self, index: int, future: Future[Tensor | None], stop: threading.Event | None) -> Tensor | None:
        while stop is None or not stop.is_set():
            with contextlib.suppress(CancelledError):
                return future.result()
            future = self._submit(index, stop)  # who asked for the same item had to stop
        raise CancelledError

    def _submit(self, index: int, stop: threading.Event | None) -> Future[Tensor | None]:
        """The pixels of an item to come; whoever asks for the same item gets the same."""
        with self._lock:
            if (flying := self._flying.get(index)) is not None:
                return flying
            future = self._flying[index] = self._pool.submit(self._decode, index, stop)
        future.add_done_callback(lambda _: self._flying.pop(index, None))
        return future

    def _known(self, index: int) -> Tensor | None:
        return self._shelf.get(index) if self._shelf is not None else None

    def _decode(self, index: int, stop: threading.Event | None) -> Tensor | None:
        if stop is not None and stop.is_set():
            raise CancelledError
        if (known := self._known(index)) is not None or index in self.bad:
            return known
        pixels = self._opened(index)
        return None if pixels is None else self._keep(index, pixels)

    def _opened(self, index: int) -> Tensor | None:
        """The (height, width, channels) pixels of an item as they are kept; None if it is bad."""
        try:
            loaded = self.load(index)
            pixels, size = loaded if isinstance(loaded, tuple) else (loaded, tuple(loaded.shape[-2:]))
            self._sizes[index] = size
            prepared = pixels if self.prepare is None else self.prepare(pixels)
            return prepared.as_subclass(Tensor).permute(1, 2, 0)
        except DataError as error:
            if not self.skip_bad:
                raise
            self.bad[index] = error.message
            self._settle(index)
            return None

    def _keep(self, index: int, pixels: Tensor) -> Tensor:
        """The kept copy of these pixels, or they themselves where nothing is kept."""
        if self._shelf is None:
            return pixels
        kept = self._shelf.put(index, pixels)
        if kept is not None:
            self._settle(index)
            return kept
        if not self._full:
            self._full = True
            self.notes.append("there is no room for all pixels: the rest is decoded anew for each epoch")
        return pixels

    def _settle(self, index: int) -> None:
        """Count an item that need not be decoded any more; after the last one a file gets its name."""
        with self._lock:
            last = self._state[index] == WANTED and self._missing == 1
            self._missing -= int(self._state[index] == WANTED)
            self._state[index] = HERE
        if last and isinstance(self._shelf, PixelFile):
            self._pool.submit(self._name_file, self._shelf)

    def _name_file(self, file: PixelFile) -> None:
        if not file.complete(self._sizes) and file.path is not None:
            self.notes.append(f"the decoded pixels could not be kept for later runs in {file.path}")


def stack_pixels(views: Sequence[Tensor], element: type[TVTensor]) -> Tensor:
    """One typed batch (n, channels, height, width) of pictures (channels, height, width), in channels-last memory."""
    rows = [view.as_subclass(Tensor).permute(1, 2, 0) for view in views]
    stacked = torch.stack(rows) if rows else torch.empty(0, 1, 1, 1, dtype=torch.uint8)
    batch: Tensor = stacked.permute(0, 3, 1, 2).as_subclass(element)
    return batch
