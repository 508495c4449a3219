"""Pictures decoded once: each item's prepared pixels, kept where they are fastest to read again.

A store answers `take(indices)`. What is missing is decoded by threads (decoders release the GIL, so no worker
processes) and kept as uint8 in its tier: device memory, RAM, or a memory-mapped file; with `off` it is decoded
anew each time. Pictures of one size lie in one array and a batch is a single gather; pictures of several sizes
(kept whole, so that a random crop can be cut from them later) lie one after the other.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fastcli.data.memory import available_memory, usable_cores
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.matrices import to_device
from fastcli.types import Image, TVTensor, typed

Tier = Literal["device", "ram", "disk", "off"]
CHUNK = 64 * 2**20
"""Bytes that are allocated at a time for pictures of several sizes."""
SAMPLE = 16
"""Items that are decoded to estimate the size of all."""


class Store:
    """The prepared pixels of `n` items; `load(i)` decodes item i into uint8 (channels, height, width).

    `prepare` is done to what was decoded before it is kept; `canvas` tells what size it had. `uniform` says that all
    have one size then. With `skip_bad`, items that cannot be decoded are listed in `bad` and `take` leaves them out;
    else the DataError of the first one is raised.
    """

    def __init__(
        self,
        load: Callable[[int], Tensor],
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
    ) -> None:
        self.load, self.prepare, self.n, self.uniform, self.element = load, prepare, n, uniform, element
        self.device, self.skip_bad, self.name_of = torch.device(device), skip_bad, name_of
        self.workers = usable_cores() if workers is None else max(1, workers)
        self.bad: dict[int, str] = {}
        self.cache_folder = cache_folder
        self._views: list[Tensor | None] = [None] * n
        self._canvases: dict[int, tuple[int, int]] = {}
        self._array: Tensor | None = None
        self._first = 0
        self._room: Tensor = torch.empty(0, dtype=torch.uint8)
        self._missing = n
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        self.tier: Tier = "ram"
        self.tier = self._choose_tier() if tier == "auto" else self._named_tier(tier)

    def __repr__(self) -> str:
        return f"Store({self.n} items, {'one size' if self.uniform else 'several sizes'}, tier={self.tier!r})"

    @property
    def complete(self) -> bool:
        """Whether every item that can be decoded is kept."""
        return self.tier != "off" and self._missing == 0

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """The typed (channels, height, width) pixels of these items; bad items are left out."""
        views = self.read(indices)
        return [views[i] for i in self._good(indices)]

    def read(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """The typed (channels, height, width) pixels by item; bad items are left out."""
        return {i: typed(view.permute(2, 0, 1), self.element) for i, view in self._ensure(indices).items()}

    def canvas(self, index: int) -> tuple[int, int]:
        """Height and width of an item as it was decoded, before `prepare`. Raises DataError for a bad item."""
        if index not in self._canvases:
            self._ensure([index])
        if index in self.bad:
            raise DataError(self.bad[index])
        return self._canvases[index]

    def gather(self, indices: Sequence[int]) -> Tensor:
        """The typed batch (n, channels, height, width) of these items, for a store of one size."""
        if self.complete and self._array is not None:
            chosen = to_device(torch.as_tensor(self._good(indices)).long(), self._array.device)
            picked = self._array.index_select(0, chosen)  # copies whole rows, where indexing goes number by number
            batch: Tensor = picked.permute(0, 3, 1, 2).as_subclass(self.element)
            return batch
        return self.stack(self.take(indices), self._good(indices))

    def stack(self, views: Sequence[Tensor], indices: Sequence[int]) -> Tensor:
        """The typed batch of pixels (channels, height, width) that belong to these items.

        Raises DataError that names two files whose sizes differ.
        """
        for index, view in zip(indices, views, strict=True):
            if view.shape != views[0].shape:
                raise sizes_differ(self.name_of(index), view.shape, self.name_of(indices[0]), views[0].shape)
        return stack_pixels(views, self.element)

    def _good(self, indices: Sequence[int]) -> Sequence[int]:
        return [i for i in indices if i not in self.bad] if self.bad else indices

    def _ensure(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """The (height, width, channels) views of these items, the missing ones decoded by the threads."""
        views = {i: view for i in indices if (view := self._views[i]) is not None}
        missing = [i for i in dict.fromkeys(indices) if i not in views and i not in self.bad]
        for index, view in zip(missing, self._pool.map(self._decode, missing), strict=True):
            if view is not None:
                views[index] = view
        return views

    def _decode(self, index: int) -> Tensor | None:
        try:
            decoded = self.load(index)
            self._canvases[index] = (decoded.shape[-2], decoded.shape[-1])
            prepared = decoded if self.prepare is None else self.prepare(decoded)
            pixels = prepared.as_subclass(Tensor).permute(1, 2, 0)
        except DataError as error:
            if not self.skip_bad:
                raise
            with self._lock:
                self._missing -= index not in self.bad
                self.bad[index] = error.message
            return None
        return pixels if self.tier == "off" else self._keep(index, pixels)

    def _keep(self, index: int, pixels: Tensor) -> Tensor:
        with self._lock:
            known = self._views[index]
            if known is not None:
                return known
            room = self._place(index, pixels)
        room.copy_(pixels)
        with self._lock:
            self._missing -= self._views[index] is None
            self._views[index] = room
        return room

    def _place(self, index: int, pixels: Tensor) -> Tensor:
        """Memory of the tier for one picture."""
        if self.uniform:
            if self._array is None:
                self._array = self._allocate(self.n * pixels.numel()).view(self.n, *pixels.shape)
                self._first = index
            if self._array.shape[1:] != pixels.shape:
                shape, other = pixels.shape[:2], self._array.shape[1:3]
                raise sizes_differ(self.name_of(index), shape, self.name_of(self._first), other)
            return self._array[index]
        if self._room.numel() < pixels.numel():
            self._room = self._allocate(max(CHUNK, pixels.numel()))
        room, self._room = self._room[: pixels.numel()], self._room[pixels.numel() :]
        return room.view(pixels.shape)

    def _allocate(self, n_bytes: int) -> Tensor:
        if self.tier == "device":
            return torch.empty(n_bytes, dtype=torch.uint8, device=self.device)
        if self.tier == "disk":
            return _mapped_memory(n_bytes, self.cache_folder)
        return torch.empty(n_bytes, dtype=torch.uint8)

    def _named_tier(self, tier: Tier) -> Tier:
        """`device` on a CPU is its RAM."""
        return "ram" if tier == "device" and self.device.type == "cpu" else tier

    def _choose_tier(self) -> Tier:
        """The first tier that holds everything, by the mean size of a few decoded items."""
        self.tier = "off"
        sample = self._ensure(range(0, self.n, max(1, self.n // SAMPLE)))
        if not sample:
            return "off"
        total = self.n * sum(view.numel() for view in sample.values()) // len(sample)
        if self.device.type == "cuda":
            free = torch.cuda.mem_get_info(self.device)[0]
            if total <= 0.4 * free:
                return "device"
        return "ram" if total <= 0.4 * available_memory() else "off"


def sizes_differ(name: str, size: Sequence[int], other: str, other_size: Sequence[int]) -> DataError:
    """The error of two pictures that do not fit into one batch; sizes end with height and width."""
    return DataError(
        f"{name} is {size[-1]} x {size[-2]} pixels, {other} is {other_size[-1]} x {other_size[-2]}",
        hint="pictures of several sizes need data.item_transforms: [{name: resize, size: 224}]",
    )


def stack_pixels(views: Sequence[Tensor], element: type[TVTensor]) -> Tensor:
    """One typed batch (n, channels, height, width) of pictures (channels, height, width), in channels-last memory."""
    rows = [view.as_subclass(Tensor).permute(1, 2, 0) for view in views]
    stacked = torch.stack(rows) if rows else torch.empty(0, 1, 1, 1, dtype=torch.uint8)
    batch: Tensor = stacked.permute(0, 3, 1, 2).as_subclass(element)
    return batch


def _mapped_memory(n_bytes: int, folder: Path | None) -> Tensor:
    """Memory that lies in a file without a name: it is gone when the process ends, however it ends."""
    folder = folder or Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    if os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize < n_bytes:
        raise ConfigError(f"{folder} has no room for {n_bytes / 2**30:.1f} GiB of pixels", key="data.cache")
    descriptor, name = tempfile.mkstemp(prefix=".pixels-", dir=folder)
    os.close(descriptor)
    mapped = torch.from_file(name, shared=True, size=n_bytes, dtype=torch.uint8)
    Path(name).unlink()
    return mapped
