"""torchvision's transforms of single elements under their names in snake_case, made reproducible.

They draw from torch's global generator, which the training loop uses at the same time from another thread. Here each
sample has a seed of its own, drawn like every other parameter, and while a transform runs its thread sends all random
operators to a generator with that seed: the global one is neither read nor moved, and the order of samples is of
no account. Every element of a sample starts from the same seed, and torchvision's geometric classes draw by the size of
the canvas alone, so that an image and its mask move together.

Random ones act in training only, the deterministic ones (`FIXED`) in validation too.

| classes        | image | mask, points, boxes | labels |
|----------------|-------|---------------------|--------|
| `GEOMETRIC`    | moved | moved               | kept   |
| `COLOUR`       | drawn | kept                | kept   |
| `POLICIES`     | both  | an error            | kept   |

Left out: what is not for one element (MixUp, CutMix, FiveCrop, TenCrop, RandomIoUCrop and the Sanitize classes, which
drop boxes, UniformTemporalSubsample), what YAML cannot give (Lambda, Compose, RandomApply, RandomChoice, RandomOrder,
LinearTransformation), conversions of type and meta data (ToDtype, ToImage, RGB, ClampBoundingBoxes, …), and what the
library has itself (Resize, RandomCrop, RandomResizedCrop, Normalize, and JPEG, which torchvision is dropping).
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2
from torchvision.tv_tensors import wrap

from fastcli.errors import ConfigError
from fastcli.registry import item_transforms
from fastcli.transforms.spatial import canvas
from fastcli.transforms.transform import Interpolation, ItemTransform, Probability
from fastcli.types import BoundingBoxes, Image, KeyPoints, Mask, NoKernelError

__all__ = ["COLOUR", "FIXED", "GEOMETRIC", "POLICIES", "Foreign", "OwnRandomNumbers"]

GEOMETRIC = ("CenterCrop", "ElasticTransform", "Pad", "RandomAffine", "RandomHorizontalFlip", "RandomPerspective",
             "RandomResize", "RandomRotation", "RandomShortestSize", "RandomVerticalFlip", "RandomZoomOut",
             "ScaleJitter")  # fmt: skip
COLOUR = ("ColorJitter", "GaussianBlur", "GaussianNoise", "Grayscale", "RandomAdjustSharpness",
          "RandomAutocontrast", "RandomChannelPermutation", "RandomEqualize", "RandomErasing", "RandomGrayscale",
          "RandomInvert", "RandomPhotometricDistort", "RandomPosterize", "RandomSolarize")  # fmt: skip
POLICIES = ("AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide")
"""These move the image without telling where, so that nothing can follow it."""
FIXED = ("CenterCrop", "Grayscale", "Pad")
CHANGING_SIZE = ("RandomResize", "RandomShortestSize", "RandomZoomOut", "ScaleJitter")
"""Random ones whose outputs differ in size, so that a resize has to follow them."""
COUNTING_PIXELS = ("RandomHorizontalFlip", "RandomVerticalFlip")
"""These take a point as the number of a pixel, all others as a place, where that pixel's middle is half a step on."""

Fill = float | Sequence[float] | None
Amount = float | Sequence[float]
CHECKED: dict[str, Any] = {
    "interpolation": Interpolation,
    "fill": Fill,
    "policy": Literal["imagenet", "cifar10", "svhn"],
    "degrees": Amount,
    "clip": bool,
    "p": Probability,
}
"""What YAML may give where torchvision's own annotation says more or less than can be checked."""
TO_FOREIGN: dict[str, Callable[[Any], Any]] = {"interpolation": InterpolationMode, "policy": AutoAugmentPolicy}
UNCHECKED = ("inplace",)


@functools.cache
def _taking_generator(operator: Any) -> Any:
    """The overload of a random operator that takes a generator."""
    names = {argument.name for argument in operator._schema.arguments} | {"generator"}
    packet = operator.overloadpacket
    for overload in (operator, *(getattr(packet, name) for name in packet.overloads())):
        if {argument.name for argument in overload._schema.arguments} == names:
            return overload
    raise RuntimeError(f"{operator} draws random numbers but takes no generator")


class OwnRandomNumbers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context in which all random operators of this thread draw from generators seeded with `seed`."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seed, self._generators = seed, dict[torch.device, Generator]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """`func`, with a generator if it is random and was given none."""
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            first = args[0] if args and isinstance(args[0], Tensor) else None
            device = first.device if first is not None else torch.device(kwargs.get("device") or "cpu")
            func, kwargs["generator"] = _taking_generator(func), self._generator(device)
        return func(*args, **kwargs)

    def _generator(self, device: torch.device) -> Generator:
        if device not in self._generators:
            self._generators[device] = Generator(device).manual_seed(self._seed)
        return self._generators[device]


class Foreign(ItemTransform):
    """One of torchvision's transforms as an item transform, with a seed per sample."""

    def __init__(self, transform: v2.Transform) -> None:
        self.transform, self._name = transform, type(transform).__name__
        self.random = self._name not in FIXED

    def __repr__(self) -> str:
        return f"Foreign({self.transform})"

    def prepare(self, element: Any) -> Any:
        """The transformed element, if nothing about it is random."""
        return element if self.random or not self._concerns(element) else self.transform(element)

    def draw(self, n: int, generator: Generator) -> Tensor | None:
        """Seeds: int64 (n,)."""
        return torch.randint(2**62, (n,), generator=generator) if self.random else None

    def finish(self, element: Any, row: Tensor | None) -> Any:
        """The element transformed by this sample's seed; as it is in validation."""
        if not self.random or not self._concerns(element) or row is None:
            return element
        half = 0.5 if self._name in COUNTING_PIXELS and isinstance(element, KeyPoints) else 0.0
        with OwnRandomNumbers(int(row)):
            return self._shifted(self.transform(self._shifted(element, -half)), half)

    def _shifted(self, element: Any, by: float) -> Any:
        return wrap(element.as_subclass(Tensor) + by, like=element) if by else element

    def _concerns(self, element: Any) -> bool:
        """Whether the element is to be changed. Raises NoKernelError for a type that torchvision would pass by."""
        if canvas(element) is None:
            return False
        if isinstance(element, Image):
            return True
        if self._name in COLOUR:
            return False
        if self._name in GEOMETRIC and isinstance(element, Mask | BoundingBoxes | KeyPoints):
            return True
        kind = type(element).__name__
        hint = f"it changes pictures alone, and a {kind} could not follow: take other transforms"
        raise NoKernelError(f"{self._name} has no kernel for {kind}", hint=hint, key="data.item_transforms")

    def signature(self) -> str:
        """The name and the parameters that torchvision gives it."""
        return repr(self)

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """Read off a point's canvas where nothing is random."""
        if self._name in CHANGING_SIZE or getattr(self.transform, "expand", False):
            return None
        if self._name == "CenterCrop":
            size = size or (1, 1)  # its output does not depend on it
        if self.random or size is None:
            return size
        height, width = canvas(self.prepare(KeyPoints([[0.0, 0.0]], canvas_size=size))) or size
        return height, width


def _register(name: str) -> None:
    foreign = getattr(v2, name)
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()

    def make(**params: Any) -> Foreign:
        try:
            made = foreign(**{key: TO_FOREIGN.get(key, lambda given: given)(value) for key, value in params.items()})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"item transform {snake!r}: {error}") from None
        return Foreign(made)

    make.__name__ = make.__qualname__ = snake
    make.__doc__ = _sentence(foreign)
    make.__signature__ = _signature(foreign)  # type: ignore[attr-defined]
    item_transforms(make)


def _signature(foreign: type) -> inspect.Signature:
    """The parameters of a class with annotations that can be checked and plain values as defaults."""
    parameters = []
    for parameter in inspect.signature(foreign, eval_str=True).parameters.values():
        if parameter.name not in UNCHECKED:
            annotation = CHECKED.get(parameter.name, parameter.annotation)
            default = getattr(parameter.default, "value", parameter.default)  # an enum's
            parameters.append(parameter.replace(annotation=annotation, default=default))
    return inspect.Signature(parameters)


def _sentence(foreign: type) -> str:
    """The first paragraph of a class's description in plain words, with where it comes from and when it acts."""
    paragraph = " ".join((inspect.getdoc(foreign) or "").partition("\n\n")[0].split())
    words = re.sub(r"`+\"?(.*?)\"?(?: <[^>]*>)?`+_?", r"\1", paragraph).rstrip(".")
    when = "always" if foreign.__name__ in FIXED else "in training"
    return f"{words} (torchvision's {foreign.__name__}, {when})."


for _name in (*GEOMETRIC, *COLOUR, *POLICIES):
    _register(_name)
