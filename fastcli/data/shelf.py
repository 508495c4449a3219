"""Where prepared pixels lie in memory: those of one size in one array, those of several sizes one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from fastcli.data.memory import promise
from fastcli.errors import DataError

CHUNK = 64 * 2**20
"""Bytes that are allocated at a time for pictures of several sizes."""


class Shelf:
    """Pixels (height, width, channels) of `n` items in the memory of a device, put there by any number of threads.

    `expected` bytes are set aside until they are filled; of more than `budget` nothing is taken.
    """

    def __init__(
        self,
        n: int,
        *,
        uniform: bool,
        name_of: Callable[[int], str] = str,
        device: torch.device | str = "cpu",
        expected: int = 0,
        budget: int | None = None,
    ) -> None:
        self.n, self.uniform, self.name_of = n, uniform, name_of
        self.device, self.expected, self.budget = torch.device(device), expected, budget
        self.array: Tensor | None = None
        """The pixels of all items (n, height, width, channels), where they have one size."""
        self.taken = 0
        """Bytes that are allocated."""
        self._first = 0
        self._filled = 0
        self._views: list[Tensor | None] = [None] * n
        self._room = torch.empty(0, dtype=torch.uint8)
        self._lock = threading.Lock()
        self._promise()

    def get(self, index: int) -> Tensor | None:
        """The pixels of an item, or None if they are not here."""
        return self._views[index]

    def put(self, index: int, pixels: Tensor) -> Tensor | None:
        """The kept copy of these pixels, or None where there is no room; the first copy of an item stays."""
        with self._lock:
            if (known := self.get(index)) is not None:
                return known
            room = self._place(index, pixels)
        if room is None:
            return None
        _copy(room, pixels)
        with self._lock:
            self._filled += pixels.numel()
            self._promise()
            if (known := self.get(index)) is None:  # else another thread was quicker, with the same pixels
                self._views[index] = known = room
        return known

    def _promise(self) -> None:
        if self.device.type == "cpu":
            promise(self, self.expected - self._filled)

    def _place(self, index: int, pixels: Tensor) -> Tensor | None:
        """Memory for one picture."""
        if self.uniform:
            if self.array is None:
                flat = self._allocate(self.n * pixels.numel())
                if flat is None:
                    return None
                self.array, self._first = flat.view(self.n, *pixels.shape), index
            self._refuse_other_size(index, pixels)
            return self.array[index]
        if self._room.numel() < pixels.numel():
            left = CHUNK if self.budget is None else self.budget - self.taken
            room = self._allocate(max(min(CHUNK, left), pixels.numel()))
            if room is None:
                return None
            self._room = room
        room, self._room = self._room[: pixels.numel()], self._room[pixels.numel() :]
        return room.view(pixels.shape)

    def _refuse_other_size(self, index: int, pixels: Tensor) -> None:
        if self.array is not None and self.array.shape[1:] != pixels.shape:
            shape, other = pixels.shape[:2], self.array.shape[1:3]
            raise sizes_differ(self.name_of(index), shape, self.name_of(self._first), other)

    def _allocate(self, n_bytes: int) -> Tensor | None:
        if self.budget is not None and self.taken + n_bytes > self.budget:
            return None
        self.taken += n_bytes
        return torch.empty(n_bytes, dtype=torch.uint8, device=self.device)


def _copy(room: Tensor, pixels: Tensor) -> None:
    if room.device.type == "cpu":
        # torch would start a team of threads in each thread that decodes, which then fight those of the model.
        np.copyto(room.numpy(), pixels.numpy())
    else:
        room.copy_(pixels)


def sizes_differ(name: str, size: Sequence[int], other: str, other_size: Sequence[int]) -> DataError:
    """The error of two pictures that do not fit into one batch; sizes end with height and width."""
    return DataError(
        f"{name} is {size[-1]} x {size[-2]} pixels, {other} is {other_size[-1]} x {other_size[-2]}",
        hint="pictures of several sizes need data.item_transforms: [{name: resize, size: 224}]",
    )
