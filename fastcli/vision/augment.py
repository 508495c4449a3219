"""fastai's transforms by their names and argument names."""

from __future__ import annotations

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
    pad_mode: Any = "reflection", batch: bool = False, min_scale: float = 1.0,
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
Flip, Dihedral, Rotate, Zoom, Warp = geometry.Flip, geometry.Dihedral, geometry.Rotate, geometry.Zoom, geometry.Warp
DeterministicFlip, DeterministicDihedral = geometry.DeterministicFlip, geometry.DeterministicDihedral
Brightness, Contrast, Saturation, Hue = lighting.Brightness, lighting.Contrast, lighting.Saturation, pixels.Hue


class Normalize(normalize.Normalize):
    """Channel statistics, to be given among the batch transforms."""

    @classmethod
    def from_stats(cls, mean: Any, std: Any, dim: int = 1, ndim: int = 4, cuda: bool = True) -> Normalize:
        """The normalisation by `mean` and `std`; of `dim`, `ndim` and `cuda` only the defaults make sense."""
        if (dim, ndim) != (1, 4):
            raise ConfigError("Normalize.from_stats: pictures have their channels at dim 1 of 4")
        return cls(mean, std)
