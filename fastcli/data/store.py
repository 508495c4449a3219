"""Pictures decoded once: each item's prepared pixels, kept where they are fastest to read again.

A store answers `take(indices)`. What is missing is decoded by threads (decoders release the GIL, so no worker
processes) and kept as uint8 in its tier: device memory, RAM, or a memory-mapped file; with `off` it is decoded
anew each time. Pictures of one size lie in one array and a batch is a single gather; pictures of several sizes
(kept whole, so that a random crop can be cut from them later) lie one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcli.data.decoders import Decoders, sensible_threads
from fastcli.data.pixel_file import KeptPixels, PixelFile
from fastcli.data.plan import index_of
from fastcli.data.shelf import Shelf, sizes_differ
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
        self.bad: dict[int, str] = {}
        self._sizes: NDArray[np.int64] = np.full((n, 2), -1, np.int64)
        self._state = np.full(n, WANTED if used is None else UNUSED, np.uint8)
        if used is not None:
            self._state[list(used)] = WANTED
        self._missing = int((self._state == WANTED).sum())
        self._some = self._missing < n
        self._full = False
        self._lock = threading.Lock()
        tiers = Tiers(n, uniform=uniform, name_of=name_of, device=device, folder=cache_folder, key=key, epochs=epochs)
        self.notes = tiers.notes
        """What a careful reader would want to know of where the pixels are."""
        self._shelf: Shelf | None = None
        sample: dict[int, Tensor] = {}
        measure = partial(self._measure, sample, workers or usable_cores())
        self.tier, self._shelf = tiers.automatic(measure) if tier == "auto" else tiers.named(tier, measure)
        self._begin(sample, workers)

    def __repr__(self) -> str:
        return f"Store({self.n} items, {'one size' if self.uniform else 'several sizes'}, tier={self.tier!r})"

    def _measure(self, sample: dict[int, Tensor], threads: int) -> int:
        """Bytes that all items will take, by the mean of a few, which are left in `sample`."""
        used = np.flatnonzero(self._state == WANTED)
        indices = used[:: max(1, len(used) // SAMPLE)].tolist()
        with ThreadPoolExecutor(threads) as pool:
            decoded = zip(indices, pool.map(self._opened, indices), strict=True)
            sample.update((index, pixels) for index, pixels in decoded if pixels is not None)
        places = self.n if self.uniform else len(used)
        return places * sum(pixels.numel() for pixels in sample.values()) // max(1, len(sample))

    def _begin(self, sample: dict[int, Tensor], workers: int | None) -> None:
        """Count what is here already, and choose the threads that decode the rest by what they will meet."""
        if isinstance(self._shelf, KeptPixels):
            here = self._shelf.here
            self._sizes[here] = self._shelf.sizes[here]
            self._state[here] = HERE
            self._missing = int((self._state == WANTED).sum())
        known = self._sizes[self._sizes[:, 0] >= 0]
        pixels = float(known.prod(1).mean()) if len(known) else None
        self.workers = sensible_threads(pixels) if workers is None else max(1, workers)
        self._decoders = Decoders(self.workers, pixels)
        for index, view in sample.items():
            self._keep(index, view)

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
        index = index_of(good)
        if array is None or not self.complete or (self._some and (self._state[index.numpy()] != HERE).any()):
            return self.stack(self.take(indices), good)
        # index_select copies whole rows, array[…] byte by byte: ten times as long.
        picked = array.index_select(0, to_device(index, array.device))
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

    def ahead(self, indices: Iterable[int]) -> AbstractContextManager[None]:
        """Context in which the threads also decode what is missing of these items, in this order, before others ask.

        Where it could not be kept nothing is done.
        """
        useful = self._shelf is not None and not self.complete
        wanted = lambda i: self._state[i] == WANTED and not self._full  # noqa: E731
        return self._decoders.ahead(self._decode, indices if useful else (), wanted)

    def close(self) -> None:
        """Let the threads end when they have done what was asked for; nothing can be decoded after that."""
        self._decoders.close()

    def _good(self, indices: Sequence[int]) -> Sequence[int]:
        return [i for i in indices if i not in self.bad] if self.bad else indices

    def _ensure(self, indices: Sequence[int], stop: threading.Event | None = None) -> dict[int, Tensor]:
        """The (height, width, channels) views of these items, the missing ones decoded by the threads."""
        views: dict[int, Tensor] = {}
        missing: list[int] = []
        for index in dict.fromkeys(indices):
            if (view := self._known(index)) is not None:
                views[index] = view
            elif index not in self.bad:
                missing.append(index)
        if missing:
            found = self._decoders.get(self._decode, missing, stop)
            views |= {index: view for index, view in found.items() if view is not None}
        return views

    def _known(self, index: int) -> Tensor | None:
        return self._shelf.get(index) if self._shelf is not None else None

    def _decode(self, index: int) -> Tensor | None:
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
            self._decoders.submit(self._name_file, self._shelf)

    def _name_file(self, file: PixelFile) -> None:
        if not file.complete(self._sizes) and file.path is not None:
            self.notes.append(f"the decoded pixels could not be kept for later runs in {file.path}")


def stack_pixels(views: Sequence[Tensor], element: type[TVTensor]) -> Tensor:
    """One typed batch (n, channels, height, width) of pictures (channels, height, width), in channels-last memory."""
    rows = [view.as_subclass(Tensor).permute(1, 2, 0) for view in views]
    stacked = torch.stack(rows) if rows else torch.empty(0, 1, 1, 1, dtype=torch.uint8)
    batch: Tensor = stacked.permute(0, 3, 1, 2).as_subclass(element)
    return batch
