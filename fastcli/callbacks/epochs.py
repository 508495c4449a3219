"""ShortEpoch and ProgressiveResize: epochs of fewer batches, and of smaller images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.events import Callback, CancelTrain, CancelValidate
from fastcli.models.hooks import evaluating, mapped
from fastcli.registry import callbacks
from fastcli.transforms.mix import is_pixelwise

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

Share = Annotated[float, Field(gt=0, le=1)]


@callbacks(name="short_epoch")
class ShortEpoch(Callback):
    """Ends every epoch after the share `pct` of its training batches, with `valid` its validation too; for trying out.

    Schedules run over the short epochs. There is at least one batch.
    """

    order = 80
    in_search = False

    def __init__(self, pct: Share = 0.01, valid: bool = True) -> None:
        self.pct, self.valid = pct, valid

    def before_fit(self, learner: Learner) -> None:
        learner.steps_per_epoch = self._share(learner.train_loader)
        learner.total_iterations = learner.epochs * learner.steps_per_epoch

    def _share(self, loader: Any) -> int:
        return max(1, math.ceil(self.pct * len(loader)))

    def after_batch(self, learner: Learner) -> None:
        if learner.training:
            if learner.batch_index + 1 >= learner.steps_per_epoch:
                raise CancelTrain
        elif self.valid and learner.batch_index + 1 >= self._share(learner.valid_loader):
            raise CancelValidate


@callbacks(name="progressive_resize")
class ProgressiveResize(Callback):
    """Trains on small images first: their size grows from `start` times the full one, epoch by epoch.

    From the share `until` of the epochs on, and in the last one, images are of full size; sides are rounded to a
    multiple of `multiple` pixels. Masks follow; validation sees full size.
    """

    order = -12
    in_search = False

    def __init__(self, start: Share = 0.5, until: Share = 0.75, multiple: Annotated[int, Field(ge=1)] = 32) -> None:
        self.start, self.until, self.multiple = start, until, multiple

    def check(self, learner: Learner) -> None:
        """Raise ConfigError for boxes, which are in pixels, and for a model that takes images of one size alone."""
        if learner.target_info is not None and learner.target_info.kind == "boxes":
            raise ConfigError(
                "progressive_resize does not fit a boxes target", hint="boxes are in pixels: leave it out"
            )
        full = getattr(learner.loaders, "input", None)
        if full is not None:
            self._try(learner, torch.zeros(1, full.channels, *full.size, device=learner.device))

    def _try(self, learner: Learner, image: Tensor) -> None:
        """Show the model an image of the size that it would begin with."""
        self._scale = self.start
        small = self._resized(image)
        try:
            with evaluating(learner.model):
                learner.model(small)
        except (RuntimeError, AssertionError, ValueError) as error:
            whole, part = (f"{each.shape[-1]} x {each.shape[-2]}" for each in (image, small))
            raise ConfigError(
                f"progressive_resize does not fit the model, which takes images of {whole} pixels but none of {part}",
                hint="leave it out, or take a convolutional model",
            ) from error

    def before_fit(self, learner: Learner) -> None:
        self.check(learner)

    def before_train(self, learner: Learner) -> None:
        self._scale = self.scale(learner.epoch, learner.epochs)

    def scale(self, epoch: int, epochs: int) -> float:
        """The size of the images of an epoch, of which there are `epochs`, as a share of the full one.

        >>> [round(ProgressiveResize(start=0.5, until=0.75).scale(epoch, 5), 3) for epoch in range(5)]
        [0.5, 0.667, 0.833, 1.0, 1.0]
        """
        grown = epoch / (self.until * (epochs - 1)) if epochs > 1 else 1.0
        return self.start + (1 - self.start) * min(1.0, grown)

    def before_batch(self, learner: Learner) -> None:
        if not learner.training or self._scale == 1:
            return
        images = learner.inputs[0]
        learner.inputs = mapped(self._resized, learner.inputs)
        learner.targets = mapped(lambda part: self._mask(part, images), learner.targets)

    def _resized(self, part: Tensor) -> Tensor:
        if part.ndim != 4:
            return part
        return F.interpolate(part, self._size(part), mode="bilinear", antialias=True, align_corners=False)

    def _mask(self, part: Tensor, images: Tensor) -> Tensor:
        if not is_pixelwise(part, images):
            return part
        planes = part if part.ndim == 4 else part.unsqueeze(1)
        # In float64 every class number is exact; interpolation knows no whole numbers.
        resized = F.interpolate(planes.double(), self._size(images), mode="nearest-exact").to(part.dtype)
        return resized if part.ndim == 4 else resized.squeeze(1)

    def _size(self, images: Tensor) -> tuple[int, int]:
        height, width = (
            min(side, max(1, round(side * self._scale / self.multiple)) * self.multiple) for side in images.shape[-2:]
        )
        return height, width
