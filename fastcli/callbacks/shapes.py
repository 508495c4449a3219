"""StaticShapes: every batch has one shape where a new one would cost a compilation, or a search for kernels."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fastcli.callbacks.epochs import ProgressiveResize
from fastcli.events import Callback
from fastcli.models.hooks import mapped, tensors_in

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


def has_static_shapes(learner: Learner) -> bool:
    """Whether all full batches of a training have one shape: pictures of a batch must, so batches of one need not."""
    grows = any(isinstance(callback, ProgressiveResize) for callback in learner.callbacks)
    return not grows and getattr(learner.train_loader, "batch_size", 2) > 1


class StaticShapes(Callback):
    """Gives a last, smaller batch of validation the shape of the others, by copies of its first sample.

    Losses, metrics and other callbacks see the real samples alone. In training, where batch norms would see the copies,
    a smaller batch stays small, and the model runs as it is written for it where it is `compiled`.
    """

    orders = {"before_batch": 90, "after_predict": -1000}  # next to the model
    only_looks = True  # in training

    def __init__(self, *, compiled: bool = False) -> None:
        self.compiled = compiled
        self._eager = contextlib.ExitStack()
        self._full: dict[bool, int] = {}
        self._real: tuple[Any, ...] | None = None

    def before_fit(self, learner: Learner) -> None:
        self._full = {}
        if (size := getattr(learner.train_loader, "batch_size", None)) is not None:
            self._full[True] = size

    def before_validate(self, learner: Learner) -> None:
        self._real = None
        self._full.pop(False, None)
        if self.compiled and (size := getattr(learner.valid_loader, "batch_size", None)) is not None:
            self._full[False] = size  # compiled for it already
        self._pads = not any(_sees_other_samples(module) for module in learner.model.modules())

    def before_batch(self, learner: Learner) -> None:
        n = len(learner.inputs[0])
        full = self._full.setdefault(learner.training, n)
        if n == full:
            return
        if learner.training:
            if self.compiled:
                self._eager.enter_context(torch.compiler.set_stance("force_eager"))
        elif n < full and self._pads:
            self._real = learner.inputs
            learner.inputs = mapped(lambda part: _filled(part, full), learner.inputs)

    def after_predict(self, learner: Learner) -> None:
        if self._real is None:
            return
        n, full = len(self._real[0]), len(learner.inputs[0])
        learner.inputs, self._real = self._real, None
        if all(part.ndim and len(part) == full for part in tensors_in(learner.prediction)):
            learner.prediction = mapped(lambda part: part[:n], learner.prediction)
        else:  # which samples an output belongs to is not known
            learner.prediction, self._pads = learner.model(*learner.inputs), False

    def after_batch(self, learner: Learner) -> None:
        self._eager.close()

    def cleanup_fit(self, learner: Learner) -> None:
        self._eager.close()


def _filled(part: Tensor, n: int) -> Tensor:
    """`part` with copies of its first row up to `n` rows, in its memory layout."""
    filled = torch.cat([part, part[:1].expand(n - len(part), *part.shape[1:])])
    last = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last)
    return filled.contiguous(memory_format=torch.channels_last) if last else filled


def _sees_other_samples(module: nn.Module) -> bool:
    """Whether what it makes of a sample depends on the others of its batch, although it is validated."""
    return module.training or (isinstance(module, _BatchNorm) and module.running_mean is None)
