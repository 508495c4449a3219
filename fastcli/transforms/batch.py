"""Batch transforms composed: one draw per sample, one matrix, one resampling, one pass over the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from fastcli.errors import ConfigError
from fastcli.registry import batch_transforms
from fastcli.transforms.boxes import WHOLE, box_matrix, pixel_box
from fastcli.transforms.elements import plain, shown
from fastcli.transforms.geometry import (
    BatchResize,
    Dihedral,
    Flip,
    Geometric,
    RandomResizedCropBatch,
    Rotate,
    Warp,
    Zoom,
)
from fastcli.transforms.lighting import Brightness, Contrast, Lighting, draw_curves, light
from fastcli.transforms.matrices import to_device
from fastcli.transforms.normalize import Normalize
from fastcli.transforms.pixels import PixelTransform
from fastcli.transforms.transform import BatchTransform, Fraction, Interpolation, PadMode, Probability, Size
from fastcli.transforms.warp import View, warp_by
from fastcli.types import Image, Mask, TVTensor, kernel_of, typed

__all__ = ["BatchPipeline", "BatchTransform", "aug_transforms"]


@batch_transforms
def aug_transforms(
    mult: float = 1.0,
    do_flip: bool = True,
    flip_vert: bool = False,
    max_rotate: float = 10.0,
    min_zoom: float = 1.0,
    max_zoom: float = 1.1,
    max_lighting: float = 0.2,
    max_warp: float = 0.2,
    p_affine: Probability = 0.75,
    p_lighting: Probability = 0.75,
    size: Size | None = None,
    min_scale: Fraction = 1.0,
    mode: Interpolation = "bilinear",
    pad_mode: PadMode = "reflection",
) -> list[BatchTransform]:
    """The usual transforms of photographs, with fastai's defaults and order; `mult` scales rotation, warp and lighting.

    With `min_scale` below 1 each sample shows a random square box of at least that area at `size`.
    """
    made: list[BatchTransform] = []
    if do_flip:
        made.append(Dihedral(p=0.5) if flip_vert else Flip(p=0.5))
    if max_warp * mult:
        made.append(Warp(max_warp * mult, p_affine))
    if max_rotate * mult:
        made.append(Rotate(max_rotate * mult, p_affine))
    if min_zoom < 1 or max_zoom > 1:
        made.append(Zoom(min_zoom, max_zoom, p_affine))
    if max_lighting * mult:
        made += [Brightness(max_lighting * mult, p_lighting), Contrast(max_lighting * mult, p_lighting)]
    if min_scale != 1:
        if size is None:
            raise ConfigError("aug_transforms: min_scale needs a size", hint="give the size that the model shall see")
        made.append(RandomResizedCropBatch(size, min_scale, ratio=(1.0, 1.0)))
    return [*made, BatchResize(size, mode, pad_mode)]


@dataclass(frozen=True)
class Look:
    """How one batch is seen: what was drawn for it, with the numbers that the device needs already there."""

    view: View | None = None
    """The one resampling, or None where there is none."""
    curves: Tensor | None = None
    """Each sample's line in logit space, as `draw_curves` gives it."""
    pixels: tuple[tuple[PixelTransform, Tensor], ...] = ()
    """What changes pixels one by one, and its parameters, which stay on the CPU."""
    noise: int = 0
    """The seed of what is drawn on the device."""


class BatchPipeline:
    """What is done to a collated batch on its device: geometry, lighting, colours, normalisation and erasing.

    All geometric transforms become one matrix per sample and one resampling; validation sees the crop's central
    box, scaled with antialiasing. Lists among `transforms` (from `aug_transforms`) are flattened.
    """

    def __init__(
        self,
        transforms: Sequence[BatchTransform | Sequence[BatchTransform]] = (),
        normalize: Normalize | None = None,
    ) -> None:
        self.transforms = [t for made in transforms for t in ([made] if isinstance(made, BatchTransform) else made)]
        self.normalize = normalize
        for transform in self.transforms:
            if not isinstance(transform, Geometric | Lighting | PixelTransform):
                raise TypeError(f"{transform!r} is neither a Geometric nor a Lighting nor a PixelTransform")
        self._lighting = [t for t in self.transforms if isinstance(t, Lighting)]
        self._pixels = [t for t in self.transforms if isinstance(t, PixelTransform)]
        geometric = sorted((t for t in self.transforms if isinstance(t, Geometric)), key=lambda t: t.stage)
        self._geometric = [t for t in geometric if not isinstance(t, BatchResize)]
        self._reading = next((t for t in geometric if isinstance(t, BatchResize)), BatchResize())
        self._size = _one_size(self.transforms)

    def __repr__(self) -> str:
        return f"BatchPipeline({self.transforms}, {self.normalize})"

    def output_size(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the result for a batch of `input_size`."""
        return self._size or input_size

    @torch.no_grad()
    def __call__(self, elements: Sequence[Any], generator: Generator, train: bool = False) -> tuple[Tensor, ...]:
        """The typed elements (n, …) of a batch as plain tensors.

        Images are float32 and normalised, masks int64 (n, h, w), points float32 in [-1, 1] and boxes float32 in pixels
        of the output. All elements of a sample get the same draw of the CPU `generator`, which is used in training
        only. Raises TypeError for a type that has no kernel of `warp_by`, if there is something to resample.
        """
        look, size = Look(), None
        pixels = next((element for element in elements if isinstance(element, Image | Mask)), None)
        if pixels is not None:
            look = self._look(pixels, generator) if train else Look(self._valid_view(pixels, generator))
            size = self.output_size((pixels.shape[-2], pixels.shape[-1]))
        seen = elements if look.view is None else [warp_by(element, look.view) for element in elements]
        return tuple(self._finish(*pair, look, size) for pair in zip(elements, seen, strict=True))

    def decode(self, images: Tensor) -> Tensor:
        """Float images in 0..1 for showing, from what the model sees."""
        images = images.float()
        return (self.normalize.decode(images) if self.normalize else images).clamp(0, 1)

    def decode_element(self, element: type[TVTensor], tensor: Tensor, size: tuple[int, int] | None = None) -> Any:
        """What this pipeline gave for a type, of one sample or a batch, as that type again, to be drawn.

        Images come in 0..1, points and boxes in pixels of a picture of `size`, which only they need.
        """
        if issubclass(element, Image):
            return typed(self.decode(tensor), element)
        return shown(typed(tensor, element), size)

    def _look(self, pixels: Tensor, generator: Generator) -> Look:
        """What is drawn for a training batch."""
        n, (height, width) = pixels.shape[0], pixels.shape[-2:]  # `len` of a typed tensor takes ten times as long
        curves = None
        if not self._geometric and not self._lighting:
            view = self._valid_view(pixels, generator)
        else:
            drawn = self._matrices(n, width / height, generator), self._curve(n, generator)
            # One small copy that does not stop the device.
            numbers = to_device(torch.cat([drawn[0].flatten(1), drawn[1]], 1), pixels.device)
            view = self._train_view(numbers[:, :9].view(n, 3, 3), (height, width))
            curves = numbers[:, 9:] if self._lighting else None
        if not self._pixels:
            return Look(view, curves)
        params = tuple((transform, transform.draw(n, generator)) for transform in self._pixels)
        return Look(view, curves, params, torch.randint(2**62, (1,), generator=generator).tolist()[0])

    def _matrices(self, n: int, aspect: float, generator: Generator, fixed: bool = False) -> Tensor:
        """The geometric transforms, or only those that draw nothing, as one matrix per sample."""
        matrices = torch.eye(3).expand(n, 3, 3)
        for transform in self._geometric:
            if transform.fixed or not fixed:
                matrices = matrices @ transform.matrix(transform.draw(n, generator), aspect)
        return matrices

    def _curve(self, n: int, generator: Generator) -> Tensor:
        return draw_curves(self._lighting, n, generator)

    def _train_view(self, matrices: Tensor, source: tuple[int, int]) -> View | None:
        size = self.output_size(source)
        if all(transform.mirrors for transform in self._geometric):
            mirrors = bool(self._geometric)
            view = View(matrices, source, size, WHOLE, mirrors, mode=self._reading.mode)
            return view if mirrors or size != source else None
        smallest = math.prod(transform.smallest for transform in self._geometric)
        return self._sampled(matrices, source, smallest)

    def _sampled(self, matrices: Tensor, source: tuple[int, int], smallest: float) -> View:
        size = self.output_size(source)
        # Bilinear sampling reads two pixels a side, so that up to a ratio of 2 none is left out.
        shrink = max(1.0, min(source[0] / size[0], source[1] / size[1]) * smallest / 2)
        return View(matrices, source, size, shrink=shrink, mode=self._reading.mode, pad_mode=self._reading.pad_mode)

    def _valid_view(self, pixels: Tensor, generator: Generator) -> View | None:
        source = (pixels.shape[-2], pixels.shape[-1])
        size, aspect = self.output_size(source), source[1] / source[0]
        boxes = [box for transform in self._geometric if (box := transform.valid_box(aspect)) is not None]
        fixed = [transform for transform in self._geometric if transform.fixed]
        box = boxes[-1] if boxes else WHOLE
        if box == WHOLE and size == source and not fixed:
            return None
        top, left, height, width = pixel_box(box, source)
        box = top / source[0], left / source[1], height / source[0], width / source[1]
        matrices = box_matrix(torch.tensor([box])).expand(len(pixels), 3, 3)
        if fixed:
            matrices = self._matrices(len(pixels), aspect, generator, fixed=True) @ matrices
        matrices, mirrors = to_device(matrices, pixels.device), all(transform.mirrors for transform in fixed)
        if not mirrors:
            return self._sampled(matrices, source, min(box[2:]))
        return View(matrices, source, size, box, bool(fixed), mode=self._reading.mode)

    def _finish(self, before: Any, after: Any, look: Look, size: tuple[int, int] | None) -> Tensor:
        """A seen element as a plain tensor: images lit and normalised, other types by their kernel of `plain`."""
        if not isinstance(before, Image):
            plain_tensor: Tensor = kernel_of(plain, type(before))(after, size)
            return plain_tensor
        pixels = after.as_subclass(Tensor)
        peak = 255.0 if before.dtype == torch.uint8 else 1.0
        # What follows works in place; float pixels may still be the caller's own, or a view of them.
        images = pixels.float() if not pixels.is_floating_point() else pixels.float().clone()
        if look.curves is not None:
            images, peak = light(images, look.curves, peak), 1.0
        if not look.pixels:
            return self._normalized(images, peak)
        noise = Generator(images.device).manual_seed(look.noise)
        for transform, params in look.pixels:
            if not transform.normalized:
                images, peak = transform.apply(images.mul_(1 / peak), params, noise), 1.0
        images = self._normalized(images, peak)
        for transform, params in look.pixels:
            if transform.normalized:
                images = transform.apply(images, params, noise)
        return images

    def _normalized(self, images: Tensor, peak: float) -> Tensor:
        """Images in 0..`peak` as the model sees them; works in place."""
        if self.normalize is None:
            return images if peak == 1 else images.mul_(1 / peak)
        return _scale_channels(images, *self.normalize.line(images.shape[1], images.device, peak))


def _scale_channels(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`images` times `scale` plus `shift` (channels or 1, 1, 1), in place."""
    if images.is_contiguous(memory_format=torch.channels_last):
        # Three numbers as the innermost dimension cannot be vectorised; a whole row of pixels can.
        width = images.shape[-1]
        rows = images.permute(0, 2, 3, 1).view(len(images), -1, width * images.shape[1])
        scale, shift = (line.view(-1).expand(images.shape[1]).repeat(width) for line in (scale, shift))
        rows.mul_(scale).add_(shift)
        return images
    return images.mul_(scale).add_(shift)


def _one_size(transforms: Sequence[BatchTransform]) -> tuple[int, int] | None:
    sizes = sorted({size for transform in transforms if (size := transform.output_size(None)) is not None})
    if len(sizes) > 1:
        given = ", ".join(f"{h} x {w}" for h, w in sizes)
        raise ConfigError(f"batch transforms give several sizes: {given}", hint="keep one", key="data.batch_transforms")
    return sizes[0] if sizes else None
