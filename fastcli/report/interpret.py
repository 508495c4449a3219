"""Interpretation: where a model is wrong, from one pass over the data whose results are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastcli.data.loader import Loader
from fastcli.data.plan import Batch
from fastcli.errors import ConfigError
from fastcli.events import Callback, CancelBatch
from fastcli.learner.answers import item_losses
from fastcli.learner.gather import Rows
from fastcli.learner.inference import in_order, items_of, pass_over
from fastcli.metrics.counts import confusion_counts, ratio
from fastcli.report.classes import ClassificationReport, report_of
from fastcli.report.confusion import plot_confusion
from fastcli.report.worst import plot_worst
from fastcli.show.grid import Part, Sample
from fastcli.show.kernels import in_words
from fastcli.types import (
    Category,
    Image,
    KeyPoints,
    Label,
    Mask,
    MultiCategory,
    Regression,
    TargetInfo,
    class_scores,
    typed,
)

LABELS: dict[str, type[Label]] = {"category": Category, "multi_category": MultiCategory, "regression": Regression}
"""What is said above a picture; masks and points are drawn on it, and what a plugin adds is decoded by its encoder."""


class TopLosses(NamedTuple):
    """The items with the largest or smallest losses, in this order."""

    losses: Tensor
    indices: Tensor


class Interpretation:
    """What a model said of every item of a set, what was right, and the loss of each.

    `scores` are probabilities (n, classes) or numbers; of masks only what was decided is kept, `decisions` (n, h, w).
    `names` are the items' files, where they have any.
    """

    def __init__(
        self,
        target: TargetInfo,
        scores: Tensor | None,
        decisions: Tensor,
        targets: Tensor,
        losses: Tensor,
        *,
        names: Sequence[str] = (),
        samples: Callable[[Sequence[int]], list[Sample]] | None = None,
    ) -> None:
        self.target, self.scores, self.decisions, self.targets = target, scores, decisions, targets
        self.losses, self.names, self._samples = losses, list(names), samples
        self.classes = list(target.classes) or [str(i) for i in range(target.n_out)]

    def __len__(self) -> int:
        return len(self.losses)

    def __repr__(self) -> str:
        return f"Interpretation({len(self)} items, {self.target.n_out} {self.target.kind} outputs)"

    @classmethod
    def from_learner(cls, learner: Any, loader: Any = None, *, target: TargetInfo | None = None) -> Interpretation:
        """The interpretation of `loader`'s items, or else of the validation split, from one pass over them.

        They are taken in their order, without random views. `target` is needed for loaders that do not say what their
        targets are.
        """
        loader = in_order(learner.valid_loader if loader is None else loader)
        target = target or learner.target_info
        if target is None:
            raise ConfigError("these loaders do not say what their targets are", hint="give target=TargetInfo(…)")
        gather = _Gather(target)
        pass_over(learner, loader, gather)
        found = {name: rows.value() for name, rows in gather.kept.items()}
        if found["losses"] is None:
            raise ConfigError("there is nothing to interpret: the loader has no items")
        names, samples = files_of(learner.loaders, loader)
        return cls(target, **found, names=names, samples=samples)

    @classmethod
    def from_arrays(
        cls,
        logits: Tensor,
        targets: Tensor,
        losses: Tensor,
        target: TargetInfo,
        *,
        names: Sequence[str] = (),
        images: Tensor | None = None,
        samples: Callable[[Sequence[int]], list[Sample]] | None = None,
    ) -> Interpretation:
        """The interpretation of what a model gave.

        The plots need `images` (n, channels, h, w) from 0 to 1, or `samples`, which gives those of some items.
        """
        scores, decisions = read(logits, target)
        made = cls(target, scores, decisions, compact(targets, target), losses, names=names, samples=samples)
        if images is not None:
            made._samples = lambda indices: [made._sample(images[i], i) for i in indices]
        return made

    def _sample(self, image: Tensor, index: int) -> Sample:
        canvas = (image.shape[-2], image.shape[-1])
        return [(typed(image, Image), None), self._part(self.targets[index], canvas)]

    def top_losses(self, k: int | None = None, *, largest: bool = True) -> TopLosses:
        """The `k` largest losses, or smallest, and whose they are; all of them in order for None."""
        losses, indices = self.losses.topk(len(self) if k is None else min(k, len(self)), largest=largest)
        return TopLosses(losses, indices)

    @cached_property
    def _confusion(self) -> Tensor:
        self.target.require("a confusion matrix", "category", "mask")
        return confusion_counts(self.decisions.long(), self.targets.long().reshape(self.decisions.shape),
                                len(self.classes))  # fmt: skip

    def confusion_matrix(self) -> Tensor:
        """How often each class (row) was predicted as each (column), of items or pixels, int64 (classes, classes)."""
        return self._confusion.clone()

    def class_counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """How often each class was rightly predicted, predicted, and true, int64 (classes,) each."""
        if self.target.kind == "multi_category":
            given, true = self.decisions.bool(), self.targets.bool()
            return (given & true).sum(0), given.sum(0), true.sum(0)
        return self._confusion.diag(), self._confusion.sum(0), self._confusion.sum(1)

    def most_confused(self, min_value: int = 1) -> list[tuple[str, str, int]]:
        """Actual and predicted class and how often, for every pair confused at least `min_value` times, worst first."""
        pairs = [(self.classes[i], self.classes[j], count) for i, row in enumerate(self._confusion.tolist())
                 for j, count in enumerate(row) if i != j and count >= max(1, min_value)]  # fmt: skip
        return sorted(pairs, key=lambda pair: -pair[2])

    def classification_report(self) -> ClassificationReport:
        """Precision, recall, F1 and support of each class, of items, labels or pixels; prints as a table."""
        return report_of(*self.class_counts(), self.classes, several=self.target.kind == "multi_category")

    def intersection_over_union(self) -> dict[str, float]:
        """The share that predicted and true area of each class have in common; NaN for a class that is nowhere."""
        matrix = self._confusion.double()
        union = matrix.sum(0) + matrix.sum(1) - matrix.diag()
        figures = ratio(matrix.diag(), union).tolist()
        pairs = zip(self.classes, figures, union.tolist(), strict=True)
        return {name: figure if area else math.nan for name, figure, area in pairs}

    def plot_confusion_matrix(self, where: Any = None, *, normalize: bool = False) -> Any:
        """A figure of the confusion matrix; `where` is a path to write to, or matplotlib's axes to draw on.

        With `normalize` the numbers are shares of a row.
        """
        return plot_confusion(self._confusion.tolist(), self.classes, where, normalize=normalize)

    def plot_top_losses(
        self, k: int = 9, path: Path | str | None = None, *, largest: bool = True, **layout: Any
    ) -> Any:
        """A figure of the items with the largest losses, or smallest, and what was predicted; written to `path`.

        `layout` may say `rows`, `columns` and `figsize` (in inches).
        """
        return self.plot_items(self.top_losses(k, largest=largest).indices.tolist(), path, **layout)

    def plot_items(self, indices: Sequence[int], path: Path | str | None = None, **layout: Any) -> Any:
        """A figure of these items, with the loss and what was predicted; see `plot_top_losses`."""
        rows = [self._row(sample, i) for sample, i in zip(self.samples(indices), indices, strict=True)]
        sure = [self._sureness(i) for i in indices]
        losses = self.losses[list(indices)].tolist()
        return plot_worst([row[0] for row in rows], [row[1] for row in rows], losses, sure, path, **layout)

    @property
    def has_pictures(self) -> bool:
        """Whether the items can be shown."""
        return self._samples is not None

    def samples(self, indices: Sequence[int]) -> list[Sample]:
        """These items as the model saw them, decoded for showing. Raises ConfigError where there are no pictures."""
        if self._samples is None:
            hint = "give from_arrays its images, or make the loaders with a DataBlock"
            raise ConfigError("there are no pictures of these items", hint=hint)
        return self._samples(indices)

    def _row(self, sample: Sample, index: int) -> tuple[Sample, Part]:
        """A sample and what was predicted for it, both in the same words."""
        canvas = next((tuple(element.shape[-2:]) for element, _ in sample if isinstance(element, Image)), None)
        if self.target.kind in (*LABELS, "mask", "points"):
            sample = [*sample[:-1], self._part(self.targets[index], canvas)]
        return sample, self._part(self.decisions[index], canvas)

    def _sureness(self, index: int) -> float | None:
        """The probability of what was predicted, where it has one."""
        if self.scores is None or self.target.kind != "category":
            return None
        return self.scores[index].max().item()

    def _part(self, value: Tensor, canvas: Any) -> Part:
        """A target or decision for showing."""
        kind = self.target.kind
        if kind == "mask":
            return typed(value[None], Mask), None
        if kind == "points":
            height, width = canvas
            pixels = (value.float().reshape(-1, 2) + 1) * (value.new_tensor([width, height]) / 2)
            return KeyPoints(pixels, canvas_size=(height, width)), None
        return typed(value, LABELS.get(kind, Label)), in_words(self._words(value))

    def _words(self, value: Tensor) -> Any:
        if self.target.kind == "category":
            return self.classes[int(value)]
        if self.target.kind == "multi_category":
            return [name for name, given in zip(self.classes, value.flatten(), strict=True) if given > 0.5] or "nothing"
        return value.flatten().tolist()


def read(logits: Tensor, target: TargetInfo) -> tuple[Tensor | None, Tensor]:
    """What logits say: scores (None for masks, whose scores would fill the memory), and what they decide."""
    if target.kind == "mask":
        return None, compact(class_scores(logits).argmax(dim=1), target)
    if target.kind == "category":
        scores = class_scores(logits)
        return scores, scores.argmax(dim=1)
    if target.kind == "multi_category":
        scores = logits.float().sigmoid()
        return scores, scores > 0.5
    return logits.float(), logits.float()


def compact(targets: Tensor, target: TargetInfo) -> Tensor:
    """Masks in the smallest type that holds every class and 255, others as they are."""
    if target.kind != "mask":
        return targets
    return targets.to(torch.uint8 if target.n_out <= 256 else torch.int32)


class _Gather(Callback):
    """Keeps what `Interpretation` needs of each batch, and ends it after the prediction."""

    order = 1000  # after all that changes predictions

    def __init__(self, target: TargetInfo) -> None:
        self.target = target
        self.kept = {name: Rows() for name in ("scores", "decisions", "targets", "losses")}

    def after_predict(self, learner: Any) -> None:
        if isinstance(learner.targets, tuple):
            raise ConfigError("an interpretation is of one target, and these items have several")
        scores, decisions = read(learner.prediction, self.target)
        if scores is not None:
            self.kept["scores"].add(scores)
        self.kept["decisions"].add(decisions)
        self.kept["targets"].add(compact(learner.targets, self.target))
        self.kept["losses"].add(item_losses(learner.loss_fn, learner.prediction, learner.targets))
        raise CancelBatch


def files_of(loaders: Any, loader: Any) -> tuple[list[str], Callable[[Sequence[int]], list[Sample]] | None]:
    """The files of a loader's items, and what opens some of them; nothing for items that are no files."""
    items = items_of(loader)
    if items is None or not isinstance(loader, Loader) or not hasattr(loaders, "samples"):
        return [], None

    def samples(indices: Sequence[int]) -> list[Sample]:
        opened: list[Sample] = loaders.samples(loader.load(Batch(0, 0, tuple(items[i] for i in indices))), len(indices))
        return opened

    return [loader.name_of(item) for item in items], samples
