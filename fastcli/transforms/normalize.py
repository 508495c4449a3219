"""Channel statistics, and the shift and scale that they stand for."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from itertools import cycle, islice

import torch
from torch import Tensor

from fastcli.errors import ConfigError, DataError

__all__ = ["CIFAR", "IMAGENET", "MNIST", "Normalize", "channel_stats"]


@functools.lru_cache(maxsize=64)
def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    # Made once per device: a copy from the host in every batch would stall the stream. Not as an inference tensor,
    # because the first caller may be in inference mode and a later one want gradients.
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


class Normalize:
    """Subtracts `mean` and divides by `std`, one number per channel or one for all; pixels are in 0..1.

    >>> normalize = Normalize([0.5], [0.25])
    >>> normalize.encode(torch.ones(1, 3, 2, 2)).unique().tolist()
    [2.0]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        if len(self.mean) != len(self.std) or not self.mean:
            raise ConfigError(f"normalize needs as many means as deviations, not {len(self.mean)} and {len(self.std)}")
        if min(self.std) <= 0:
            raise ConfigError(f"normalize needs deviations above 0, not {list(self.std)}")

    def __repr__(self) -> str:
        return f"Normalize(mean={[round(m, 4) for m in self.mean]}, std={[round(s, 4) for s in self.std]})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Normalize) and (self.mean, self.std) == (other.mean, other.std)

    def __hash__(self) -> int:
        return hash((self.mean, self.std))

    @property
    def mean_list(self) -> list[float]:
        """The means, as YAML and JSON hold them."""
        return list(self.mean)

    @property
    def std_list(self) -> list[float]:
        """The deviations, as YAML and JSON hold them."""
        return list(self.std)

    def for_channels(self, n: int) -> Normalize:
        """The same statistics for images of `n` channels: their mean for grey, else repeated in turn.

        >>> Normalize([0.4, 0.5, 0.6], [0.2, 0.2, 0.2]).for_channels(1)
        Normalize(mean=[0.5], std=[0.2])
        """
        if n == 1:
            return Normalize([sum(self.mean) / len(self.mean)], [sum(self.std) / len(self.std)])
        return Normalize(list(islice(cycle(self.mean), n)), list(islice(cycle(self.std), n)))

    def line(self, channels: int, device: torch.device, peak: float = 1.0) -> tuple[Tensor, Tensor]:
        """`scale` and `shift` (channels or 1, 1, 1) with `scale * x + shift` normalised, for x in 0..peak."""
        if len(self.mean) not in (1, channels):
            raise ConfigError(f"normalize has {len(self.mean)} channels and the images have {channels}")
        scale = tuple(1 / (peak * std) for std in self.std)
        shift = tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        return _column(scale, device), _column(shift, device)

    def encode(self, images: Tensor) -> Tensor:
        """Images (…, channels, height, width) in 0..1, normalised."""
        scale, shift = self.line(images.shape[-3], images.device)
        return images * scale + shift

    def decode(self, images: Tensor) -> Tensor:
        """Normalised images back in 0..1, but not clamped to it."""
        scale, shift = self.line(images.shape[-3], images.device)
        return (images - shift) / scale


IMAGENET = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CIFAR = Normalize([0.491, 0.482, 0.447], [0.247, 0.243, 0.261])
MNIST = Normalize([0.131], [0.308])


def channel_stats(batches: Iterable[Tensor]) -> Normalize:
    """Mean and deviation of every channel over images (…, channels, height, width), uint8 or float in 0..1.

    Accumulated in float64; every pixel counts alike. A constant channel gets a deviation of 1. Raises DataError where
    there is no pixel.

    >>> channel_stats([torch.tensor([[[0, 255]]], dtype=torch.uint8)])
    Normalize(mean=[0.5], std=[0.5])
    """
    count, sums = 0, torch.zeros(2, 1, dtype=torch.float64)
    for batch in batches:
        images = batch.as_subclass(Tensor)
        pixels = images.movedim(-3, 0).flatten(1).double() / (255 if images.dtype == torch.uint8 else 1)
        count += pixels.shape[1]
        sums = sums + torch.stack([pixels.sum(1), pixels.square().sum(1)]).cpu()
    if not count:
        raise DataError("no pixels to take statistics of")
    mean, square = sums / count
    std = (square - mean.square()).clamp_min(0).sqrt()
    return Normalize(mean.tolist(), torch.where(std > 1e-6, std, 1.0).tolist())
