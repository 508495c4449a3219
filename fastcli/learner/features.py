"""Features of a frozen body, computed once: the first time through the data as it is trained on, then from memory.

While the body is frozen the same view of a picture has the same features in every epoch, so a head can be trained on
them for many epochs at the price of a few forward passes of the body.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fastcli.callbacks.precision import ChannelsLast
from fastcli.callbacks.timing import Timer
from fastcli.data.loader import Loader
from fastcli.data.memory import available_memory
from fastcli.data.plan import Batch
from fastcli.errors import ConfigError
from fastcli.models.hooks import evaluating

__all__ = ["FeatureLoader", "cached_features", "keeps_features", "views_that_fit"]

SHARE = 0.3
"""Of the memory that is free, for features."""


class Rows:
    """Features and targets of one view of the items, (n, …) each, where they are known."""

    def __init__(self, n: int) -> None:
        self.known = torch.zeros(n, dtype=torch.bool)
        self.parts: list[Tensor] = []

    def put(self, places: Tensor, parts: tuple[Tensor, ...]) -> None:
        """Keep a batch."""
        if not self.parts:
            self.parts = [part.new_empty(len(self.known), *part.shape[1:]) for part in parts]
        for kept, part in zip(self.parts, parts, strict=True):
            kept[places.to(kept.device)] = part
        self.known[places] = True

    def get(self, places: Tensor) -> tuple[Tensor, ...]:
        """A batch."""
        return tuple(part[places.to(part.device)] for part in self.parts)


class FeatureLoader:
    """Iterates as `loader` does, with the features of the learner's body in place of its pictures.

    Of training pictures `views` random views are computed, one in each of the first epochs, and then taken in turn.
    `passes` times through the data make an epoch, once all views are known.
    """

    def __init__(self, learner: Any, loader: Loader, views: int = 1) -> None:
        self.learner, self.loader, self.views, self.passes = learner, loader, views, 1
        self._rows = [Rows(int(loader.indices.max()) + 1) for _ in range(views)]
        self._started = 0
        self._next = learner.global_epoch

    def __len__(self) -> int:
        return len(self.loader) * self.passes

    def __repr__(self) -> str:
        return f"FeatureLoader({self.loader!r}, views={self.views})"

    @property
    def complete(self) -> bool:
        """Whether every view was computed."""
        return self._started >= self.views

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation of `epoch`."""
        self.loader.set_epoch(epoch)

    def plan(self, epoch: int) -> list[Batch]:
        """The items of every batch of `epoch`."""
        return [batch for k in range(self.passes) for batch in self.loader.plan(epoch + k * 1_000_003)]

    def names(self, batch: Batch) -> list[str]:
        """The file names of a batch."""
        return self.loader.names(batch)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        self._catch_up(self.loader.epoch)
        yield from self._pass()

    def _catch_up(self, epoch: int) -> None:
        """Compute again what a training that is resumed in `epoch` had computed before, batch by batch as it did."""
        for past in range(self._next, epoch):
            if not self.complete or self.loader.weights is not None:
                self.loader.set_epoch(past)
                deque(self._pass(), maxlen=0)
        self._next = max(self._next, epoch + 1)
        self.loader.set_epoch(epoch)

    def _pass(self) -> Iterator[tuple[Tensor, ...]]:
        if not self.complete:
            rows = self._rows[self._started]
            self._started += 1
            yield from self._computed(rows)
            return
        for k, batch in enumerate(self.plan(self.loader.epoch)):
            rows = self._rows[(self.loader.epoch * self.passes + k // len(self.loader)) % self.views]
            yield self._remembered(rows, batch)

    def _computed(self, rows: Rows) -> Iterator[tuple[Tensor, ...]]:
        """The first time through: each batch's features are kept as they come."""
        for batch, (images, *targets) in self._with_items():
            parts = (self._features(images), *targets)
            rows.put(self._readable(batch), parts)
            yield parts

    def _with_items(self) -> Iterator[tuple[Batch, tuple[Tensor, ...]]]:
        """Batches of pictures with their items; one of which no picture can be opened does not come."""
        given = iter(self.loader)
        for batch in self.loader.plan(self.loader.epoch):
            if len(self._readable(batch)) and (found := next(given, None)) is not None:
                yield batch, found

    def _readable(self, batch: Batch) -> Tensor:
        bad = set().union(*(element.bad for element in self.loader.elements))
        return torch.tensor([item for item in batch.items if item not in bad], dtype=torch.int64)

    def _remembered(self, rows: Rows, batch: Batch) -> tuple[Tensor, ...]:
        """A batch from memory; what sampling with weights had not drawn before is computed now."""
        places = self._readable(batch)
        if not rows.known[places].all():
            missing = torch.unique(places[~rows.known[places]])
            images, *targets = self.loader.load(Batch(batch.epoch, batch.index, tuple(missing.tolist())))
            rows.put(missing, (self._features(images), *targets))
        return rows.get(places)

    def _features(self, images: Tensor) -> Tensor:
        learner, began = self.learner, time.perf_counter()
        if learner.callback(ChannelsLast) is not None:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), learner.forward_context:
            features: Tensor = learner.model.features(images.to(learner.device, non_blocking=True))
        if (timer := learner.callback(Timer)) is not None:
            timer.credit(time.perf_counter() - began)
        return features


def keeps_features(model: Any) -> bool:
    """Whether the model has a body whose features say all that its head needs."""
    return hasattr(model, "features") and hasattr(model, "classify")


def views_that_fit(learner: Any) -> int:
    """How many views of the training pictures have features that a part of the free memory holds.

    Raises ConfigError as `cached_features` does.
    """
    _check(learner)
    inputs, n = learner.loaders.input, learner.train_loader.n
    with torch.no_grad(), evaluating(learner.model):
        row = learner.model.features(torch.zeros(1, inputs.channels, *inputs.size, device=learner.device))
    free = torch.cuda.mem_get_info(learner.device)[0] if learner.device.type == "cuda" else available_memory()
    return int(SHARE * free / (row.nbytes * max(1, n)))


def _check(learner: Any) -> None:
    model, loaders = learner.model, (learner.train_loader, learner.valid_loader)
    if not keeps_features(model):
        raise ConfigError(f"{type(model).__name__} has no frozen body whose features could be kept",
                          hint="use an architecture of timm", key="train.cache_features")  # fmt: skip
    if not all(isinstance(loader, Loader) for loader in loaders if loader is not None) or learner.n_inputs != 1:
        raise ConfigError("features are kept of single pictures from a data block", key="train.cache_features")


@contextlib.contextmanager
def cached_features(learner: Any, views: int = 1) -> Iterator[FeatureLoader]:
    """Inside, the learner trains and validates its head on features of its frozen body, each computed once.

    Gives the training loader. Callbacks see features where they would see pictures. Raises ConfigError for a model that
    has no body and head of its own, and for loaders that are not of a data block.
    """
    _check(learner)
    model, loaders = learner.model, (learner.train_loader, learner.valid_loader)
    learner.train_loader = FeatureLoader(learner, loaders[0], views)
    learner.valid_loader = loaders[1] and FeatureLoader(learner, loaders[1])
    model.forward = model.classify
    try:
        yield learner.train_loader
    finally:
        del model.forward
        learner.train_loader, learner.valid_loader = loaders
