"""fastai's blocks by their names and argument names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch

from fastcli.data import blocks
from fastcli.data.encoders import Encoder
from fastcli.errors import ConfigError
from fastcli.types import Regression, TargetInfo
from fastcli.vision.core import listed
from fastcli.vision.pictures import PILBase, PILImage

__all__ = ["BBoxBlock", "BBoxLblBlock", "CategoryBlock", "ImageBlock", "MaskBlock", "MultiCategoryBlock", "PointBlock",
           "RegressionBlock", "TransformBlock"]  # fmt: skip


class Applied(Encoder):
    """What functions make of a value, one after the other; batches are made of what they give as numbers."""

    element = Regression

    def __init__(self, functions: Sequence[Callable[[Any], Any]]) -> None:
        self.functions = list(functions)

    def encode(self, value: Any) -> Any:
        """What the functions make of it."""
        return reduce(lambda made, function: function(made), self.functions, value)

    def info(self, values: Sequence[Any]) -> TargetInfo:
        """Kind `regression`, as many numbers as the first value gives."""
        made = self.encode(values[0]) if len(values) else 0.0
        try:
            return TargetInfo("regression", torch.as_tensor(made).numel(), loss="mean_squared", metrics=("mae",))
        except (TypeError, ValueError, RuntimeError):
            return TargetInfo("any", 1)


def TransformBlock(type_tfms: Any = None, item_tfms: Any = None, batch_tfms: Any = None) -> blocks.Block:  # noqa: N802
    """What the functions `type_tfms` make of an item, or the item itself.

    Raises ConfigError for transforms of its own, which belong to the `DataBlock`.
    """
    if item_tfms is not None or batch_tfms is not None:
        raise ConfigError("a TransformBlock has no item_tfms or batch_tfms of its own", hint="give them to DataBlock")
    return blocks.Block(Applied(listed(type_tfms)))


def ImageBlock(cls: type[PILBase] = PILImage) -> blocks.Block:  # noqa: N802
    """Pictures in colour, or as `cls` has them."""
    return blocks.ImageBlock("L" if cls.colours == "L" else "RGB")


def CategoryBlock(vocab: Any = None, sort: bool = True, add_na: bool = False) -> blocks.Block:  # noqa: N802
    """One class."""
    return blocks.CategoryBlock(_classes(vocab), sort, add_na)


def MultiCategoryBlock(encoded: bool = False, vocab: Any = None, add_na: bool = False) -> blocks.Block:  # noqa: N802
    """Any number of classes."""
    return blocks.MultiCategoryBlock(_classes(vocab), encoded, add_na)


def MaskBlock(codes: Any = None) -> blocks.Block:  # noqa: N802
    """A class for each pixel."""
    return blocks.MaskBlock(_classes(codes))


def BBoxLblBlock(vocab: Any = None, add_na: bool = True) -> blocks.Block:  # noqa: N802
    """The class of each box."""
    return blocks.BBoxLblBlock(_classes(vocab), add_na)


def _classes(vocab: Any) -> list[str] | None:
    return None if vocab is None else [str(name) for name in vocab]


RegressionBlock, PointBlock, BBoxBlock = blocks.RegressionBlock, blocks.PointBlock, blocks.BBoxBlock
