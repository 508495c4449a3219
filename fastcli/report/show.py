"""Pictures of data: what the model sees, and what it says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fastcli import show
from fastcli.show.grid import Part, Sample
from fastcli.types import Image, Label, typed

MOST_IMAGES = 36
CELL = 1.55
"""Width of one picture in inches."""


def show_batch(images: Any, titles: Sequence[str], path: Path) -> None:
    """Draw up to 36 images in a grid, each under its title; long titles are cut with an ellipsis.

    `images`: a tensor or array (n, channels, height, width) from 0 to 1; of other than 1 or 3 channels the first
    three, or the first, are shown. `titles` may be empty.
    """
    nothing = torch.empty(0)
    samples: list[list[Part]] = [[(typed(image.detach(), Image), None)] for image in torch.as_tensor(images)]
    for sample, title in zip(samples, titles, strict=False):
        sample.append((typed(nothing, Label), title))
    show_samples(samples, path)


def show_samples(samples: Sequence[Sample], path: Path) -> None:
    """Draw up to 36 samples in a grid: masks, points and boxes over their pictures, labels above them."""
    show.show_grid(samples, max_n=MOST_IMAGES, width=CELL, path=path)


def show_results(samples: Sequence[Sample], predictions: Sequence[Part], path: Path) -> None:
    """Draw up to 36 samples with their targets and what was predicted, two titles or two pictures."""
    show.show_results(samples, predictions, max_n=MOST_IMAGES, width=CELL, path=path)
