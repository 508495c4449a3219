"""FineTuneModel: a timm body and a head, and the groups of a body's parameters that get learning rates of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor, nn

from fastcli.errors import FastcliError
from fastcli.models.pretrained import WeightsReport
from fastcli.transforms.normalize import Normalize

EARLY_SHARE = 0.6
"""The share of a convolutional body's stages that form the first group: fastai's stem, layer1, layer2 of a resnet."""


@dataclass(frozen=True)
class InputConfig:
    """What pictures a timm model was trained on."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    """Height and width in pixels."""


def input_config(config: Mapping[str, Any], channels: int = 3) -> InputConfig:
    """What timm's `pretrained_cfg` says of the input; statistics fitted to `channels`, which for grey are their means.

    >>> input_config({"input_size": (3, 8, 8), "mean": (0.25, 0.5, 0.75), "std": (1, 1, 1)}, channels=1).mean
    (0.5,)
    """
    size = config.get("input_size") or (3, 224, 224)
    given = Normalize(config.get("mean") or (0.5, 0.5, 0.5), config.get("std") or (0.5, 0.5, 0.5))
    statistics = given.for_channels(channels)
    return InputConfig(statistics.mean, statistics.std, (int(size[1]), int(size[2])))


class FineTuneModel(nn.Module):
    """`classify(features(images))`: a timm model without its classifier, and a head.

    `features` gives one vector per image (or maps, where `pool` leaves them to the head) and needs nothing that the
    head trains, so those of a frozen body may be kept. `classifier` is timm's name of its last layer where the head is
    timm's own.
    """

    def __init__(
        self,
        body: Any,
        head: nn.Module,
        *,
        pool: nn.Module | None = None,
        classifier: str | None = None,
        channels: int = 3,
        weights: WeightsReport | None = None,
    ) -> None:
        super().__init__()
        self.body: Any = body
        self.pool, self.head = pool, head
        self.classifier, self.weights = classifier, weights
        self.input_config = input_config(body.pretrained_cfg, channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, n_out) of `images` (n, c, h, w)."""
        return self.classify(self.features(images))

    def feature_map(self, images: Tensor) -> Tensor:
        """The body's last features before pooling: (n, c, h, w), (n, h, w, c) or (n, tokens, c), as timm has them."""
        return self.body.forward_features(images)  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> Tensor:
        """Pooled features (n, n_features) of `images`."""
        maps = self.feature_map(images)
        if self.pool is not None:
            return self.pool(maps)  # type: ignore[no-any-return]
        return self.body.forward_head(maps, pre_logits=True).flatten(1)  # type: ignore[no-any-return]

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, n_out) of `features` (n, n_features)."""
        return self.head(features)  # type: ignore[no-any-return]

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """All parameters in order from the input: early and late body, head; body, head where timm names no stages."""
        head = list(self.head.parameters())
        return [*body_groups(self.body), *([head] if head else [])]

    def timm_state_dict(self) -> dict[str, Tensor]:
        """The weights under timm's names, for `timm.create_model(name, num_classes=…, in_chans=…)`.

        Raises FastcliError for a head that timm does not have.
        """
        if self.classifier is None:
            raise FastcliError("timm has no model with this head", hint="train with model.head=linear")
        last = self.head[1].state_dict(prefix=f"{self.classifier}.")  # type: ignore[index]
        return {**self.body.state_dict(), **last}


def body_groups(body: Any) -> list[list[nn.Parameter]]:
    """The parameters of a timm body, early and late, or in one group where timm names no stages.

    It is cut after 60 % of its stages, which for a resnet is fastai's cut; a body of equal blocks in half.
    """
    stages = _stages(body)
    isotropic = hasattr(body, "blocks") and hasattr(body, "pos_embed")
    cut = round(len(stages) * (0.5 if isotropic else EARLY_SHARE))
    return [list(chain(*part)) for part in (stages[:cut], stages[cut:]) if any(part)]


def _stages(body: Any) -> list[list[nn.Parameter]]:
    """The body's parameters by timm's coarse groups, from the input on."""
    from timm.models import group_parameters

    if not hasattr(body, "group_matcher"):
        return [list(body.parameters())]
    parameters = dict(body.named_parameters())
    groups = group_parameters(body, body.group_matcher(coarse=True))
    return [[parameters[name] for name in groups[key]] for key in sorted(groups)]
