"""Mixed precision and memory layout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from fastcli.events import Callback
from fastcli.models.layers import FasterConv2d
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a model runs in `precision`; with `fp32` it changes nothing."""
    return torch.autocast(device.type, dtype=DTYPES.get(precision), enabled=precision in DTYPES)


@contextlib.contextmanager
def single_pixels_in_fp32(model: nn.Module) -> Iterator[None]:
    """Context in which strided convolutions of `model` leave autocast where they meet a map of one pixel.

    On a CPU the gradient that oneDNN's bf16 kernel gives such a weight holds memory that nobody wrote (torch 2.14).
    """
    left: list[torch.autocast] = []

    def enter(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if args[0].shape[-2:] != (1, 1):
            return None
        left.append(autocast(args[0].device, "fp32"))
        left[-1].__enter__()  # type: ignore[no-untyped-call]
        return (args[0].float(),)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if left:
            left.pop().__exit__(None, None, None)

    with contextlib.ExitStack() as hooks:
        for module in model.modules():
            if _may_be_wrong(module):
                hooks.callback(module.register_forward_pre_hook(enter).remove)
                hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield


def _may_be_wrong(module: nn.Module) -> bool:
    """Whether it is a strided convolution that oneDNN computes, also one whose weights are made in each pass."""
    if not isinstance(module, nn.Conv2d) or isinstance(module, FasterConv2d):
        return False
    return max(module.stride) > 1 and max(module.kernel_size) > 1


class MixedPrecision(Callback):
    """Runs the model under autocast in `bf16` or `fp16`; the latter with a gradient scaler. Weights stay fp32.

    Every fit has a scaler of its own, so that nothing of a fit that failed, or of a search for a rate, is left in it.
    """

    order = -20

    def __init__(self, precision: Literal["bf16", "fp16"]) -> None:
        self.precision = precision
        self.scaler: torch.amp.GradScaler | None = None
        self._unscaled = False
        self._careful = contextlib.ExitStack()

    def before_fit(self, learner: Learner) -> None:
        learner.forward_context = autocast(learner.device, self.precision)
        if learner.device.type == "cpu":
            self._careful.enter_context(single_pixels_in_fp32(learner.model))
        if self.precision == "fp16":
            self.scaler, self._unscaled = torch.amp.GradScaler(learner.device.type), False
            self._one = torch.ones((), device=learner.device)
            learner.optimizer_step = lambda: self._scaled_step(learner)  # type: ignore[method-assign]

    def before_validate(self, learner: Learner) -> None:
        learner.forward_context = autocast(learner.device, self.precision)

    def before_backward(self, learner: Learner) -> None:
        if self.scaler is not None:
            learner.backward_loss = self.scaler.scale(learner.backward_loss)

    def before_step(self, learner: Learner) -> None:
        if self.scaler is not None:
            self.scaler.unscale_(learner.optimizer)
            self._unscaled = True

    def _scaled_step(self, learner: Learner) -> None:
        assert self.scaler is not None
        self.scaler.step(learner.optimizer)
        self.scaler.update()
        self._unscaled = False

    def after_step(self, learner: Learner) -> None:
        if self.scaler is not None and self._unscaled:  # the step was cancelled, and its gradients are kept
            self.scaler.update()
            for group in learner.optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad = self.scaler.scale(parameter.grad)
            self._unscaled = False

    def cleanup_fit(self, learner: Learner) -> None:
        vars(learner).pop("optimizer_step", None)
        self._careful.close()

    def state_dict(self) -> dict[str, Any]:
        """The gradient scaler's numbers."""
        return {} if self.scaler is None else {"scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, in a fit that has begun."""
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
            self.scaler.scale(self._one)  # it makes its tensors then: the next thing may be a step


@callbacks(name="channels_last")
class ChannelsLast(Callback):
    """Keeps the model and every batch of pictures in channels-last memory."""

    order = -20
    orders = {"before_batch": 80}  # after all that makes new pictures

    def before_fit(self, learner: Learner) -> None:
        learner.model.to(memory_format=torch.channels_last)

    def before_batch(self, learner: Learner) -> None:
        learner.inputs = tuple(
            part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part for part in learner.inputs
        )
