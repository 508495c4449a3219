"""fastai's way to write a transform: `encodes`, told by the annotation of its argument what it is for.

    class Grey(Transform):
        def encodes(self, img: PILImage): return PILImageBW.create(img)

`encodes` on `PILImage` and `PILMask` works on single pictures before they are batched; on `TensorImage` it works on
batches of pictures from 0 to 1, (n, channels, height, width), and in training only. Transforms run in the order in
which they are given.
"""

from __future__ import annotations

import inspect
import random
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.transforms.normalize import Normalize
from fastcli.transforms.pixels import PixelTransform
from fastcli.transforms.transform import ItemTransform
from fastcli.types import Image, Mask, typed
from fastcli.vision.core import listed
from fastcli.vision.pictures import PILBase, PILImage, PILImageBW, PILMask

__all__ = ["IntToFloatTensor", "RandTransform", "ToTensor", "Transform"]

Encode = Callable[..., Any]


class _Body(dict[str, Any]):
    """The body of a class, in which `encodes` may be defined several times."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "encodes":
            self.setdefault("_own", []).append(value)
        super().__setitem__(name, value)


class _Collecting(type):
    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **kwargs: Any) -> Any:
        return _Body()

    def __new__(cls, name: str, bases: tuple[type, ...], body: Any, **kwargs: Any) -> Any:
        return super().__new__(cls, name, bases, dict(body), **kwargs)


class Transform(ItemTransform, metaclass=_Collecting):
    """Base of transforms in fastai's style; `Transform(function)` makes one of a function.

    `split_idx` 0 is for training alone, 1 for validation alone.
    """

    split_idx: int | None = None
    order = 0
    random = True  # what it gives is not kept: it may differ from one split to the other
    _own: Sequence[Encode] = ()

    def __init__(self, enc: Encode | None = None, dec: Any = None, split_idx: int | None = None,
                 order: int | None = None) -> None:  # fmt: skip
        if enc is not None:
            self._own = [lambda self, x, enc=enc: enc(x)]
            self._own[0].__annotations__ = {"x": _first_annotation(enc)}
        self.split_idx = self.split_idx if split_idx is None else split_idx
        self.order = self.order if order is None else order

    def __call__(self, x: Any, split_idx: int | None = None) -> Any:
        """What it makes of one thing."""
        return x if (found := self._encode_of(type(x))) is None else found(self, x)

    @property
    def on_batches(self) -> bool:
        """Whether it is for batches of pictures."""
        return any(_is_tensor_type(_first_annotation(encode)) for encode in self._encodes())

    def draw(self, n: int, generator: Generator) -> Tensor:
        """A number for each sample, which only says that this is training, and what the sample's draws begin with."""
        return torch.randint(2**31, (n, 1), generator=generator)

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The transformed picture or mask; of other types the element itself."""
        split = 1 if row is None else 0
        picture = _picture(element)
        encode = None if picture is None else self._encode_of(type(picture))
        if encode is None or self.split_idx not in (None, split):
            return element
        if not self._begins(0 if row is None else int(row), picture, split):
            return element
        return _back(encode(self, picture), element)

    def _begins(self, seed: int, picture: Any, split: int) -> bool:
        return True

    def _encodes(self) -> list[Encode]:
        inherited = [encode for kind in type(self).__mro__ for encode in vars(kind).get("_own", ())]
        return [*vars(self).get("_own", ()), *inherited]

    def _encode_of(self, kind: type) -> Encode | None:
        for encode in self._encodes():
            wanted = _first_annotation(encode)
            if wanted is Any or (isinstance(wanted, type) and issubclass(kind, wanted)):
                return encode
        return None


class RandTransform(Transform):
    """A transform with probability `p`, of training alone; `before_call` makes the draws, from Python's `random`.

    All parts of a sample get the same draws. With a `split_idx` of None validation draws too, always the same.
    """

    split_idx, do = 0, True

    def __init__(self, p: float = 1.0, nm: str | None = None, before_call: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.p = p
        if before_call is not None:
            self.before_call = before_call  # type: ignore[method-assign]

    def before_call(self, b: Any, split_idx: int) -> None:
        """Make the draws for a sample; `do` says whether anything is done."""
        self.do = self.p == 1.0 or random.random() < self.p

    def _begins(self, seed: int, picture: Any, split: int) -> bool:
        state = random.getstate()
        random.seed(seed)
        try:
            self.before_call(picture, split)
        finally:
            random.setstate(state)
        return self.do


class _OnBatches(PixelTransform):
    """A transform of batches, in training."""

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __repr__(self) -> str:
        return type(self.transform).__name__

    def apply(self, images: Tensor, params: Tensor, generator: Generator) -> Tensor:
        """Changed pictures."""
        changed = self.transform(typed(images, Image))
        return changed.as_subclass(Tensor)  # type: ignore[no-any-return]


class ToTensor:
    """What every picture goes through, whether it is named or not."""


class IntToFloatTensor(ToTensor):
    """What every batch of pictures goes through, whether it is named or not."""


def arranged(items: Sequence[Any], batches: Sequence[Any]) -> tuple[list[Any], list[Any], Any]:
    """Item transforms, batch transforms and the normalisation, from what fastai takes in two lists.

    Lists in lists are laid out flat, and classes are made. `Normalize` may stand among the batch transforms.
    """
    made = _flat(batches)
    normalize: Any = next((t for t in made if isinstance(t, Normalize)), None)
    if normalize is not None and not normalize.mean:
        normalize = "dataset"
    others = [_on_batches(t) if isinstance(t, Transform) else t for t in made if not isinstance(t, Normalize)]
    return [Transform(t) if inspect.isfunction(t) else t for t in _flat(items)], others, normalize


def _flat(transforms: Sequence[Any]) -> list[Any]:
    made = [t() if isinstance(t, type) else t for part in transforms for t in listed(part)]
    return [t for t in made if not isinstance(t, ToTensor)]


def _on_batches(transform: Transform) -> _OnBatches:
    if not transform.on_batches or transform.split_idx == 1:
        raise ConfigError(
            f"{type(transform).__name__} among batch_tfms changes batches of pictures in training, or nothing",
            hint="annotate its encodes with TensorImage, or give it as an item_tfm",
        )
    return _OnBatches(transform)


def _first_annotation(function: Encode) -> Any:
    """What the first argument, but for self, is annotated with; Any where it is not."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    try:
        hints = typing.get_type_hints(function)
    except NameError:
        hints = getattr(function, "__annotations__", {})
    return hints.get(names[0], Any) if names else Any


def _is_tensor_type(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Tensor)


def _picture(element: Any) -> Any:
    if isinstance(element, Mask):
        return PILMask.create(element)
    if isinstance(element, Image):
        return (PILImageBW if element.shape[-3] == 1 else PILImage).create(element)
    return None


def _back(made: Any, element: Any) -> Any:
    """What a transform gave, as an element again."""
    if isinstance(made, Tensor):
        return typed(made.as_subclass(Tensor), type(element))
    made = made if isinstance(made, PILBase) else np.asarray(made)
    pixels = np.array(made)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return typed(torch.from_numpy(pixels).permute(2, 0, 1), type(element))
