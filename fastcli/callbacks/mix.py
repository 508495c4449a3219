"""MixUp and CutMix: training on pairs of images made into one, with the loss of both targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fastcli.data.seeding import derive_seed
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.losses import loss_per_item
from fastcli.registry import callbacks
from fastcli.transforms.mix import (
    cutmix_boxes,
    cutmix_pixels,
    is_pixelwise,
    kept_share,
    mixup_pixels,
)

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

Alpha = Annotated[float, Field(gt=0)]


class Mix(Callback, ABC):
    """Base of the callbacks that mix each image of a training batch with another of the batch.

    λ is the share that a sample keeps of itself, drawn from Beta(alpha, alpha): one per sample where the loss can tell
    samples apart, else one per batch. Targets that are numbers are mixed in this measure. With whole-number targets
    the loss is λ · loss with the own ones + (1 − λ) · loss with the other's.
    """

    order = -10
    key: ClassVar[int]
    """Names this callback's random draws among those of a batch."""
    refused: ClassVar[tuple[str, ...]]
    """Kinds of targets for which it has no meaning."""
    masks_follow: ClassVar[bool]
    """Whether masks are mixed as the images are, and then need no mixing of losses."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self._others: Any = None

    def check(self, learner: Learner) -> None:
        """Raise ConfigError beside another callback that mixes, or for a target that cannot be mixed."""
        if sum(isinstance(callback, Mix) for callback in learner.callbacks) > 1:
            raise ConfigError("one callback alone can mix the batches", hint="take mixup or cutmix")
        if learner.target_info is not None and learner.target_info.kind in self.refused:
            name = type(self).__name__.lower()
            raise ConfigError(f"{name} does not fit a {learner.target_info.kind} target", hint=f"leave {name} out")

    def before_fit(self, learner: Learner) -> None:
        self.check(learner)

    def before_train(self, learner: Learner) -> None:
        self._per_item = loss_per_item(learner.loss_fn)

    def before_batch(self, learner: Learner) -> None:
        if not learner.training:
            return
        random = np.random.default_rng(derive_seed(learner.seed, learner.global_epoch, learner.batch_index, self.key))
        images, targets = learner.inputs[0], _as_tuple(learner.targets)
        numbers = all(part.is_floating_point() for part in targets)
        draws = len(images) if numbers or self._per_item is not None else 1
        order = torch.from_numpy(random.permutation(len(images))).to(images.device, non_blocking=True)
        self._share = self.draw(random, draws, images).to(images.device, non_blocking=True)
        learner.inputs = tuple(self.mixed(part, part[order]) for part in learner.inputs)
        pairs = [self._target_pair(part, part[order], images, numbers) for part in targets]
        learner.targets = _as_given([own for own, _ in pairs])
        self._others = None if all(own is other for own, other in pairs) else _as_given([other for _, other in pairs])

    def _target_pair(self, own: Tensor, other: Tensor, images: Tensor, numbers: bool) -> tuple[Tensor, Tensor]:
        """The two targets whose losses are mixed; one and the same where the target itself is mixed."""
        if self.masks_follow and is_pixelwise(own, images):
            own = other = self.mixed(own, other)
        elif numbers:
            own = other = mixup_pixels(own, other, self._share)
        return own, other

    @abstractmethod
    def draw(self, random: np.random.Generator, n: int, images: Tensor) -> Tensor:
        """Draw what `mixed` needs for `n` samples of the size of `images`; returns λ (n,), float32 on the CPU."""

    @abstractmethod
    def mixed(self, own: Tensor, other: Tensor) -> Tensor:
        """Pixels (n, …) as they were drawn to be mixed with others."""

    def after_loss(self, learner: Learner) -> None:
        if not learner.training or self._others is None:
            return
        loss = self._per_item or learner.loss_fn
        own = learner.loss if self._per_item is None else loss(learner.prediction, learner.targets)
        learner.loss = torch.lerp(loss(learner.prediction, self._others), own, self._share.to(own.dtype)).mean()


@callbacks(name="mixup")
class MixUp(Mix):
    """Trains on λ · image + (1 − λ) · another image of the batch, λ at least a half (arXiv:1710.09412)."""

    key = 3
    refused = ("boxes",)
    masks_follow = False

    def __init__(self, alpha: Alpha = 0.4) -> None:
        super().__init__(alpha)

    def draw(self, random: np.random.Generator, n: int, images: Tensor) -> Tensor:
        """λ (n,): the larger of a draw and its complement, so that no pair is mixed twice."""
        share = random.beta(self.alpha, self.alpha, size=n)
        return torch.from_numpy(np.maximum(share, 1 - share)).float()

    def mixed(self, own: Tensor, other: Tensor) -> Tensor:
        """The weighted mean."""
        return mixup_pixels(own, other, self._share)


@callbacks(name="cutmix")
class CutMix(Mix):
    """Trains on images with a box from another image of the batch; masks follow (arXiv:1905.04899).

    λ is the share of the area that stays, counted after the box was cut off at the edges.
    """

    key = 4
    refused = ("points", "boxes")
    masks_follow = True

    def __init__(self, alpha: Alpha = 1.0) -> None:
        super().__init__(alpha)

    def draw(self, random: np.random.Generator, n: int, images: Tensor) -> Tensor:
        """λ (n,), after one box per sample has been drawn."""
        if images.ndim != 4:
            raise ConfigError(f"cutmix needs images (n, c, h, w), and the first input is {tuple(images.shape)}")
        share = torch.from_numpy(random.beta(self.alpha, self.alpha, size=n))
        self._cut = share, torch.from_numpy(random.random((n, 2)))
        height, width = images.shape[-2:]
        return kept_share(cutmix_boxes(*self._cut, height, width), height, width)

    def mixed(self, own: Tensor, other: Tensor) -> Tensor:
        """The own pixels around the box, the other's inside."""
        boxes = cutmix_boxes(*self._cut, own.shape[-2], own.shape[-1])
        return cutmix_pixels(own, other, boxes.to(own.device, non_blocking=True))


def _as_tuple(parts: Any) -> tuple[Tensor, ...]:
    return parts if isinstance(parts, tuple) else (parts,)


def _as_given(parts: list[Tensor]) -> Any:
    return parts[0] if len(parts) == 1 else tuple(parts)
