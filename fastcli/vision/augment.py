"""fastai's transforms by their names and argument names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastcli.errors import ConfigError
from fastcli.transforms import batch as batch_module
from fastcli.transforms import geometry, item, lighting, normalize, pixels, placement
from fastcli.transforms.geometry import RandomResizedCropBatch
from fastcli.transforms.transform import BatchTransform
from fastcli.vision.core import listed

__all__ = ["Brightness", "Contrast", "CropPad", "DeterministicDihedral", "DeterministicFlip",
           "Dihedral", "DihedralItem", "Flip", "FlipItem", "Hue", "Normalize", "PadMode", "RandomCrop",
           "RandomErasing", "RandomResizedCrop", "RandomResizedCropGPU", "RatioResize", "Resize",
           "ResizeMethod", "Rotate", "Saturation", "Warp", "Zoom", "aug_transforms"]  # fmt: skip

Pixels = int | tuple[int, int]


class ResizeMethod:
    """How `Resize` makes pictures fit."""

    Squish, Crop, Pad = "squish", "crop", "pad"


class PadMode:
    """What lies outside of a picture."""

    Zeros, Border, Reflection = "zeros", "border", "reflection"


def Resize(  # noqa: N802
    size: Pixels, method: Any = "crop", pad_mode: Any = "reflection", **options: Any
) -> item.Resize:
    """Pictures of one size, by cutting, padding or squishing."""
    return item.Resize(size, method, pad_mode, **options)


def RandomResizedCrop(  # noqa: N802
    size: Pixels, min_scale: float = 0.08, ratio: tuple[float, float] = (3 / 4, 4 / 3), val_xtra: float = 0.14,
    max_scale: float = 1.0, **options: Any,
) -> item.RandomResizedCrop:  # fmt: skip
    """A random part of each picture at `size`; validation keeps the aspect, where fastai squishes."""
    return item.RandomResizedCrop(size, min_scale, max_scale, ratio, val_xtra, **options)


def RandomResizedCropGPU(  # noqa: N802
    size: Pixels, min_scale: float = 0.08, ratio: tuple[float, float] = (3 / 4, 4 / 3), valid_scale: float = 1.0,
    max_scale: float = 1.0,
) -> RandomResizedCropBatch:  # fmt: skip
    """A random part of each picture of a batch; one of its own for each, where fastai draws one for all."""
    return RandomResizedCropBatch(size, min_scale, max_scale, ratio, valid_scale)


def aug_transforms(
    mult: float = 1.0, do_flip: bool = True, flip_vert: bool = False, max_rotate: float = 10.0, min_zoom: float = 1.0,
    max_zoom: float = 1.1, max_lighting: float = 0.2, max_warp: float = 0.2, p_affine: float = 0.75,
    p_lighting: float = 0.75, xtra_tfms: Any = None, size: Pixels | None = None, mode: Any = "bilinear",
    pad_mode: Any = "reflection", align_corners: bool = True, batch: bool = False, min_scale: float = 1.0,
) -> list[BatchTransform]:  # fmt: skip
    """The usual transforms of photographs; every picture gets draws of its own, so `batch` can only be False."""
    if batch:
        raise ConfigError(
            "aug_transforms(batch=True) draws once for a whole batch; here every picture has its own draw"
        )
    return [*usual(mult, do_flip, flip_vert, max_rotate, min_zoom, max_zoom, max_lighting, max_warp, p_affine,
                   p_lighting, size, min_scale, mode, pad_mode), *listed(xtra_tfms)]  # fmt: skip


usual = batch_module.aug_transforms


def CropPad(size: Pixels, pad_mode: Any = "zeros") -> placement.CropPad:  # noqa: N802
    """The middle of each picture at `size`, padded where it is smaller."""
    return placement.CropPad(size, pad_mode)


def RandomCrop(size: Pixels, **options: Any) -> placement.RandomCrop:  # noqa: N802
    """A part of each picture at `size`, anywhere in training, in the middle in validation."""
    return placement.RandomCrop(size, **options)


def RatioResize(max_sz: int, **options: Any) -> placement.RatioResize:  # noqa: N802
    """Pictures whose longer side is `max_sz`."""
    return placement.RatioResize(max_sz, **options)


def RandomErasing(  # noqa: N802
    p: float = 0.5, sl: float = 0.0, sh: float = 0.3, min_aspect: float = 0.3, max_count: int = 1
) -> pixels.RandomErasing:
    """Noise in random boxes of each picture; where and whether is drawn for each, where fastai draws for the batch."""
    return pixels.RandomErasing(p, sl, sh, min_aspect, max_count)


FlipItem, DihedralItem = placement.FlipItem, placement.DihedralItem
DeterministicFlip, DeterministicDihedral = geometry.DeterministicFlip, geometry.DeterministicDihedral


def _made(made: Any, draws: Sequence[Any], size: Any, mode: Any, pad_mode: Any, batch: bool) -> Any:
    """The transform, with the resizing that is asked for; refuses draws that are no numbers."""
    if batch or any(callable(draw) or isinstance(draw, list) for draw in draws):
        hint = "give draw a number; for draws of your own derive a transform as in fastcli.transforms.geometry"
        raise ConfigError(f"{type(made).__name__}: every picture has a draw of its own here", hint=hint)
    if (size, mode, pad_mode) == (None, "bilinear", "reflection"):
        return made
    return [made, geometry.BatchResize(size, mode, pad_mode)]


def _number(draw: Any) -> Any:
    """The draw where it is a number; others are refused later."""
    return None if callable(draw) or isinstance(draw, list) else draw


def Flip(  # noqa: N802
    p: float = 0.5, draw: Any = None, size: Any = None, mode: Any = "bilinear", pad_mode: Any = "reflection",
    align_corners: bool = True, batch: bool = False,
) -> Any:  # fmt: skip
    """Mirrors pictures left to right; `draw` 1 always, 0 never."""
    made = geometry.Flip(p if _number(draw) is None else p * bool(draw))
    return _made(made, [draw], size, mode, pad_mode, batch)


def Dihedral(  # noqa: N802
    p: float = 0.5, draw: Any = None, size: Any = None, mode: Any = "bilinear", pad_mode: Any = "reflection",
    batch: bool = False, align_corners: bool = True,
) -> Any:  # fmt: skip
    """One of the eight flips and quarter turns of each picture; a fixed one is `DeterministicDihedral(n)`."""
    if draw is not None:
        raise ConfigError("Dihedral draws from all eight views", hint="DeterministicDihedral(n) shows one of them")
    return _made(geometry.Dihedral(p), [], size, mode, pad_mode, batch)


def Rotate(  # noqa: N802
    max_deg: float = 10, p: float = 0.5, draw: Any = None, size: Any = None, mode: Any = "bilinear",
    pad_mode: Any = "reflection", align_corners: bool = True, batch: bool = False,
) -> Any:  # fmt: skip
    """Turns pictures by up to `max_deg` degrees, or by `draw`."""
    return _made(geometry.Rotate(max_deg, p, _number(draw)), [draw], size, mode, pad_mode, batch)


def Zoom(  # noqa: N802
    min_zoom: float = 1.0, max_zoom: float = 1.1, p: float = 0.5, draw: Any = None, draw_x: Any = None,
    draw_y: Any = None, size: Any = None, mode: Any = "bilinear", pad_mode: Any = "reflection", batch: bool = False,
    align_corners: bool = True,
) -> Any:  # fmt: skip
    """Magnifies pictures about a random place, or by `draw` about (`draw_x`, `draw_y`) in 0..1."""
    draws = [draw, draw_x, draw_y]
    return _made(geometry.Zoom(min_zoom, max_zoom, p, *map(_number, draws)), draws, size, mode, pad_mode, batch)


def Warp(  # noqa: N802
    magnitude: float = 0.2, p: float = 0.5, draw_x: Any = None, draw_y: Any = None, size: Any = None,
    mode: Any = "bilinear", pad_mode: Any = "reflection", batch: bool = False, align_corners: bool = True,
) -> Any:  # fmt: skip
    """Shows pictures as from another place, tilted by up to `magnitude`, or by `draw_x` and `draw_y`."""
    draws = [draw_x, draw_y]
    return _made(geometry.Warp(magnitude, p, *map(_number, draws)), draws, size, mode, pad_mode, batch)


def Brightness(max_lighting: float = 0.2, p: float = 0.75, draw: Any = None, batch: bool = False) -> Any:  # noqa: N802
    """Lightens or darkens pictures; `draw` 0.5 leaves them as they are."""
    return _made(lighting.Brightness(max_lighting, p, _number(draw)), [draw], None, "bilinear", "reflection", batch)


def Contrast(max_lighting: float = 0.2, p: float = 0.75, draw: Any = None, batch: bool = False) -> Any:  # noqa: N802
    """Strengthens or weakens contrasts; `draw` 1 leaves them as they are."""
    return _made(lighting.Contrast(max_lighting, p, _number(draw)), [draw], None, "bilinear", "reflection", batch)


def Saturation(max_lighting: float = 0.2, p: float = 0.75, draw: Any = None, batch: bool = False) -> Any:  # noqa: N802
    """Strengthens or weakens colours; `draw` 1 leaves them as they are."""
    return _made(lighting.Saturation(max_lighting, p, _number(draw)), [draw], None, "bilinear", "reflection", batch)


def Hue(max_hue: float = 0.1, p: float = 0.75, draw: Any = None, batch: bool = False) -> Any:  # noqa: N802
    """Turns the circle of colours."""
    return _made(pixels.Hue(max_hue, p, _number(draw)), [draw], None, "bilinear", "reflection", batch)


class Normalize(normalize.Normalize):
    """Channel statistics, to be given among the batch transforms; without any they are the training pictures'.

    fastai takes those of one batch.
    """

    def __init__(self, mean: Any = None, std: Any = None, axes: Any = (0, 2, 3)) -> None:
        if (mean is None) != (std is None):
            raise ConfigError("Normalize has one of mean and std", hint="give both, or neither")
        if mean is not None:
            super().__init__(mean, std)
        else:
            self.mean = self.std = ()

    @classmethod
    def from_stats(cls, mean: Any, std: Any, dim: int = 1, ndim: int = 4, cuda: bool = True) -> Normalize:
        """The normalisation by `mean` and `std`; of `dim`, `ndim` and `cuda` only the defaults make sense."""
        if (dim, ndim) != (1, 4):
            raise ConfigError("Normalize.from_stats: pictures have their channels at dim 1 of 4")
        return cls(mean, std)
