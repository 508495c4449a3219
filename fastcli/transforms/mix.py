"""mixup_pixels and cutmix_pixels: two batches of pixels made into one, each sample in its own measure."""

from __future__ import annotations

import torch
from torch import Tensor


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """One value per sample (n,), or one for all (1,), in a shape that broadcasts over `like` (n, …), and in its type.

    >>> per_sample(torch.tensor([0.5, 1.0]), torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 1, 1, 1])
    """
    return values.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def mixup_pixels(images: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """The mean of two batches, weighted by `share` and 1 − `share`: one per sample (n,) or for all (1,).

    >>> mixup_pixels(torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([0.75, 0.5])).flatten().tolist()
    [0.75, 0.5]
    """
    return torch.lerp(partner, images, per_sample(share, images))


def cutmix_boxes(share: Tensor, centre: Tensor, height: int, width: int) -> Tensor:
    """Boxes (n, 4): left, top, right, bottom, each of 1 − `share` (n,) of the area where it does not leave the image.

    `centre` (n, 2) holds x and y from 0 to below 1. Sides are √(1 − share) of the image's, rounded, and cut off at its
    edges (arXiv:1905.04899).

    >>> cutmix_boxes(torch.tensor([0.75]), torch.tensor([[0.5, 0.0]]), 8, 8).tolist()
    [[2, 0, 6, 2]]
    """
    size = torch.tensor([width, height], dtype=torch.float64)
    sides = (size * (1 - share.double()).clamp_min(0).sqrt().unsqueeze(1)).round().long()
    start = (centre.double() * size).long() - sides // 2
    limit = size.long()
    return torch.cat([start.clamp_min(0).minimum(limit), (start + sides).clamp_min(0).minimum(limit)], dim=1)


def kept_share(boxes: Tensor, height: int, width: int) -> Tensor:
    """Which share of the area is outside of each box, (n,) in float32.

    >>> kept_share(torch.tensor([[2, 0, 6, 2]]), 8, 8).tolist()
    [0.875]
    """
    left, top, right, bottom = boxes.unbind(1)
    return (1 - ((right - left) * (bottom - top)).double() / (height * width)).float()


def cutmix_pixels(images: Tensor, partner: Tensor, boxes: Tensor) -> Tensor:
    """`images` (n, h, w) or (n, c, h, w), also masks, with each sample's box filled from `partner`.

    `boxes` are (n, 4), or (1, 4) for all, on the device of the images.

    >>> cutmix_pixels(torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 3), torch.tensor([[1, 0, 3, 1]])).tolist()
    [[[[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]]]
    """
    x = torch.arange(images.shape[-1], device=images.device)
    y = torch.arange(images.shape[-2], device=images.device)
    left, top, right, bottom = boxes.unsqueeze(2).unbind(1)
    columns, rows = (left <= x) & (x < right), (top <= y) & (y < bottom)
    inside = rows.unsqueeze(2) & columns.unsqueeze(1)
    return torch.where(inside.unsqueeze(1) if images.ndim == 4 else inside, partner, images)


def is_pixelwise(part: Tensor, images: Tensor) -> bool:
    """Whether `part` has a value for every pixel of `images` (n, c, h, w), as masks have.

    >>> images = torch.zeros(2, 3, 8, 8)
    >>> is_pixelwise(torch.zeros(2, 8, 8), images), is_pixelwise(torch.zeros(2, 5), images)
    (True, False)
    """
    return images.ndim == 4 and part.ndim >= 3 and part.shape[-2:] == images.shape[-2:]
