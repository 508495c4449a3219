"""Bodies: timm's architectures by name, built for the inputs at hand, and what other libraries call them."""

from __future__ import annotations

import warnings
from typing import Any

from fastcli.errors import ConfigError, did_you_mean
from fastcli.registry import models
from fastcli.types import InputInfo

SAME = {
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mnasnet1_0": "mnasnet_100",
    "efficientnet_v2_s": "tf_efficientnetv2_s",
    "efficientnet_v2_m": "tf_efficientnetv2_m",
    "efficientnet_v2_l": "tf_efficientnetv2_l",
    "regnet_y_400mf": "regnety_004",
    "regnet_x_400mf": "regnetx_004",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_s": "swin_small_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224",
    "vit_b_16": "vit_base_patch16_224",
    "vit_b_32": "vit_base_patch32_224",
    "vit_l_16": "vit_large_patch16_224",
    "maxvit_t": "maxvit_tiny_tf_224",
}
"""torchvision's names of architectures that timm has under others."""
NEAREST = {
    "xresnet18": "resnet18d",
    "xresnet34": "resnet34d",
    "xresnet50": "resnet50d",
    "xresnet101": "resnet101d",
    "xresnet152": "resnet152d",
    "squeezenet1_0": "mobilenetv3_small_100",
    "squeezenet1_1": "mobilenetv3_small_050",
    "shufflenet_v2_x1_0": "mobilenetv3_small_100",
    "alexnet": "vgg11_bn",
    "googlenet": "inception_v3",
}
"""fastai's and torchvision's architectures that timm has not, and the nearest that it has."""


def is_architecture(name: str) -> bool:
    """Whether timm has an architecture of that name, which may end in `.tag`."""
    import timm

    return name.partition(".")[0] in timm.list_models()


def known_architecture(architecture: str) -> dict[str, Any]:
    """The `pretrained_cfg` of an architecture, whose name may end in `.tag`; raises ConfigError for unknown names."""
    import timm

    base, _, tag = architecture.partition(".")
    if not is_architecture(base):
        raise ConfigError(f"unknown model {architecture!r}", hint=_hint(base), key="model.name")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise ConfigError(f"{base} has no weights {tag!r}", hint=did_you_mean(tag, tags), key="model.name")
    known = timm.get_pretrained_cfg(architecture)
    return {} if known is None else dict(known.to_dict())  # type: ignore[no-untyped-call]


def _hint(name: str) -> str:
    import timm

    if name in SAME:
        return f"timm calls it {SAME[name]!r}"
    if name in NEAREST:
        return f"timm does not have it; the nearest is {NEAREST[name]!r}"
    return did_you_mean(name, [*timm.list_models(), *models])


def timm_body(architecture: str, inputs: InputInfo, n_classes: int = 0, drop_path: float = 0.0) -> Any:
    """The timm model with random weights, built for the size of the inputs where it works at one size only.

    Raises ConfigError where it cannot be built for them.
    """
    import timm

    config = known_architecture(architecture)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if config.get("fixed_input_size") and tuple(config["input_size"][1:]) != tuple(inputs.size):
        options["img_size"] = tuple(inputs.size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # timm's deprecations of its own names
            return timm.create_model(architecture, num_classes=n_classes, in_chans=inputs.channels, **options)
    except (TypeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"{architecture} cannot be built for {_shape(inputs)}{' with drop_path' if drop_path else ''}: {error}",
            hint=_trained_on(config), key="model.name",
        ) from None  # fmt: skip


def cannot_take(body: Any, architecture: str, inputs: InputInfo, error: Exception) -> ConfigError:
    """The error that says what fits, where `body` failed on a picture like `inputs`."""
    return ConfigError(
        f"{architecture} cannot take {_shape(inputs)}: {error}", hint=_trained_on(body.pretrained_cfg), key="model.name"
    )


def _trained_on(config: dict[str, Any]) -> str:
    channels, height, width = config.get("input_size") or (3, 224, 224)
    return f"it was trained on {_shape(InputInfo(channels, (height, width)))}"


def _shape(inputs: InputInfo) -> str:
    return "×".join(str(n) for n in (inputs.channels, *inputs.size))
