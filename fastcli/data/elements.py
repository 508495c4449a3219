"""The parts of all samples, each collated in its own way: pixels from a store, labels, and what is drawn on pictures.

A batch is made in two steps. `fetch` decodes what is missing and may run ahead in a thread; `collate` cuts the views,
with one draw for all parts of a sample, and stacks them, typed. Bad items (in `bad`) are left out of every part.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fastcli.data.plan import index_of
from fastcli.data.spatial_encoders import AnnotationEncoder, BoxLabels
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.types import BoundingBoxes, KeyPoints, TVTensor

Fetched = Mapping[int, Tensor]
View = Callable[[Any, int], Any]
"""This batch's view of a prepared element, by the place of its sample in the batch."""


class Element(ABC):
    """One part of all samples."""

    @property
    def ready(self) -> bool:
        """Whether nothing is to be decoded or cut any more."""
        return True

    @property
    def bad(self) -> Mapping[int, str]:
        """Items that cannot be opened, and why."""
        return {}

    def fetch(self, items: Sequence[int], stop: threading.Event | None = None) -> Fetched:
        """What must be read for these items; CancelledError is raised once `stop` is set."""
        return {}

    @abstractmethod
    def collate(self, fetched: Fetched, items: Sequence[int], view: View) -> Tensor:
        """The typed batch (n, …) of these items, none of them bad."""


class Pixels(Element):
    """Pictures or masks in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def ready(self) -> bool:
        """Whether a batch is a single gather."""
        return self.store.uniform and self.store.complete

    @property
    def bad(self) -> Mapping[int, str]:
        """Items that cannot be opened, and why."""
        return self.store.bad

    def fetch(self, items: Sequence[int], stop: threading.Event | None = None) -> Fetched:
        """The kept pixels of these items, unless a gather does."""
        return {} if self.ready else self.store.read(items, stop)

    def collate(self, fetched: Fetched, items: Sequence[int], view: View) -> Tensor:
        """The typed batch (n, channels, height, width); raises DataError naming two files whose sizes differ."""
        if self.ready:
            return self.store.gather(items)
        views = [fetched[i] if self.store.uniform else view(fetched[i], k) for k, i in enumerate(items)]
        return self.store.stack(views, items)


class Labels(Element):
    """Typed labels of all items in one tensor (n, …)."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def collate(self, fetched: Fetched, items: Sequence[int], view: View) -> Tensor:
        """The rows of these items."""
        return like(self.values.as_subclass(Tensor).index_select(0, index_of(items)), self.values)


class Annotations(Element):
    """Points or boxes, which lie on the pictures of a store as they were opened, and follow their item transforms."""

    def __init__(
        self, numbers: Sequence[Tensor], encoder: AnnotationEncoder, store: Store, prepare: Callable[[Any], Any]
    ) -> None:
        self.numbers, self.encoder, self.store, self.prepare = numbers, encoder, store, prepare
        self._prepared: dict[int, Any] = {}

    def views(self, items: Sequence[int], view: View) -> list[Any]:
        """This batch's view of every item; boxes are cut to the picture, and what lies outside it is left out."""
        views = [view(self._laid(i), k) for k, i in enumerate(items)]
        return [_inside(v) if isinstance(v, BoundingBoxes) else v for v in views]

    def _laid(self, item: int) -> Any:
        if item not in self._prepared:
            numbers, size = self.numbers[item], self.store.canvas(item)
            if issubclass(self.encoder.element, KeyPoints):
                _refuse_far(numbers, size, self.store.name_of(item))
            self._prepared[item] = self.prepare(self.encoder.lay(numbers, size))
        return self._prepared[item]

    def collate(self, fetched: Fetched, items: Sequence[int], view: View) -> Tensor:
        """The typed batch (n, most, numbers), padded with zeros."""
        views = self.views(items, view)
        present = [v[has_area(v)] if isinstance(v, BoundingBoxes) else v for v in views]
        return padded(present, 0.0, views[0]) if views else torch.empty(0, 0, 0)


class LabelsOfBoxes(Element):
    """The class of each box, without those of boxes that a view does not show."""

    def __init__(self, labels: Sequence[Tensor], encoder: BoxLabels, boxes: Annotations) -> None:
        self.labels, self.encoder, self.boxes = labels, encoder, boxes
        for i, (names, numbers) in enumerate(zip(labels, boxes.numbers, strict=True)):
            if len(names) != len(numbers):
                raise DataError(f"{boxes.store.name_of(i)} has {len(numbers)} boxes, but {len(names)} labels of boxes")

    def collate(self, fetched: Fetched, items: Sequence[int], view: View) -> Tensor:
        """The typed batch (n, most), padded with the encoder's `padding`."""
        kept = [self.labels[i][has_area(v)] for i, v in zip(items, self.boxes.views(items, view), strict=True)]
        batch = padded(kept, self.encoder.padding, None) if kept else torch.empty(0, 0, dtype=torch.int64)
        typed: Tensor = batch.as_subclass(self.encoder.element)
        return typed


def as_element(part: Element | Store | Tensor) -> Element:
    """A store as `Pixels` and a typed tensor as `Labels`; elements as they are."""
    if isinstance(part, Store):
        return Pixels(part)
    return Labels(part) if isinstance(part, Tensor) else part


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """`tensor` with the type of `other` and what it says of itself (a canvas, a format)."""
    made: Tensor = tensor.as_subclass(type(other))
    if isinstance(made, TVTensor):
        vars(made).update(vars(other))
    return made


def padded(rows: Sequence[Tensor], value: float, kind: Tensor | None) -> Tensor:
    """Tensors of several lengths in one (n, most, …), filled up with `value`, of the type of `kind`.

    >>> padded([torch.tensor([1, 2]), torch.tensor([3])], 0, None)
    tensor([[1, 2],
            [3, 0]])
    """
    most = max(len(row) for row in rows)
    batch = torch.as_tensor(rows[0]).new_full((len(rows), most, *rows[0].shape[1:]), value).as_subclass(Tensor)
    for place, row in zip(batch, rows, strict=True):
        place[: len(row)] = row.as_subclass(Tensor)
    return batch if kind is None else like(batch, kind)


def _refuse_far(points: Tensor, size: tuple[int, int], name: str) -> None:
    """Raise DataError for a point that is further from the picture than the picture is large."""
    height, width = size
    middle, reach = torch.tensor([width / 2, height / 2]), torch.tensor([1.5 * width, 1.5 * height])
    if len(far := points[((points - middle).abs() > reach).any(-1)]):
        x, y = far[0].tolist()
        hint = "points are in pixels of the file, x first; data.target: {name: points, order: yx} takes y first"
        raise DataError(f"{name}: the point ({x:g}, {y:g}) is far outside the picture of {width} x {height}", hint=hint)


def _inside(boxes: Any) -> Any:
    height, width = boxes.canvas_size
    limits = torch.tensor([width, height, width, height])
    return like(torch.minimum(boxes.as_subclass(Tensor).clamp_min(0), limits), boxes)


def has_area(boxes: Tensor) -> Tensor:
    """Which boxes have an area."""
    left, top, right, bottom = boxes.as_subclass(Tensor).unbind(-1)
    return (right > left) & (bottom > top)
