"""Layers that neither torch nor timm has: fastai's, and depthwise convolutions that are fast to train on CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

FAST_WIDTH = 3
"""The widest depthwise kernel whose weight gradient oneDNN computes channel by channel."""


class AdaptiveConcatPool2d(nn.Module):
    """The maximum and then the mean of every channel: (n, c, h, w) to (n, 2c).

    >>> AdaptiveConcatPool2d()(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([[3., 2.]])
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Pool `maps` (n, c, h, w)."""
        return torch.cat([F.adaptive_max_pool2d(maps, 1), F.adaptive_avg_pool2d(maps, 1)], 1).flatten(1)


class SigmoidRange(nn.Module):
    """Any number to between `low` and `high`, which are never quite reached.

    >>> SigmoidRange(0, 10)(torch.tensor([0.0, 100.0]))
    tensor([ 5., 10.])
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, inputs: Tensor) -> Tensor:
        """Squeeze `inputs` of any shape."""
        return torch.sigmoid(inputs) * (self.high - self.low) + self.low

    def extra_repr(self) -> str:
        """The range."""
        return f"{self.low}, {self.high}"


class PixelShuffleUpsample(nn.Sequential):
    """Maps (n, c, h, w) to (n, n_out, scale·h, scale·w): a 1×1 convolution whose channels become pixels.

    At first all pixels of a square are alike, so that no checkerboard is learnt (ICNR, arXiv:1707.02937); `blur` then
    averages each pixel with its neighbours above and to the left (arXiv:1806.02658).
    """

    def __init__(self, n_in: int, n_out: int, scale: int = 2, *, blur: bool = False, norm: bool = False) -> None:
        convolution = nn.Conv2d(n_in, n_out * scale**2, 1, bias=not norm)
        kernel = nn.init.kaiming_normal_(torch.empty(n_out, n_in, 1, 1))
        with torch.no_grad():
            convolution.weight.copy_(kernel.repeat_interleave(scale**2, 0))
            if convolution.bias is not None:
                convolution.bias.zero_()
        layers = [convolution, *([batch_norm(n_out * scale**2)] if norm else []), nn.ReLU(), nn.PixelShuffle(scale)]
        super().__init__(*layers, *([nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, 1)] if blur else []))


class SelfAttention(nn.Module):
    """Maps plus what each pixel sees of all others, which is nothing at first (SAGAN, arXiv:1805.08318)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        inner = max(1, n_channels // 8)
        self.query, self.key, self.value = (_spectral_conv1d(n_channels, n) for n in (inner, inner, n_channels))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Attend over the pixels of `maps` (n, c, h, w)."""
        pixels = maps.flatten(2)
        query, key, value = (layer(pixels).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return self.gamma * seen.transpose(1, 2).reshape(maps.shape) + maps


def _spectral_conv1d(n_in: int, n_out: int) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(nn.Conv1d(n_in, n_out, 1, bias=False))


def batch_norm(n_features: int, *, dimensions: int = 2, zero: bool = False) -> nn.Module:
    """A batch norm that starts with fastai's bias of 0.001, and with a weight of 1, or of 0 at a residual's end."""
    norm = nn.BatchNorm2d(n_features) if dimensions == 2 else nn.BatchNorm1d(n_features)
    nn.init.constant_(norm.bias, 1e-3)
    nn.init.constant_(norm.weight, 0.0 if zero else 1.0)
    return norm


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution whose gradients avoid oneDNN's slow kernels.

    oneDNN 3.12 computes the weight gradient of a depthwise kernel wider than 3 as if 16 channels were mixed, 10 to 30
    times slower than need be; and in bf16 the input gradient with a stride, 10 to 60 times slower. So a wide kernel is
    done in strips of three columns, and a strided gradient is spread out with zeros and convolved.
    """

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        return F.conv2d(inputs, weight, None, stride, padding, 1, weight.shape[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, weight, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(images, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        inputs, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=_layout(inputs))
        of_inputs = of_weight = None
        if ctx.needs_input_grad[0]:
            of_inputs = _input_gradient(gradient, inputs, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient, inputs, weight, ctx.stride, ctx.padding)
        return of_inputs, of_weight, None, None


def _convolution_backward(
    gradient: Tensor, inputs: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int], which: int
) -> Tensor:
    """The gradient of the inputs (`which` 0) or of the weight (1) by torch's own kernel."""
    wanted = [which == 0, which == 1, False]
    both = torch.ops.aten.convolution_backward(
        gradient, inputs, weight, None, stride, padding, (1, 1), False, (0, 0), weight.shape[0], wanted
    )
    return both[which]  # type: ignore[no-any-return]


def _input_gradient(
    gradient: Tensor, inputs: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    if stride == (1, 1) or gradient.dtype == torch.float32:
        return _convolution_backward(gradient, inputs, weight, stride, padding, 0)
    channels, (height, width) = weight.shape[0], weight.shape[2:]
    full = (inputs.shape[2] + 2 * padding[0] - height + 1, inputs.shape[3] + 2 * padding[1] - width + 1)
    shape = (len(inputs), channels, *full)
    spread = torch.empty(shape, dtype=gradient.dtype, memory_format=_layout(gradient)).zero_()
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    return F.conv2d(spread, weight.flip(2, 3), None, 1, (height - 1 - padding[0], width - 1 - padding[1]), 1, channels)


def _weight_gradient(
    gradient: Tensor, inputs: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    width = weight.shape[3]
    if width <= FAST_WIDTH:
        return _convolution_backward(gradient, inputs, weight, stride, padding, 1)
    padded, layout = F.pad(inputs, (padding[1], padding[1])), _layout(gradient)
    span = (gradient.shape[3] - 1) * stride[1] + FAST_WIDTH
    strips = []
    for column in range(0, width, FAST_WIDTH):
        first = min(column, width - FAST_WIDTH)
        seen = padded[..., first : first + span].contiguous(memory_format=layout)
        part = weight[..., :FAST_WIDTH].contiguous(memory_format=layout)
        strip = _convolution_backward(gradient, seen, part, stride, (padding[0], 0), 1)
        strips.append(strip[..., column - first :])
    return torch.cat(strips, 3)


def _layout(tensor: Tensor) -> torch.memory_format:
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


class FasterConv2d(nn.Conv2d):
    """Base of what takes the place of the convolution `original`, undilated, with its own parameters and mode."""

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__(
            original.in_channels,
            original.out_channels,
            original.kernel_size,  # type: ignore[arg-type]
            original.stride,  # type: ignore[arg-type]
            original.padding,  # type: ignore[arg-type]
            groups=original.groups,
            bias=False,
            device="meta",
        )
        self.weight, self.bias = original.weight, original.bias
        self.train(original.training)


class DepthwiseConv2d(FasterConv2d):
    """`original` with the same parameters and results, trained faster on a CPU; elsewhere, and untrained, the same.

    `pad(images, kernel_size, stride, dilation)` is called first where the original pads by the size of its input.
    """

    def __init__(self, original: nn.Conv2d, pad: Callable[..., Tensor] | None = None) -> None:
        super().__init__(original)
        self.pad = pad

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve `inputs` (n, c, h, w)."""
        if self.pad is not None:
            inputs = self.pad(inputs, self.kernel_size, self.stride, self.dilation)
        trained = torch.is_grad_enabled() and (inputs.requires_grad or self.weight.requires_grad)
        if inputs.device.type != "cpu" or not trained:
            untrained: Tensor = self._conv_forward(inputs, self.weight, self.bias)
            return untrained
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            inputs, weight = inputs.to(dtype), weight.to(dtype)
        outputs: Tensor = _Depthwise.apply(inputs, weight, self.stride, self.padding)
        return outputs if self.bias is None else outputs + self.bias.to(outputs.dtype)[:, None, None]


def train_depthwise_fast(model: nn.Module) -> int:
    """Replace the depthwise convolutions of `model` that torch trains slowly on a CPU; returns how many there were.

    Names, parameters and results stay the same.
    """
    from timm.layers.conv2d_same import Conv2dSame
    from timm.layers.padding import pad_same

    pads: dict[type, Callable[..., Tensor] | None] = {nn.Conv2d: None, Conv2dSame: pad_same}

    def faster(found: nn.Conv2d) -> nn.Conv2d | None:
        return DepthwiseConv2d(found, pads[type(found)]) if type(found) in pads and _is_slow(found) else None

    return replace_convolutions(model, faster)


def replace_convolutions(model: nn.Module, other: Callable[[nn.Conv2d], nn.Conv2d | None]) -> int:
    """Put `other` of it in the place of each convolution in `model` that has one; returns how many there were.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1))
    >>> replace_convolutions(model, lambda found: FasterConv2d(found) if found.in_channels == 2 else None), model[1]
    (1, FasterConv2d(2, 2, kernel_size=(1, 1), stride=(1, 1)))
    """
    found = [
        (parent, name, new)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d) and (new := other(child)) is not None
    ]
    for parent, name, new in found:
        setattr(parent, name, new)
    return len(found)


def _is_slow(convolution: nn.Conv2d) -> bool:
    depthwise = convolution.groups == convolution.in_channels == convolution.out_channels > 1
    padding, kernel = convolution.padding, convolution.kernel_size
    if not depthwise or isinstance(padding, str) or any(p >= k for p, k in zip(padding, kernel, strict=True)):
        return False
    plain = convolution.dilation == (1, 1) and convolution.padding_mode == "zeros"
    return plain and (kernel[1] > FAST_WIDTH or convolution.stride != (1, 1))
