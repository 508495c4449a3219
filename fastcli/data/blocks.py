"""Blocks say what the parts of a sample are: how each is made from an item, and what type it has.

Those that a configuration names under `data.target` are registered; a plugin adds its own in the same way:

    @targets
    def angle(classes, /, degrees: bool = True) -> Block:
        "An angle."
        return Block(AngleEncoder(degrees))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveInt

from fastcli.data.encoders import Categorize, Encoder, MultiCategorize, OneHotEncoded, OpenImage, ToNumbers
from fastcli.data.spatial_encoders import BoxesEncoder, BoxLabels, OpenMask, PointsEncoder
from fastcli.errors import ConfigError
from fastcli.registry import targets
from fastcli.transforms.image import MAX_PIXELS

Classes = Sequence[str] | None


@dataclass(frozen=True)
class Block:
    """One part of a sample."""

    encoder: Encoder


@targets
def category(classes: Classes, /, sort: bool = True, add_na: bool = False) -> Block:
    """One class for each picture; `data.classes` fixes the vocabulary and its order.

    Without `sort` classes stand as they first appear; with `add_na` the first is `#na#`, which takes unknown labels.
    """
    return Block(Categorize(classes, sort=sort, add_na=add_na))


@targets
def multi_category(classes: Classes, /, encoded: bool = False, add_na: bool = False) -> Block:
    """Any number of classes for each picture.

    With `encoded` labels are one 0 or 1 for each of `data.classes`.
    """
    return Block(OneHotEncoded(classes) if encoded else MultiCategorize(classes, add_na=add_na))


@targets
def regression(classes: Classes, /, n_out: PositiveInt | None = None) -> Block:
    """One or more numbers for each picture, as many as the first label has or `n_out`."""
    _refuse_classes("regression", classes)
    return Block(ToNumbers(n_out))


@targets
def mask(classes: Classes, /, codes: PositiveInt | list[str] | None = None) -> Block:
    """A class for each pixel: the label is the path of a mask file, whose values are codes of classes.

    `data.classes` or `codes` names them from 0 on, and `codes` may be how many there are; if neither is given some
    training masks are opened to see. For two classes 0 and 255 mean 0 and 1.
    """
    if classes is not None and codes is not None:
        raise ConfigError("the classes of a mask are given twice", hint="keep data.classes", key="data.target")
    return Block(OpenMask(classes if classes is not None else codes))


@targets
def points(classes: Classes, /, count: PositiveInt | None = None, order: Literal["xy", "yx"] = "xy") -> Block:
    """The same number of points on each picture, in pixels of the file, as many as the first label has or `count`."""
    _refuse_classes("points", classes)
    return Block(PointsEncoder(count, order))


def _refuse_classes(target: str, classes: Classes) -> None:
    if classes is not None:
        raise ConfigError(f"a {target} target has no classes", hint="leave data.classes out", key="data.classes")


def ImageBlock(mode: Literal["RGB", "L"] = "RGB", max_pixels: int = MAX_PIXELS) -> Block:  # noqa: N802 - fastai's name
    """Pictures in colour (`RGB`) or grey (`L`), of at most `max_pixels`."""
    return Block(OpenImage(mode, max_pixels))


def CategoryBlock(classes: Classes = None, sort: bool = True, add_na: bool = False) -> Block:  # noqa: N802
    """One class; `classes` fixes the vocabulary and its order."""
    return category(classes, sort, add_na)


def MultiCategoryBlock(classes: Classes = None, encoded: bool = False, add_na: bool = False) -> Block:  # noqa: N802
    """Any number of classes; with `encoded` labels are one 0 or 1 for each of `classes`."""
    return multi_category(classes, encoded, add_na)


def RegressionBlock(n_out: int | None = None) -> Block:  # noqa: N802
    """One or more numbers."""
    return regression(None, n_out)


def MaskBlock(codes: Sequence[str] | None = None) -> Block:  # noqa: N802
    """A class for each pixel; `codes` names the values of the mask files from 0 on."""
    return mask(codes)


def PointBlock(count: int | None = None, order: Literal["xy", "yx"] = "xy") -> Block:  # noqa: N802
    """The same number of points on each picture."""
    return points(None, count, order)


def BBoxBlock(order: Literal["ltrb", "tlbr"] = "ltrb") -> Block:  # noqa: N802
    """Any number of boxes on each picture."""
    return Block(BoxesEncoder(order))


def BBoxLblBlock(classes: Classes = None, add_na: bool = True) -> Block:  # noqa: N802
    """The class of each box of the block before it."""
    return Block(BoxLabels(classes, add_na=add_na))
