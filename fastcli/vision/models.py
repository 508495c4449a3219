"""vision_learner, cnn_learner, unet_learner, and the names of the usual architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fastcli.errors import ConfigError
from fastcli.learner.exported import load_exported
from fastcli.models.create import create_model, vision_model
from fastcli.transforms.normalize import Normalize
from fastcli.vision.core import default_device
from fastcli.vision.data import DataLoaders
from fastcli.vision.learner import Learner

__all__ = [
    "cnn_learner",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "load_learner",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "unet_learner",
    "vgg16_bn",
    "vgg19_bn",
    "vision_learner",
]  # fmt: skip

resnet18, resnet34, resnet50, resnet101, resnet152 = "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"
densenet121, densenet161, densenet169, densenet201 = "densenet121", "densenet161", "densenet169", "densenet201"
vgg16_bn, vgg19_bn = "vgg16_bn", "vgg19_bn"


def vision_learner(
    dls: Any, arch: Any, normalize: bool = True, n_out: int | None = None, pretrained: bool = True,
    weights: str | Path | None = None, cut: Any = None, custom_head: nn.Module | None = None, concat_pool: bool = True,
    lin_ftrs: Any = None, ps: Any = 0.5, first_bn: bool = True, bn_final: bool = False, lin_first: bool = False,
    y_range: tuple[float, float] | None = None, n_in: int = 3, init: Callable[[nn.Module], Any] | None = None,
    **options: Any,
) -> Learner:  # fmt: skip
    """A learner for a timm architecture with fastai's head; a pretrained body is frozen at once.

    `weights` is a file instead of timm's own weights. Pictures are normalised as the body's were, in loaders of the
    learner's own: `dls` stays as it is. The other `options` are those of `Learner`. Raises ConfigError for a `cut`,
    which fastai takes and ignores.
    """
    if cut is not None:
        raise ConfigError("a timm body cannot be cut", hint="give a model of your own to Learner")
    architecture = _name(arch)
    inputs = replace(dls.input, channels=n_in)
    if lin_ftrs is not None:
        options["hidden"] = list(lin_ftrs)
    head = {"dropout": ps, "first_norm": first_bn, "final_norm": bn_final, "linear_first": lin_first,
            "output_range": y_range, "hidden": options.pop("hidden", 512)}  # fmt: skip
    model = vision_model(
        architecture, n_out or dls.c, inputs=inputs, pretrained=weights or pretrained, custom_head=custom_head,
        concat_pool=concat_pool, **({} if custom_head is not None else head),
    )  # fmt: skip
    if init is not None:
        initialise(model.head, init)
    return _learner(dls, model, normalize and bool(weights or pretrained), bool(weights or pretrained), options)


def cnn_learner(dls: Any, arch: Any, **options: Any) -> Learner:
    """The same as `vision_learner`, by its first name."""
    return vision_learner(dls, arch, **options)


def unet_learner(
    dls: Any, arch: Any, normalize: bool = True, n_out: int | None = None, pretrained: bool = True,
    weights: str | Path | None = None, blur: bool = False, blur_final: bool = True, self_attention: bool = False,
    last_cross: bool = True, bottle: bool = False, y_range: tuple[float, float] | None = None, n_in: int = 3,
    **options: Any,
) -> Learner:  # fmt: skip
    """A learner for a U-Net on a timm architecture; a pretrained body is frozen at once."""
    given = bool(weights or pretrained)
    model = create_model(
        "unet", replace(dls.input, channels=n_in), n_out or dls.c, architecture=_name(arch),
        pretrained=str(weights) if weights else pretrained, blur=blur, blur_last=blur_final,
        self_attention=self_attention, cross=last_cross, bottleneck=bottle, output_range=y_range,
    )  # fmt: skip
    return _learner(dls, model, normalize and given, given, options)


def load_learner(fname: str | Path, model: nn.Module | None = None, cpu: bool = True) -> Learner:
    """The learner that `export` wrote, for prediction; `model` is needed where it was one of your own."""
    made = load_exported(fname, model=model, device="cpu" if cpu else default_device())
    return Learner(DataLoaders.of(made.loaders), made.model, made.loss_fn, default_cbs=False)


def _learner(dls: Any, model: Any, normalize: bool, frozen: bool, options: dict[str, Any]) -> Learner:
    if normalize and dls.train.batches.normalize is None:
        known = model.input_config
        dls = dls.normalized(Normalize(known.mean, known.std))
    learner = Learner(dls, model, **options)
    if frozen:
        learner.freeze()
    return learner


def _name(arch: Any) -> str:
    """The name of an architecture, which fastai gives as a function of torchvision."""
    return arch if isinstance(arch, str) else str(arch.__name__)


def initialise(model: nn.Module, init: Callable[[Any], Any] = nn.init.kaiming_normal_) -> None:
    """Set the weights of every layer but the norms by `init`, and its biases to 0."""
    for layer in model.modules():
        if "Norm" not in type(layer).__name__ and isinstance(getattr(layer, "weight", None), nn.Parameter):
            for parameter in layer.parameters(recurse=False):
                if parameter.ndim > 1:
                    init(parameter)
                else:
                    nn.init.zeros_(parameter)
