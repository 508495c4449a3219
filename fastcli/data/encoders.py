"""From what an item says (a path, a label) to the element that is batched, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from fastcli.data.items import item_path
from fastcli.errors import DataError
from fastcli.transforms.image import open_image
from fastcli.types import Category, Image, MultiCategory, Regression, TargetInfo, TVTensor, typed


class Encoder:
    """Encodes one value of a sample into a typed element; learns what it needs from the training split alone."""

    element: type[TVTensor]
    """The semantic type it makes."""

    def setup(self, values: Sequence[Any]) -> None:
        """Learn from the values of the training split (a vocabulary, a number of columns)."""

    def encode(self, value: Any) -> Any:
        """The element for `value`."""
        raise NotImplementedError

    def decode(self, element: Any) -> Any:
        """The value that a person understands."""
        return element


class OpenImage(Encoder):
    """Opens an image file as uint8 (channels, height, width)."""

    element = Image

    def __init__(self, mode: Literal["RGB", "L"] = "RGB") -> None:
        self.mode = mode

    def encode(self, value: Any) -> Any:
        """The decoded picture; raises DataError naming a file that cannot be decoded."""
        return open_image(item_path(value), mode=self.mode)


class LabelEncoder(Encoder):
    """Base of the encoders of targets."""

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> torch.Tensor:
        """All values as one tensor (n, …). Raises DataError that names files where a value does not fit."""
        return torch.stack([torch.as_tensor(self.encode(value)) for value in values])

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """What a loss, a metric or a head needs to know; `values` are those of the training split."""
        raise NotImplementedError


class Categorize(LabelEncoder):
    """One class per sample; the vocabulary is the sorted labels of the training split, or the one given."""

    element = Category

    def __init__(self, classes: Sequence[str] | None = None) -> None:
        self.given = classes is not None
        self.classes = tuple(str(name) for name in classes or ())
        self._refuse_duplicates()

    def _refuse_duplicates(self) -> None:
        twice = [name for name, count in Counter(self.classes).items() if count > 1]
        if twice:
            raise DataError(f"data.classes names {twice[0]!r} twice")

    def setup(self, values: Sequence[Any]) -> None:
        """Take the vocabulary from the training split unless it was given."""
        if not self.given:
            self.classes = tuple(sorted({str(value) for value in values}))
        self._index = {name: i for i, name in enumerate(self.classes)}

    def encode(self, value: Any) -> Any:
        """The class's index, int64 ()."""
        return typed(torch.tensor(self._index[str(value)]), Category)

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> torch.Tensor:
        """Indices, int64 (n,)."""
        refuse_unknown(((str(value),) for value in values), self._index, paths)
        return torch.tensor([self._index[str(value)] for value in values], dtype=torch.int64)

    def decode(self, element: Any) -> str:
        """The class's name."""
        return self.classes[int(element)]

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `category`, with the training items per class."""
        return self._counted("category", [str(value) for value in values])

    def _counted(self, kind: str, names: Iterable[str]) -> TargetInfo:
        counts = Counter(names)
        return TargetInfo(kind, len(self.classes), self.classes, tuple(counts[name] for name in self.classes))


class MultiCategorize(Categorize):
    """Any number of classes per sample, encoded as one 0 or 1 per class."""

    element = MultiCategory

    def setup(self, values: Sequence[Any]) -> None:
        """Take the vocabulary from the training split unless it was given."""
        super().setup([name for names in values for name in _names(names)])

    def encode(self, value: Any) -> Any:
        """Zeros and ones, float32 (n_classes,)."""
        hot = torch.zeros(len(self.classes))
        hot[[self._index[name] for name in _names(value)]] = 1.0
        return typed(hot, MultiCategory)

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> torch.Tensor:
        """Zeros and ones, float32 (n, n_classes)."""
        refuse_unknown((_names(value) for value in values), self._index, paths)
        return LabelEncoder.encode_all(self, values, paths).as_subclass(torch.Tensor)

    def decode(self, element: Any) -> list[str]:  # type: ignore[override]
        """The names of the classes whose value is above one half."""
        return [name for name, value in zip(self.classes, element, strict=True) if value > 0.5]

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `multi_category`, with the training items per class."""
        return self._counted("multi_category", (name for names in values for name in _names(names)))


class ToNumbers(LabelEncoder):
    """One or more numbers per sample."""

    element = Regression

    def __init__(self, n_out: int | None = None) -> None:
        self.n_out = n_out

    def setup(self, values: Sequence[Any]) -> None:
        """Take the number of columns from the first value unless it was given."""
        if self.n_out is None:
            first = values[0]
            self.n_out = len(first) if isinstance(first, (list, tuple)) else 1

    def encode(self, value: Any) -> Any:
        """The numbers, float32 (n_out,)."""
        row = [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)]
        return typed(torch.tensor(row, dtype=torch.float32), Regression)

    def encode_all(self, values: Sequence[Any], paths: Sequence[Path]) -> torch.Tensor:
        """The numbers, float32 (n, n_out)."""
        rows = []
        for value, path in zip(values, paths, strict=True):
            try:
                row = torch.as_tensor(self.encode(value))
            except (TypeError, ValueError):
                raise DataError(f"{path}: the target {value!r} is not a number") from None
            if len(row) != self.n_out:
                raise DataError(f"{path}: {len(row)} numbers, but the first sample has {self.n_out}")
            rows.append(row.as_subclass(torch.Tensor))
        return torch.stack(rows)

    def decode(self, element: Any) -> list[float]:
        """The numbers."""
        return [float(value) for value in element.reshape(-1)]

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `regression`."""
        return TargetInfo("regression", self.n_out or 1)


def refuse_unknown(labels: Iterable[Sequence[str]], known: dict[str, int], paths: Sequence[Path]) -> None:
    """Raise a DataError that names files, if a label is not a class of the training split."""
    strangers: dict[str, list[Path]] = {}
    for names, path in zip(labels, paths, strict=True):
        for name in names:
            if name not in known:
                strangers.setdefault(name, []).append(path)
    if not strangers:
        return
    name, files = next(iter(sorted(strangers.items())))
    shown = ", ".join(str(path) for path in files[:3]) + (", …" if len(files) > 3 else "")
    others = f" (and {len(strangers) - 1} more unknown classes)" if len(strangers) > 1 else ""
    raise DataError(
        f"class {name!r} is not in the training split{others}: {shown}",
        hint="move one of its images to the training split, remove these files, or list all classes in data.classes",
    )


def _names(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]
