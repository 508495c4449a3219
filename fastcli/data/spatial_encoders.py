"""Encoders of targets that lie on the picture: masks, points, boxes and what is in the boxes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fastcli.data.encoders import Categorize, Encoder
from fastcli.data.items import item_path
from fastcli.data.values import listed, names_of, number_rows, numbers_of, refuse_unknown, vocabulary
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.masks import open_mask
from fastcli.types import BoundingBoxes, KeyPoints, Mask, TargetInfo, class_scores, typed

LOOKED_AT = 64
"""Training masks that are opened to find the codes, where none are given."""


class OpenMask(Encoder):
    """Opens a mask file, whose pixels are codes of classes, as uint8 (1, height, width).

    `classes` names the codes from 0 on, or says how many there are; without it some training masks are opened to see.
    For two classes 0 and 255 mean 0 and 1. The loop sees int64 (n, height, width).
    """

    element = Mask
    made_from = "file"

    def __init__(self, classes: Sequence[Any] | int | None = None) -> None:
        if isinstance(classes, int):
            classes = range(classes)
        self.given = classes is not None
        self.classes = tuple(str(name) for name in classes or ())

    def setup(self, values: Sequence[Any]) -> None:
        """Find the codes in masks of the training split, unless they were given."""
        if not self.given:
            found = sorted(set().union(*map(_codes_in, values[:: max(1, len(values) // LOOKED_AT)])))
            binary = set(found) <= {0, 255}
            self.classes = tuple(str(code) for code in range(2 if binary else max(2, found[-1] + 1)))

    def encode(self, value: Any) -> Any:
        """The codes; raises DataError naming a file that cannot be opened or has a code of no class."""
        mask, n = open_mask(item_path(value)).as_subclass(Tensor), len(self.classes)
        if n == 2 and 255 in mask:
            mask = torch.where(mask == 255, 1, mask)
        if mask.numel() and int(mask.max()) >= n:
            raise DataError(
                f"{item_path(value)}: the mask has the code {int(mask.max())}, but the {n} classes are 0 to {n - 1}",
                hint="name every code in data.classes, or set data.target: {name: mask, codes: NUMBER}",
            )
        return typed(mask, Mask)

    def signature(self) -> str | None:
        """The number of classes."""
        return f"OpenMask({len(self.classes)})" if type(self) is OpenMask else None

    def decode(self, element: Any) -> list[str]:
        """The names of the classes that occur."""
        return [self.classes[code] for code in element.unique().tolist()]

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (n, n_classes, height, width); one output for two classes is the logit of the second."""
        return class_scores(logits)

    def decide(self, scores: Tensor, threshold: float = 0.5) -> Tensor:
        """The likeliest code of each pixel, int64 (n, height, width)."""
        return scores.argmax(1)

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `mask`."""
        n = len(self.classes)
        return TargetInfo("mask", n, self.classes, loss="cross_entropy", metrics=("foreground_accuracy", "dice"))


class AnnotationEncoder(Encoder):
    """Base of what is drawn on a picture: `encode` gives its numbers, `lay` lays them on the opened picture."""

    made_from = "canvas"
    wanted: ClassVar[int]
    """Numbers of one point or box."""

    def encode(self, value: Any) -> Tensor:
        """The numbers, float32 (count, wanted), in pixels of the opened picture."""
        return torch.tensor(numbers_of(value)).reshape(-1, self.wanted)

    def encode_each(self, values: Sequence[Any], paths: Sequence[Path]) -> list[Tensor]:
        """The numbers of every value. Raises DataError naming the file of one that does not fit."""
        for row, path in zip(number_rows(values, paths), paths, strict=True):
            if len(row) % self.wanted:
                raise DataError(
                    f"{path}: {len(row)} numbers, but each of its {self.element.__name__} has {self.wanted}"
                )
        return [self.encode(value) for value in values]

    def lay(self, numbers: Tensor, canvas: tuple[int, int] | None) -> Any:
        """The element on a picture of `canvas` (height, width)."""
        raise NotImplementedError

    def scores(self, logits: Tensor) -> Tensor:
        """The numbers (n, count, wanted)."""
        return logits.float().reshape(len(logits), -1, self.wanted)

    def decode(self, element: Any) -> list[list[float]]:
        """The numbers of each point or box."""
        return [list(map(float, row)) for row in element.reshape(-1, self.wanted).tolist()]


class PointsEncoder(AnnotationEncoder):
    """The same number of points on every picture, as x and y in its pixels (or y and x); targets are (n, count, 2)."""

    element = KeyPoints
    wanted = 2

    def __init__(self, count: int | None = None, order: Literal["xy", "yx"] = "xy") -> None:
        self.count, self.order = count, order

    def setup(self, values: Sequence[Any]) -> None:
        """Take the number of points from the first value unless it was given."""
        if self.count is None and len(values):
            with contextlib.suppress(TypeError, ValueError):  # what is no number is told with its file later
                self.count = len(numbers_of(values[0])) // 2

    def encode(self, value: Any) -> Tensor:
        """The points, float32 (count, 2), x first, in pixels of the opened picture."""
        points = super().encode(value)
        return points.flip(1) if self.order == "yx" else points

    def encode_each(self, values: Sequence[Any], paths: Sequence[Path]) -> list[Tensor]:
        """The points of every value. Raises DataError naming files whose points differ in number."""
        for row, path in zip(number_rows(values, paths), paths, strict=True):
            if len(row) % 2:
                hint = "data.label: {name: column, column: [x, y]} takes two columns"
                raise DataError(f"{path}: a point has two numbers, x and y; here are {len(row)}", hint=hint)
        number_rows(values, paths, 2 * (self.count or 0))
        return [self.encode(value) for value in values]

    def lay(self, numbers: Tensor, canvas: tuple[int, int] | None) -> Any:
        """The points on a picture of `canvas`."""
        return KeyPoints(numbers, canvas_size=_known(canvas))

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `points`: two numbers for each."""
        return TargetInfo("points", 2 * (self.count or 0), loss="mean_squared", metrics=("mae",))


class BoxesEncoder(AnnotationEncoder):
    """Any number of boxes on a picture, as left, top, right, bottom in its pixels (or top, left, bottom, right)."""

    element = BoundingBoxes
    wanted = 4

    def __init__(self, order: Literal["ltrb", "tlbr"] = "ltrb") -> None:
        self.order = order

    def encode(self, value: Any) -> Tensor:
        """The boxes, float32 (count, 4), in pixels of the opened picture."""
        boxes = super().encode(value)
        return boxes[:, [1, 0, 3, 2]] if self.order == "tlbr" else boxes

    def lay(self, numbers: Tensor, canvas: tuple[int, int] | None) -> Any:
        """The boxes on a picture of `canvas`."""
        return BoundingBoxes(numbers, format="XYXY", canvas_size=_known(canvas))

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `boxes`: four numbers for each."""
        return TargetInfo("boxes", 4)


class BoxLabels(Categorize):
    """The class of each box; without `add_na` the places of boxes that a picture lacks hold -1, else `#na#`."""

    def __init__(self, classes: Sequence[Any] | None = None, *, add_na: bool = True) -> None:
        super().__init__(classes, add_na=add_na)
        self.padding = 0 if add_na else -1

    def setup(self, values: Sequence[Any]) -> None:
        """Take the vocabulary from the training split unless it was given."""
        super().setup(vocabulary([name for names in values for name in listed(names)]))

    def encode(self, value: Any) -> Any:
        """The index of each box's class, int64 (count,)."""
        return typed(torch.tensor([self._position(name) for name in listed(value)], dtype=torch.int64), self.element)

    def encode_each(self, values: Sequence[Any], paths: Sequence[Path]) -> list[Tensor]:
        """The indices of every value. Raises DataError naming files of unknown classes."""
        if not self.add_na:
            refuse_unknown((names_of(value) for value in values), self._index, paths)
        return [self.encode(value).as_subclass(Tensor) for value in values]

    def decode(self, element: Any) -> list[str]:  # type: ignore[override]
        """The class of each box."""
        return [self.classes[i] for i in element.reshape(-1).tolist() if i >= 0]

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `box_labels`, with the boxes per class."""
        names = [name for value in values for name in names_of(value)]
        return self._counted("box_labels", names)


def _codes_in(value: Any) -> set[int]:
    """The codes in a mask file; none where it cannot be opened, which is told when it is needed."""
    try:
        return set(open_mask(item_path(value)).unique().tolist())
    except DataError:
        return set()


def _known(canvas: tuple[int, int] | None) -> tuple[int, int]:
    if canvas is None:
        raise ConfigError("points and boxes need a picture that they lie on", hint="put an image block before them")
    return canvas
