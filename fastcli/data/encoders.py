"""From what an item says (a path, a label) to the element that is batched, and back.

Encoders of what lies on a picture (masks, points, boxes) are in `spatial_encoders`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image as Pillow
import torch
from torch import Tensor

from fastcli.data.items import item_path
from fastcli.data.values import listed, names_of, number_rows, numbers_of, refuse_unknown, vocabulary
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.image import MAX_PIXELS, from_pillow, open_image
from fastcli.transforms.reduced import Size, open_scaled
from fastcli.transforms.transform import Scaling
from fastcli.types import Category, Image, ImageBW, MultiCategory, Regression, TargetInfo, TVTensor, class_scores, typed

NOT_AVAILABLE = "#na#"
"""The class of what is unknown, where one is added."""


class Encoder:
    """Encodes one value of a sample into a typed element; learns what it needs from the training split alone.

    It also says what a model's outputs mean: `scores`, `decide`.
    """

    element: type[TVTensor]
    """The semantic type it makes."""
    made_from: Literal["file", "value", "canvas"] = "value"
    """Whether a file is opened, the value is enough, or the size of the picture that it lies on is needed too."""

    def setup(self, values: Sequence[Any]) -> None:
        """Learn from the values of the training split (a vocabulary, a number of columns)."""

    def encode(self, value: Any) -> Any:
        """The element for `value`."""
        raise NotImplementedError

    def encode_scaled(self, value: Any, scaling: Callable[[Size], Scaling | None]) -> tuple[Any, Size]:
        """The element for a file, and its height and width there.

        A picture may come in the size already that `scaling`, asked with these, makes of it.
        """
        element = self.encode(value)
        return element, (element.shape[-2], element.shape[-1])

    def signature(self) -> str | None:
        """All that `encode` depends on besides the file; None where nobody has said it, and nothing is kept then."""
        return None

    def decode(self, element: Any) -> Any:
        """The value that a person understands."""
        return element

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """What a loss, a metric or a head needs to know; `values` are those of the training split."""
        return TargetInfo(self.element.__name__.lower(), 1)

    def scores(self, logits: Tensor) -> Tensor:
        """What a model's outputs (n, …) say, in float32: probabilities, or numbers as they are."""
        return logits.float()

    def decide(self, scores: Tensor, threshold: float = 0.5) -> Tensor:
        """The targets (n, …) that are predicted by `scores`; `threshold` is for labels that stand each for itself."""
        return scores


class OpenImage(Encoder):
    """Opens an image file of at most `max_pixels` as uint8 (channels, height, width)."""

    element = Image
    made_from = "file"

    def __init__(self, mode: Literal["RGB", "L"] = "RGB", max_pixels: int = MAX_PIXELS) -> None:
        self.mode, self.max_pixels = mode, max_pixels
        self.element = ImageBW if mode == "L" else Image

    def encode(self, value: Any) -> Any:
        """The picture of a file, a Pillow image or an array; raises DataError naming a file that cannot be decoded."""
        if isinstance(value, np.ndarray):
            value = Pillow.fromarray(value)
        if isinstance(value, Pillow.Image):
            return from_pillow(value, self.mode)
        return open_image(item_path(value), mode=self.mode, max_pixels=self.max_pixels)

    def encode_scaled(self, value: Any, scaling: Callable[[Size], Scaling | None]) -> tuple[Any, Size]:
        """The picture, reduced if it is a JPEG that becomes much smaller anyway, and what it measures in the file."""
        if type(self).encode is not OpenImage.encode or isinstance(value, np.ndarray | Pillow.Image):
            return super().encode_scaled(value, scaling)
        return open_scaled(item_path(value), scaling, mode=self.mode, max_pixels=self.max_pixels)

    def signature(self) -> str | None:
        """The mode."""
        return f"OpenImage({self.mode})" if type(self) is OpenImage else None

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `image`: what is predicted has as many channels."""
        return TargetInfo("image", 1 if self.mode == "L" else 3)


class LabelEncoder(Encoder):
    """Base of the encoders of labels: what a value says, without a file being opened."""

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> Tensor:
        """All values as one tensor (n, …). Raises DataError that names files where a value does not fit."""
        return torch.stack([torch.as_tensor(self.encode(value)) for value in values])


class Categorize(LabelEncoder):
    """One class per sample; the vocabulary is the sorted labels of the training split, or the one given.

    Without `sort` labels stand as they first appear. With `add_na` the first class is `#na#`, which takes every
    unknown label.
    """

    element: type[TVTensor] = Category

    def __init__(self, classes: Sequence[Any] | None = None, *, sort: bool = True, add_na: bool = False) -> None:
        self.given, self.sort, self.add_na = classes is not None, sort, add_na
        self.classes: tuple[str, ...] = ()
        self._take(list(classes or ()))

    def _take(self, labels: Sequence[Any]) -> None:
        first = [NOT_AVAILABLE] if self.add_na else []
        self.classes = (*first, *(str(label) for label in labels if str(label) not in first))
        self._index = {name: i for i, name in enumerate(self.classes)}
        if twice := [name for name, count in Counter(self.classes).items() if count > 1]:
            raise DataError(f"data.classes names {twice[0]!r} twice")

    def setup(self, values: Sequence[Any]) -> None:
        """Take the vocabulary from the training split unless it was given."""
        if not self.given:
            self._take(vocabulary(values, self.sort))

    def encode(self, value: Any) -> Any:
        """The class's index, int64 ()."""
        return typed(torch.tensor(self._position(value)), self.element)

    def _position(self, value: Any) -> int:
        return self._index.get(str(value), 0) if self.add_na else self._index[str(value)]

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> Tensor:
        """Indices, int64 (n,)."""
        if not self.add_na:
            refuse_unknown(((str(value),) for value in values), self._index, paths)
        return torch.tensor([self._position(value) for value in values], dtype=torch.int64)

    def decode(self, element: Any) -> str:
        """The class's name."""
        return self.classes[int(element)]

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (n, n_classes); one output for two classes is the logit of the second.

        >>> Categorize(["a", "b"]).scores(torch.zeros(1, 1))
        tensor([[0.5000, 0.5000]])
        """
        return class_scores(logits)

    def decide(self, scores: Tensor, threshold: float = 0.5) -> Tensor:
        """The index of the likeliest class, int64 (n,)."""
        return scores.argmax(1)

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `category`, with the training items per class."""
        return self._counted("category", (str(value) for value in values), "cross_entropy", "error_rate")

    def _counted(self, kind: str, names: Iterable[str], loss: str = "", *metrics: str) -> TargetInfo:
        counts = Counter(names)
        if self.add_na:
            counts[NOT_AVAILABLE] += sum(count for name, count in counts.items() if name not in self._index)
        numbers = tuple(counts[name] for name in self.classes)
        return TargetInfo(kind, len(self.classes), self.classes, numbers, loss, metrics)


class MultiCategorize(Categorize):
    """Any number of classes per sample, encoded as one 0 or 1 per class."""

    element = MultiCategory

    def setup(self, values: Sequence[Any]) -> None:
        """Take the vocabulary from the training split unless it was given."""
        super().setup([name for names in values for name in listed(names)])

    def encode(self, value: Any) -> Any:
        """Zeros and ones, float32 (n_classes,)."""
        hot = torch.zeros(len(self.classes))
        hot[[self._position(name) for name in listed(value)]] = 1.0
        return typed(hot, self.element)

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> Tensor:
        """Zeros and ones, float32 (n, n_classes)."""
        if not self.add_na:
            refuse_unknown((names_of(value) for value in values), self._index, paths)
        return LabelEncoder.encode_all(self, values, paths).as_subclass(Tensor)

    def decode(self, element: Any) -> list[str]:  # type: ignore[override]
        """The names of the classes whose value is above one half."""
        return [name for name, value in zip(self.classes, element, strict=True) if value > 0.5]

    def scores(self, logits: Tensor) -> Tensor:
        """The probability of each class on its own, (n, n_classes)."""
        return logits.float().sigmoid()

    def decide(self, scores: Tensor, threshold: float = 0.5) -> Tensor:
        """1 for every class above the threshold, float32 (n, n_classes).

        >>> MultiCategorize(["a", "b"]).decide(torch.tensor([[0.2, 0.8]]))
        tensor([[0., 1.]])
        """
        return (scores > threshold).float()

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `multi_category`, with the training items per class."""
        names = (name for value in values for name in names_of(value))
        return self._counted("multi_category", names, "binary_cross_entropy", "accuracy_multi")


class OneHotEncoded(MultiCategorize):
    """Any number of classes per sample, given as one 0 or 1 per class, in the order of `classes`."""

    def __init__(self, classes: Sequence[Any] | None = None) -> None:
        if classes is None:
            hint = "list the classes in data.classes, in the order of the columns"
            raise ConfigError("labels of zeros and ones do not name their classes", hint=hint, key="data.classes")
        super().__init__(classes)

    def encode(self, value: Any) -> Any:
        """Zeros and ones, float32 (n_classes,)."""
        return typed(torch.tensor(numbers_of(value)), self.element)

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> Tensor:
        """Zeros and ones, float32 (n, n_classes). Raises DataError naming a file with other numbers."""
        rows = number_rows(values, paths, len(self.classes))
        for row, path in zip(rows, paths, strict=True):
            if any(number not in (0, 1) for number in row):
                raise DataError(f"{path}: labels must be 0 or 1, these are {row}")
        return torch.tensor(rows)

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `multi_category`, with the training items per class."""
        return super().info([self.decode(numbers_of(value)) for value in values])


class ToNumbers(LabelEncoder):
    """One or more numbers per sample."""

    element = Regression

    def __init__(self, n_out: int | None = None) -> None:
        self.n_out = n_out

    def setup(self, values: Sequence[Any]) -> None:
        """Take the number of columns from the first value unless it was given."""
        if self.n_out is None and len(values):
            self.n_out = len(listed(values[0]))

    def encode(self, value: Any) -> Any:
        """The numbers, float32 (n_out,)."""
        return typed(torch.tensor(numbers_of(value)), Regression)

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> Tensor:
        """The numbers, float32 (n, n_out). Raises DataError naming two files whose numbers differ in count."""
        return torch.tensor(number_rows(values, paths, self.n_out or 1)).reshape(len(values), -1)

    def decode(self, element: Any) -> list[float]:
        """The numbers."""
        return [float(value) for value in element.reshape(-1)]

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `regression`."""
        return TargetInfo("regression", self.n_out or 1, loss="mean_squared", metrics=("mae",))
