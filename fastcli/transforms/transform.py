"""The contract of item transforms: what is done once and kept, and what is drawn anew for every view."""

from __future__ import annotations

from typing import Any

from torch import Generator, Tensor


class ItemTransform:
    """Works on one element (an `Image`, `Mask`, … tensor before collation), in two halves.

    `prepare` is the same for every view, so its result may be kept in the data store. `finish` is what differs
    from view to view; all elements of one sample get the same row of `draw`, so an image and its mask move together.
    A transform without randomness implements `prepare` alone.
    """

    random = False
    """Whether `finish` does anything; what stands after a random transform is not kept in the store either."""

    def prepare(self, element: Any) -> Any:
        """The part that is done once per element."""
        return element

    def draw(self, n: int, generator: Generator) -> Tensor | None:
        """Random numbers for `n` training samples, one row each (n, …), from the CPU `generator`; None if not random."""
        return None

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The part that is done for every view. `row` is this sample's draw, or None in validation."""
        return element
