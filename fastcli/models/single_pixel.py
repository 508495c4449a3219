"""Convolutions over maps of one pixel, as small images leave them: a matrix product, which CPUs train faster."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from fastcli.models.layers import FasterConv2d, replace_convolutions


class _Tap(torch.autograd.Function):
    """The weights (out, in) of a kernel (out, in, height, width) at one row and column; the gradient elsewhere is 0."""

    @staticmethod
    def forward(weight: Tensor, row: int, column: int) -> Tensor:
        return weight[:, :, row, column].contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        weight, ctx.row, ctx.column = inputs
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        of_weight = torch.zeros_like(ctx.saved_tensors[0])
        of_weight[:, :, ctx.row, ctx.column] = gradients[0]
        return of_weight, None, None


class SinglePixelConv2d(FasterConv2d):
    """`original` with the same parameters and results; over maps of one pixel it is trained faster on a CPU.

    There one weight of each kernel meets the pixel and all others meet padding, yet oneDNN passes over all of them. In
    bf16 with a stride it also leaves memory in the weight's gradient that nobody wrote (oneDNN 3.12).
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve `inputs` (n, c, h, w)."""
        if inputs.shape[2:] != (1, 1) or inputs.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(inputs)
        weight: Tensor = _Tap.apply(self.weight, *self.padding)
        return F.linear(inputs.flatten(1), weight, self.bias)[:, :, None, None]


@contextlib.contextmanager
def noting_single_pixels(model: nn.Module) -> Iterator[set[nn.Module]]:
    """Context that gives the convolutions of `model` that meet maps of one pixel in it, as far as they can be replaced.

    >>> layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
    >>> with noting_single_pixels(layers) as met:
    ...     _ = layers(torch.zeros(1, 3, 2, 2))
    >>> met == {layers[1]}
    True
    """
    met: set[nn.Module] = set()

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if args[0].shape[2:] == (1, 1):
            met.add(module)

    with contextlib.ExitStack() as hooks:
        for module in model.modules():
            if type(module) is nn.Conv2d and _fits(module):
                hooks.callback(module.register_forward_pre_hook(note).remove)
        yield met


def train_single_pixels_fast(model: nn.Module, met: Container[nn.Module]) -> None:
    """Replace the convolutions of `model` that are among `met`. Names, parameters and results stay the same."""
    replace_convolutions(model, lambda found: SinglePixelConv2d(found) if found in met else None)


def _fits(convolution: nn.Conv2d) -> bool:
    """Whether it gives one pixel for one pixel, from more than one weight."""
    padding = convolution.padding
    plain = convolution.groups == 1 and convolution.dilation == (1, 1) and convolution.padding_mode == "zeros"
    if not plain or isinstance(padding, str) or max(convolution.kernel_size) == 1:
        return False
    sides = zip(padding, convolution.kernel_size, convolution.stride, strict=True)
    return all(0 <= 1 + 2 * pad - kernel < stride for pad, kernel, stride in sides)
