"""Semantic types and the dispatch over them.

Images, masks, boxes and points are torchvision's `tv_tensors`; labels are ours. A function that treats types
differently is declared with `@dispatched` and gets one kernel per type; a user's own type joins with
`register_kernel`, without touching the library. A type without a kernel is an error, never a silent pass-through.

    @dispatched
    def crop(element, box): "The part of `element` inside `box`."

    @register_kernel(crop, Image)
    def crop_image(image, box): ...

Types live on the item and batch side; from the last batch transform on, the loop sees plain tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torchvision.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, TVTensor

from fastcli.errors import ConfigError, did_you_mean

__all__ = ["BoundingBoxes", "Category", "Image", "ImageBW", "InputInfo", "KeyPoints", "Label", "Mask", "MultiCategory",
           "NoKernelError", "Regression", "TVTensor", "TargetInfo", "class_logits", "class_scores", "dispatched",
           "kernel_of", "register_kernel", "typed"]  # fmt: skip

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


class ImageBW(Image):  # type: ignore[misc]
    """A grey image, (..., 1, height, width)."""


class Label(TVTensor):  # type: ignore[misc]
    """Base of what is predicted but not drawn on the image; geometric transforms leave it alone."""


class Category(Label):
    """The index of one class: int64, ()."""


class MultiCategory(Label):
    """One 0 or 1 per class: float32, (n_classes,)."""


class Regression(Label):
    """One or more numbers: float32, (n_out,) or ()."""


def typed(tensor: torch.Tensor, like: type[TVTensor]) -> Any:
    """`tensor` as an instance of the semantic type `like`, sharing its memory."""
    return tensor.as_subclass(like)


@dataclass(frozen=True)
class InputInfo:
    """What a model may want to know about its input."""

    channels: int
    size: tuple[int, int]
    """Height and width in pixels, after the last transform."""


@dataclass(frozen=True)
class TargetInfo:
    """What a loss, a metric or a head may want to know about the target."""

    kind: str
    """`category`, `multi_category`, `regression`, `mask`, `points`, `boxes`, or a word of a plugin."""
    n_out: int
    """Classes, or numbers to predict."""
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    """Training items per class, in the order of `classes`."""
    loss: str = ""
    """The loss that is taken when none is chosen."""
    metrics: tuple[str, ...] = ()
    """The metrics that are shown when none are chosen."""

    def require(self, component: str, *kinds: str) -> None:
        """Do nothing if the target is of one of `kinds`, which `component` needs; else raise ConfigError.

        A plugin's kind of target may propose the components of other kinds.
        """
        if self.kind not in kinds and component not in (self.loss, *self.metrics):
            raise ConfigError(f"{component} does not fit a {self.kind} target", hint=f"it needs {' or '.join(kinds)}")

    def index_of(self, given: int | str) -> int:
        """The number of a class that is given by its name or its number. Raises ConfigError for an unknown name.

        >>> TargetInfo("mask", 2, ("sky", "void")).index_of("void")
        1
        """
        if isinstance(given, str) and given not in self.classes:
            raise ConfigError(f"unknown class {given!r}", hint=did_you_mean(given, self.classes))
        return self.classes.index(given) if isinstance(given, str) else given


class NoKernelError(ConfigError, TypeError):
    """A function that treats types differently has met one that it does not know."""


def class_logits(logits: torch.Tensor) -> torch.Tensor:
    """Logits with a column per class: one output for two classes is the logit of the second, beside a 0 for the first.

    >>> class_logits(torch.tensor([[3.0], [-2.0]])).argmax(dim=1)
    tensor([1, 0])
    """
    return torch.cat([torch.zeros_like(logits), logits], dim=1) if logits.shape[1] == 1 else logits


def class_scores(logits: torch.Tensor) -> torch.Tensor:
    """The probability of every class, float32 (n, classes, …)."""
    return class_logits(logits.float()).softmax(dim=1)


KERNELS: dict[str, dict[type, Callable[..., Any]]] = {}
"""The one table: function name -> type -> kernel."""


def dispatched(function: Kernel) -> Kernel:
    """Declare a function whose work is done by the kernel of its first argument's type."""
    name = function.__qualname__
    KERNELS[name] = {}

    @functools.wraps(function)
    def call(element: Any, *args: Any, **kwargs: Any) -> Any:
        return kernel_of(name, type(element))(element, *args, **kwargs)

    return call  # type: ignore[return-value]


def kernel_of(function: str | Callable[..., Any], type_: type) -> Callable[..., Any]:
    """The kernel of `function` for `type_` or its nearest base. Raises NoKernelError where there is none."""
    name = function if isinstance(function, str) else function.__qualname__
    table = KERNELS[name]
    for base in type_.__mro__:
        if base in table:
            return table[base]
    known = ", ".join(sorted(t.__name__ for t in table))
    raise NoKernelError(f"{name} has no kernel for {type_.__name__}; it has kernels for {known}")


def register_kernel(function: Callable[..., Any], *types: type) -> Callable[[Kernel], Kernel]:
    """Decorator: use this kernel of `function` for `types` and their subclasses."""

    def decorate(kernel: Kernel) -> Kernel:
        for type_ in types:
            KERNELS[function.__qualname__][type_] = kernel
        return kernel

    return decorate
