"""vision_learner, cnn_learner, unet_learner, and the names of the usual architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fastcli.errors import ConfigError
from fastcli.learner.exported import load_exported
from fastcli.models.body import SAME
from fastcli.models.create import create_model, vision_model
from fastcli.transforms.normalize import Normalize
from fastcli.vision.asking import without_pickle
from fastcli.vision.core import default_device
from fastcli.vision.learner import RATE, Learner
from fastcli.vision.loaders import DataLoaders
from fastcli.vision.optimizers import Adam

__all__ = ["cnn_learner", "load_learner", "unet_learner", "vision_learner"]


def vision_learner(
    dls: Any, arch: Any, normalize: bool = True, n_out: int | None = None, pretrained: bool = True,
    weights: str | Path | None = None, loss_func: Any = None, opt_func: Any = Adam, lr: Any = RATE,
    splitter: Any = None, cbs: Any = None, metrics: Any = None, cut: Any = None,
    init: Callable[[Any], Any] | None = None, custom_head: nn.Module | None = None, concat_pool: bool = True,
    pool: bool = True, lin_ftrs: Any = None, ps: Any = 0.5, first_bn: bool = True, bn_final: bool = False,
    lin_first: bool = False, y_range: tuple[float, float] | None = None, n_in: int | None = None, **options: Any,
) -> Learner:  # fmt: skip
    """A learner for a timm architecture with fastai's head; a pretrained body is frozen at once.

    `weights` is a file instead of timm's own weights. Pictures are normalised as the body's were, in loaders of the
    learner's own: `dls` stays as it is. `n_in` are the data's channels unless given. The other `options` are those of
    `Learner`. Raises ConfigError for a `cut`, which fastai takes and ignores.
    """
    if cut is not None or not pool:
        raise ConfigError("a timm body is not cut, and pools", hint="build a model with create_body for Learner")
    architecture, weights = _name(arch), _file(weights)
    inputs = dls.input if n_in is None else replace(dls.input, channels=n_in)
    options |= {"loss_func": loss_func, "opt_func": opt_func, "lr": lr, "splitter": splitter, "cbs": cbs,
                "metrics": metrics}  # fmt: skip
    head = {"dropout": ps, "first_norm": first_bn, "final_norm": bn_final, "linear_first": lin_first,
            "output_range": y_range, "hidden": 512 if lin_ftrs is None else list(lin_ftrs)}  # fmt: skip
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
    weights: str | Path | None = None, config: Any = None, *, blur: bool = False,
    blur_final: bool = True, self_attention: bool = False,
    last_cross: bool = True, bottle: bool = False, y_range: tuple[float, float] | None = None,
    n_in: int | None = None, act_cls: type[nn.Module] = nn.ReLU, norm_type: Any = None, **options: Any,
) -> Learner:  # fmt: skip
    """A learner for a U-Net on a timm architecture; a pretrained body is frozen at once.

    `config` is a dict of the decoder's arguments. Raises ConfigError for another `act_cls` than ReLU, and for a
    `norm_type`: `Learner` takes a U-Net of `create_model("unet", …, norm=True)`.
    """
    if config is not None:
        return unet_learner(dls, arch, normalize, n_out, pretrained, weights, n_in=n_in, **{**config, **options})
    if act_cls is not nn.ReLU or norm_type is not None:
        raise ConfigError("the decoder of a U-Net has ReLUs, and batch norms where fastai's default has them")
    given, weights = bool(weights or pretrained), _file(weights)
    inputs = dls.input if n_in is None else replace(dls.input, channels=n_in)
    model = create_model(
        "unet", inputs, n_out or dls.c, architecture=_name(arch),
        pretrained=str(weights) if weights else pretrained, blur=blur, blur_last=blur_final,
        self_attention=self_attention, cross=last_cross, bottleneck=bottle, output_range=y_range,
    )  # fmt: skip
    return _learner(dls, model, normalize and given, given, options)


def load_learner(fname: str | Path, model: nn.Module | None = None, cpu: bool = True) -> Learner:
    """The learner that `export` wrote, for prediction; `model` is needed where it was one of your own.

    No pickle is read: a file of fastai's own `export` cannot be opened.
    """
    made = load_exported(without_pickle(Path(fname)), model=model, device="cpu" if cpu else default_device())
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
    """The name in timm of an architecture, which may be given as a function of torchvision."""
    name = str(arch) if isinstance(arch, str) else str(arch.__name__)
    return SAME.get(name, name)


def _file(weights: Any) -> str | None:
    """The file of weights. Raises ConfigError for torchvision's names of weights, which are not timm's."""
    if weights is None or isinstance(weights, Path) or Path(str(weights)).suffix:
        return None if weights is None else str(weights)
    hint = "leave weights out for timm's own, give a file, or name them in the architecture: 'resnet50.a1_in1k'"
    raise ConfigError(f"weights is {weights!r}, which is no file", hint=hint)


def initialise(model: nn.Module, init: Callable[[Any], Any] = nn.init.kaiming_normal_) -> None:
    """Set the weights of every layer but the norms by `init`, and its biases to 0."""
    for layer in model.modules():
        if "Norm" not in type(layer).__name__ and isinstance(getattr(layer, "weight", None), nn.Parameter):
            for parameter in layer.parameters(recurse=False):
                if parameter.ndim > 1:
                    init(parameter)
                else:
                    nn.init.zeros_(parameter)
