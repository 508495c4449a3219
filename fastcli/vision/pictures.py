"""fastai's picture classes, and how a notebook draws pictures, by fastai's argument names."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import PIL.Image as Pillow
import torch

from fastcli import show
from fastcli.transforms.image import from_pillow, open_image
from fastcli.transforms.masks import mask_from_pillow, open_mask
from fastcli.types import BoundingBoxes, Category, Image, ImageBW, KeyPoints, Mask, MultiCategory

__all__ = ["PILBase", "PILImage", "PILImageBW", "PILMask", "TensorBBox", "TensorCategory", "TensorImage",
           "TensorImageBW", "TensorMask", "TensorMultiCategory", "TensorPoint", "get_grid", "show_image",
           "show_images", "show_titled_image", "subplots"]  # fmt: skip

TensorImage, TensorImageBW, TensorMask, TensorPoint, TensorBBox = Image, ImageBW, Mask, KeyPoints, BoundingBoxes
TensorCategory, TensorMultiCategory = Category, MultiCategory


class PILBase(Pillow.Image):
    """Base of the pictures: Pillow's, with what a notebook asks of them."""

    colours: ClassVar[str] = "RGB"

    @classmethod
    def create(cls, fn: Any) -> Any:
        """The picture in a file or in bytes, upright, or made of an array or tensor, or of a picture of Pillow's."""
        made = Pillow.fromarray(cls._pixels(fn))
        made.__class__ = cls
        return made

    @classmethod
    def _pixels(cls, given: Any) -> Any:
        given = io.BytesIO(given) if isinstance(given, bytes) else given
        if isinstance(given, torch.Tensor):
            given = given.detach().as_subclass(torch.Tensor).cpu().numpy()
            given = given.transpose(1, 2, 0) if given.ndim == 3 and len(given) <= 4 else given
        if isinstance(given, np.ndarray):
            given = Pillow.fromarray(given[..., 0] if given.ndim == 3 and given.shape[-1] == 1 else given)
        pixels = cls._opened(given).permute(1, 2, 0).numpy()
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels

    @classmethod
    def _opened(cls, given: Any) -> Any:
        if isinstance(given, Pillow.Image):
            return from_pillow(given, cls.colours)  # type: ignore[arg-type]
        return open_image(given, mode=cls.colours)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def to_thumb(self, h: int, w: int | None = None) -> Any:
        """A copy that fits into `h` by `w` pixels."""
        small = self.copy()
        small.thumbnail((w or h, h))
        return small

    def show(self, ctx: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """The axes on which it is drawn."""
        return show_image(self, ctx=ctx, **kwargs)


class PILImage(PILBase):
    """Pictures in colour."""


class PILImageBW(PILImage):
    """Pictures in grey."""

    colours = "L"


class PILMask(PILBase):
    """Pictures whose values are codes of classes."""

    colours = "L"

    @classmethod
    def _opened(cls, given: Any) -> Any:
        return mask_from_pillow(given) if isinstance(given, Pillow.Image) else open_mask(given)


def show_image(
    im: Any, ax: Any = None, figsize: tuple[float, float] | None = None, title: Any = None, ctx: Any = None,
    cmap: Any = None, **options: Any,
) -> Any:  # fmt: skip
    """The axes on which a tensor, array or picture is drawn; `options` are matplotlib's (`alpha`, …)."""
    axes = show.show_image(im, ax if ax is not None else ctx, figsize, None if title is None else str(title), cmap)
    if options:
        axes.images[-1].set(**options)
    return axes


def show_images(
    ims: Sequence[Any], nrows: int = 1, ncols: int | None = None, titles: Sequence[Any] | None = None,
    figsize: tuple[float, float] | None = None, imsize: float = 3, suptitle: str | None = None,
) -> Any:  # fmt: skip
    """Draw all pictures in `nrows` rows."""
    figure = show.show_images(list(ims), nrows, ncols, titles, figsize, imsize)
    if suptitle is not None:
        figure.suptitle(suptitle)


def show_titled_image(o: tuple[Any, Any], **options: Any) -> Any:
    """Draw a picture that comes with its title."""
    return show_image(o[0], title=o[1], **options)


def subplots(
    nrows: int = 1, ncols: int = 1, figsize: tuple[float, float] | None = None, imsize: float = 3,
    suptitle: str | None = None, **options: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """A figure, and its axes in an array, each `imsize` inches wide."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(nrows, ncols, figsize=figsize or (ncols * imsize, nrows * imsize), squeeze=False,
                                **options)  # fmt: skip
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure, axes[0, 0] if nrows * ncols == 1 else axes


def get_grid(
    n: int, nrows: int | None = None, ncols: int | None = None, figsize: tuple[float, float] | None = None,
    title: str | None = None, **options: Any,
) -> list[Any]:  # fmt: skip
    """`n` axes of a new figure, as many rows as columns unless one is given."""
    if nrows is None:
        nrows = math.ceil(n / ncols) if ncols else max(1, math.floor(math.sqrt(n)))
    ncols = ncols or math.ceil(n / nrows)
    axes = np.atleast_1d(subplots(nrows, ncols, figsize, suptitle=title, **options)[1]).flatten()
    for spare in axes[n:]:
        spare.set_axis_off()
    return list(axes[:n])
