"""UNet: a timm body that sees, and a decoder that draws what it saw at the size of the picture (arXiv:1505.04597).

The decoder is fastai's DynamicUnet: from the coarsest maps upwards, each block doubles the size by pixel shuffle and
takes in the body's maps of that size; at the end the picture itself is taken in once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.models.body import cannot_take
from fastcli.models.finetune import body_groups, input_config
from fastcli.models.hooks import evaluating
from fastcli.models.layers import PixelShuffleUpsample, SelfAttention, SigmoidRange, batch_norm
from fastcli.models.pretrained import WeightsReport
from fastcli.types import InputInfo

FEWEST_SIZES = 3
"""Maps of fewer sizes are no pyramid that a U-Net could climb."""


class UNet(nn.Module):
    """`decoder(images, maps)`: one logit per class and pixel, from a timm body's maps of every size.

    What of the body is above the last maps is cut off. Raises ConfigError for a body whose maps are all of one size.
    """

    def __init__(
        self, body: Any, n_out: int, *, inputs: InputInfo, architecture: str = "the body",
        weights: WeightsReport | None = None, **decoder: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.levels, channels, reductions = _pyramid(body, architecture)
        if hasattr(body, "prune_intermediate_layers"):
            body.prune_intermediate_layers(self.levels, prune_norm=True)
        self.body: Any = body
        self.decoder = Decoder(channels, n_out, image_channels=inputs.channels, scale=reductions[0], **decoder)
        self.input_config, self.weights = input_config(body.pretrained_cfg, inputs.channels), weights
        self._check(inputs, architecture)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, n_out, h, w) in fp32 of `images` (n, c, h, w), of any size that the body takes."""
        return self.decoder(images, self.feature_maps(images))  # type: ignore[no-any-return]

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """The body's maps (n, c, h, w), fine to coarse."""
        maps: list[Tensor] = self.body.forward_intermediates(
            images, indices=self.levels, output_fmt="NCHW", intermediates_only=True
        )
        return maps

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """All parameters in order from the input: early body, late body, decoder."""
        return [*body_groups(self.body), list(self.decoder.parameters())]

    def _check(self, inputs: InputInfo, architecture: str) -> None:
        """Run one picture through the body, so that a size that it cannot take is told now."""
        try:
            with evaluating(self.body):
                self.feature_maps(torch.zeros(1, inputs.channels, *inputs.size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise cannot_take(self.body, architecture, inputs, error) from None


def _pyramid(body: Any, architecture: str) -> tuple[list[int], list[int], list[int]]:
    """The last maps of every size: their places among timm's features, their channels, the pixels they span."""
    features = getattr(body, "feature_info", None)
    known: list[dict[str, Any]] = list(getattr(features, "info", features) or [])
    last = {int(info["reduction"]): level for level, info in enumerate(known)}
    if len(last) < FEWEST_SIZES or not hasattr(body, "forward_intermediates"):
        raise ConfigError(
            f"{architecture} gives no maps of several sizes, which a U-Net is made from",
            hint="use a convolutional architecture (resnet34, convnext_tiny, tf_efficientnet_lite0) or a swin",
            key="model.architecture",
        )
    levels = sorted(last.values())
    return levels, [int(known[i]["num_chs"]) for i in levels], [int(known[i]["reduction"]) for i in levels]


class Decoder(nn.Module):
    """Logits from a body's maps, fine to coarse, of these `channels`, of which the finest span `scale` pixels.

    `cross` takes the picture in again at the end, by a residual block which `bottleneck` makes half as wide inside;
    `blur` smooths each upsampling, the last one only with `blur_last`; `self_attention` looks across the whole picture
    at the third block from the end; `norm` puts a batch norm after every convolution, fastai's default has few.
    """

    def __init__(
        self, channels: Sequence[int], n_out: int, *, image_channels: int = 3, scale: int = 2, blur: bool = False,
        blur_last: bool = True, self_attention: bool = False, cross: bool = True, bottleneck: bool = False,
        norm: bool = False, output_range: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        *skips, width = channels
        self.middle = nn.Sequential(
            batch_norm(width), nn.ReLU(), _conv(width, 2 * width, norm), _conv(2 * width, width, norm)
        )
        self.blocks = nn.ModuleList()
        for left, skip in zip(range(len(skips) - 1, -1, -1), reversed(skips), strict=True):
            block = Block(width, skip, last=left == 0, blur=blur and (left > 0 or blur_last), norm=norm,
                          self_attention=self_attention and left == 2)  # fmt: skip
            self.blocks.append(block)
            width = block.n_out
        steps = max(0, (scale - 1).bit_length())
        self.upsample = nn.Sequential(*(PixelShuffleUpsample(width, width, norm=norm) for _ in range(steps)))
        width += image_channels if cross else 0
        self.cross = Residual(width, width // 2 if bottleneck else width, norm) if cross else None
        self.last = nn.Conv2d(width, n_out, 1)
        nn.init.normal_(self.last.bias, 0, 0.01)  # type: ignore[arg-type]
        self.squeeze = None if output_range is None else SigmoidRange(*output_range)

    def forward(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Logits (n, n_out, h, w) in fp32 of `images` (n, c, h, w) from their maps, fine to coarse."""
        x = self.middle(maps[-1])
        for block, skip in zip(self.blocks, reversed(maps[:-1]), strict=True):
            x = block(x, skip)
        x = _resized(self.upsample(x), images)
        if self.cross is not None:
            x = self.cross(torch.cat([x, images.to(x.dtype)], 1))
        logits = self.last(x).float()
        return logits if self.squeeze is None else self.squeeze(logits)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Maps of twice the size, with the body's own maps of that size taken in; `n_out` channels, halved at the last."""

    def __init__(
        self, n_in: int, n_skip: int, *, last: bool, blur: bool = False, self_attention: bool = False,
        norm: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        width = n_in // 2 + n_skip
        self.n_out = width // 2 if last else width
        self.upsample = PixelShuffleUpsample(n_in, n_in // 2, blur=blur, norm=norm)
        self.skip_norm = batch_norm(n_skip)
        self.convolutions = nn.Sequential(_conv(width, self.n_out, norm), _conv(self.n_out, self.n_out, norm))
        self.attention = SelfAttention(self.n_out) if self_attention else nn.Identity()

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """Maps of the size of `skip` from coarser `maps`."""
        both = torch.cat([_resized(self.upsample(maps), skip), self.skip_norm(skip)], 1)
        return self.attention(self.convolutions(F.relu(both)))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two convolutions around which the input is added; `inner` channels lie between them."""

    def __init__(self, n: int, inner: int, norm: bool) -> None:
        super().__init__()
        self.first, self.second = _conv(n, inner, norm), _conv(inner, n, norm, last=True)

    def forward(self, maps: Tensor) -> Tensor:
        """Add to `maps` (n, c, h, w)."""
        return F.relu(maps + self.second(self.first(maps)))


def _conv(n_in: int, n_out: int, norm: bool, *, last: bool = False) -> nn.Sequential:
    """A 3×3 convolution by kaiming's init, a batch norm if wanted, and a ReLU but at the `last` of a residual."""
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=not norm)
    nn.init.kaiming_normal_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    norms = [batch_norm(n_out, zero=last)] if norm else []
    return nn.Sequential(convolution, *norms, *([] if last else [nn.ReLU()]))


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    """`maps` at the height and width of `like`, by repeating or leaving out pixels."""
    size = like.shape[-2:]
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size)
