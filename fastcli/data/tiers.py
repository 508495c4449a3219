"""Which tier holds a set of pixels, and the shelf that it is.

`auto` takes the first that fits: the memory of a GPU and RAM by `SHARE` of what is free, a file by half of the disk's
free space and only where more than one epoch is to come. Else pictures are streamed: decoded anew for each epoch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from fastcli.data.memory import available_memory
from fastcli.data.pixel_file import DamagedError, KeptPixels, PixelFile, kept_pixels, make_room, room_on_disk
from fastcli.data.shelf import Shelf
from fastcli.errors import ConfigError

Tier = Literal["device", "ram", "disk", "off"]
SHARE = 0.4
"""Of free memory, what pixels may take."""


class Tiers:
    """Makes the shelf of a tier for the pixels of `n` items.

    A file lies in `folder` and is kept under what `key` says, if anything. `epochs` are those to come, where known.
    """

    def __init__(
        self,
        n: int,
        *,
        uniform: bool,
        name_of: Callable[[int], str] = str,
        device: torch.device | str = "cpu",
        folder: Path | None = None,
        key: Callable[[], str | None] | None = None,
        epochs: int | None = None,
    ) -> None:
        self.n, self.uniform, self.name_of, self.device = n, uniform, name_of, torch.device(device)
        self.folder = folder or Path(tempfile.gettempdir())
        self.key, self.epochs = key, epochs
        self.notes: list[str] = []
        """What a careful reader would want to know of the choice."""

    def named(self, tier: Tier, measure: Callable[[], int]) -> tuple[Tier, Shelf | None]:
        """The tier that was asked for and its shelf; on a CPU its RAM is the device's memory.

        `measure` tells how many bytes all items take. Raises ConfigError where the disk has no room for them.
        """
        if tier == "off":
            return "off", None
        if tier == "disk":
            try:
                return "disk", self._file(measure)
            except OSError as error:
                hint = "set FASTCLI_HOME to a folder with room that you may write to, or take data.cache: auto"
                raise ConfigError(self._no_file(error), hint=hint, key="data.cache") from error
        if tier == "ram" or self.device.type == "cpu":
            return "ram", self._memory("cpu", measure())
        return "device", self._memory(self.device, measure())

    def automatic(self, measure: Callable[[], int]) -> tuple[Tier, Shelf | None]:
        """The first tier that holds everything, and its shelf; None for streaming."""
        total = measure()
        if not total:
            return "off", None
        if self.device.type == "cuda":
            free = int(SHARE * torch.cuda.mem_get_info(self.device)[0])
            if total <= free:
                return "device", self._memory(self.device, total, free)
        free = int(SHARE * available_memory())
        if total <= free:
            return "ram", self._memory("cpu", total, free)
        if self.epochs != 1:
            try:
                return "disk", self._file(lambda: total)
            except OSError as error:
                self.notes.append(f"{self._no_file(error)}: pictures are decoded anew for each epoch")
        return "off", None

    def _memory(self, device: torch.device | str, total: int, budget: int | None = None) -> Shelf:
        options = {"device": device, "expected": total, "budget": budget}
        return Shelf(self.n, uniform=self.uniform, name_of=self.name_of, **options)  # type: ignore[arg-type]

    def _file(self, measure: Callable[[], int]) -> Shelf:
        """The file that an earlier run kept, or a new one."""
        key = self.key() if self.key is not None else None
        if key is not None and (kept := self._kept(key)) is not None:
            return kept
        total, room = measure(), room_on_disk(self.folder)
        if total > room:
            raise OSError(f"{size_of(total)} are needed, and half of what is free is {size_of(room)}")
        make_room(self.folder, total)
        return PixelFile(self.n, self.folder, key, uniform=self.uniform, name_of=self.name_of, budget=room)

    def _kept(self, key: str) -> KeptPixels | None:
        try:
            kept = kept_pixels(self.folder, key, self.n, uniform=self.uniform, name_of=self.name_of)
        except DamagedError as error:
            self.notes.append(f"{error}: it is made anew")
            return None
        if kept is not None:
            self.notes.append(f"pixels decoded by an earlier run: {kept.path} ({size_of(kept.taken)})")
        return kept

    def _no_file(self, error: OSError) -> str:
        return f"cannot keep pixels in {self.folder}: {error.strerror or error}"


def size_of(n_bytes: int) -> str:
    """Bytes for people.

    >>> size_of(1_500_000), size_of(3 * 2**30)
    ('1 MiB', '3.0 GiB')
    """
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes // 2**20} MiB"
