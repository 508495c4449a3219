"""Blocks say what the parts of a sample are: how each is made from an item, and what type it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from fastcli.data.encoders import Categorize, Encoder, MultiCategorize, OpenImage, ToNumbers
from fastcli.registry import targets

Classes = Sequence[str] | None


@dataclass(frozen=True)
class Block:
    """One part of a sample."""

    encoder: Encoder


def ImageBlock(mode: Literal["RGB", "L"] = "RGB") -> Block:  # noqa: N802 - fastai's name
    """Pictures in colour (`RGB`) or grey (`L`)."""
    return Block(OpenImage(mode))


def CategoryBlock(classes: Classes = None) -> Block:  # noqa: N802
    """One class; `classes` fixes the vocabulary and its order."""
    return Block(Categorize(classes))


def MultiCategoryBlock(classes: Classes = None) -> Block:  # noqa: N802
    """Any number of classes."""
    return Block(MultiCategorize(classes))


def RegressionBlock(n_out: int | None = None) -> Block:  # noqa: N802
    """One or more numbers."""
    return Block(ToNumbers(n_out))


@targets
def category(classes: Classes, /) -> Block:
    """One class of several."""
    return CategoryBlock(classes)


@targets
def multi_category(classes: Classes, /) -> Block:
    """Any number of classes at once."""
    return MultiCategoryBlock(classes)


@targets
def regression(classes: Classes, /, n_out: Annotated[int, Field(ge=1)] | None = None) -> Block:
    """One or more numbers; as many as the first item has, unless `n_out` says otherwise."""
    return RegressionBlock(n_out)
