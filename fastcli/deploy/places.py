"""From what the model sees back to the picture in the file: where a predicted point lies, what a mask covers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline
from fastcli.types import Image, KeyPoints, typed


class View:
    """The part of a picture of `canvas` (height, width) that validation's transforms show the model.

    They scale, cut and pad, so where three corners go tells where everything does.
    """

    def __init__(self, canvas: tuple[int, int], items: ItemPipeline, batches: BatchPipeline) -> None:
        self.canvas = canvas
        height, width = canvas
        corners = KeyPoints(torch.tensor([[0.0, 0.0], [width, 0.0], [0.0, height]]), canvas_size=canvas)
        finished = items(corners)
        blank = typed(torch.zeros(1, 1, *finished.canvas_size, dtype=torch.uint8), Image)
        batch = KeyPoints(finished.as_subclass(Tensor)[None], canvas_size=finished.canvas_size)
        shape = BatchPipeline(batches.transforms)  # without the normalisation, which wants its own number of channels
        _, seen = shape([blank, batch], torch.Generator(), train=False)
        self._corner = seen[0, 0]
        self._axes = torch.stack([seen[0, 1] - seen[0, 0], seen[0, 2] - seen[0, 0]], 1)

    def points(self, seen: Tensor) -> Tensor:
        """Points (n, 2) in [-1, 1] of the view, as pixels of the picture."""
        shares = torch.linalg.solve(self._axes, (seen.float() - self._corner).T).T
        places: Tensor = shares * torch.tensor([float(self.canvas[1]), float(self.canvas[0])])
        return places

    def mask(self, seen: Tensor) -> Tensor:
        """The codes (h, w) of the view, laid on the picture, uint8 of its size; what was not seen is 0."""
        height, width = self.canvas
        down, across = (torch.arange(n, dtype=torch.float32).add(0.5).div(n) for n in (height, width))
        shares = torch.stack([across.expand(height, width), down[:, None].expand(height, width)], -1)
        grid = self._corner + shares @ self._axes.T
        codes = seen[None, None].float()
        laid = F.grid_sample(codes, grid[None], mode="nearest", padding_mode="zeros", align_corners=False)
        return laid[0, 0].to(torch.uint8)
