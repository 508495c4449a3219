"""create_model: the model that a name stands for, with as many input channels and outputs as the data needs."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fastcli.errors import ConfigError, did_you_mean
from fastcli.models.finetune import FineTuneModel, InputConfig, input_config
from fastcli.models.head import mlp_head
from fastcli.models.layers import AdaptiveConcatPool2d, train_depthwise_fast
from fastcli.models.pretrained import load_pretrained
from fastcli.registry import models
from fastcli.types import InputInfo

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
WeightsFile = Annotated[str, Field(json_schema_extra={"format": "file-path"})]


@models
def linear(inputs: InputInfo, n_out: int, /) -> nn.Sequential:
    """One linear layer on the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs.channels * math.prod(inputs.size), n_out))


@models
def mlp(inputs: InputInfo, n_out: int, /, hidden: tuple[Count, ...] = (30,), dropout: Share = 0.0) -> nn.Sequential:
    """Linear layers on the pixels with ReLUs between them; `hidden` is the width of each but the last."""
    widths = [inputs.channels * math.prod(inputs.size), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_out))


@models(name="timm")
def timm_model(
    inputs: InputInfo,
    n_out: int,
    /,
    architecture: str,
    pretrained: bool | WeightsFile = True,
    head: Literal["concat", "linear"] = "concat",
    hidden: Count = 512,
    dropout: Share = 0.5,
    drop_path: Share = 0.0,
) -> FineTuneModel:
    """A timm architecture with a new head.

    `pretrained` is true for timm's own weights, false, or a file. Head `concat` is fastai's: maximum and mean pooling
    (timm's own, where that does more than average), then two linear layers, `hidden` wide between; `linear` is timm's
    own pooling and one linear layer.
    Raises ConfigError for an unknown architecture or an unfit file, DataError for missing weights.
    """
    body = _timm_body(architecture, inputs, n_out if head == "linear" else 0, drop_path)
    report = load_pretrained(body, pretrained) if pretrained else None
    classifier, last = _take_classifier(body, architecture) if head == "linear" else (None, None)
    n_maps, n_features = _feature_shapes(body, inputs, architecture)
    concat = last is None and n_maps is not None
    if last is not None:
        new_head = nn.Sequential(nn.Dropout(dropout), last)
    else:
        new_head = mlp_head(2 * n_features if concat else n_features, n_out, hidden=hidden, dropout=dropout)
    train_depthwise_fast(body)
    pool = AdaptiveConcatPool2d() if concat else None
    return FineTuneModel(body, new_head, pool=pool, classifier=classifier, channels=inputs.channels, weights=report)


def create_model(name: str, inputs: InputInfo, n_out: int, /, **params: Any) -> nn.Module:
    """The model `name`: a registered one (`linear`, `mlp`, a plugin's), or else the timm architecture of that name.

    Raises ConfigError for unknown names and parameters.
    """
    component, params = component_of(name, params)
    return models.build(component, inputs, n_out, **params)  # type: ignore[no-any-return]


def component_of(name: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The registered component that a model's name means, with its parameters.

    >>> component_of("linear", {}), component_of("resnet18", {"head": "linear"})
    (('linear', {}), ('timm', {'architecture': 'resnet18', 'head': 'linear'}))
    """
    return (name, dict(params)) if name in models else ("timm", {"architecture": name, **params})


def architecture_config(name: str, channels: int = 3) -> InputConfig | None:
    """What pictures the timm architecture `name` was trained on, without building it; None for registered models.

    Raises ConfigError for a name that is neither.
    """
    return None if name in models else input_config(_known(name), channels)


def layer_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """The model's own groups of parameters, input first; one group for a model that names none."""
    own = getattr(model, "layer_groups", None)
    groups: list[list[nn.Parameter]] = own() if own is not None else [list(model.parameters())]
    return groups


def describe(model: nn.Module) -> tuple[int, int]:
    """How many numbers the model has, and how many of them are trained.

    >>> describe(nn.Linear(2, 3))
    (9, 9)
    """
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(n for n, _ in counts), sum(n for n, trained in counts if trained)


def _known(architecture: str) -> dict[str, Any]:
    """The `pretrained_cfg` of an architecture, whose name may end in `.tag`; raises ConfigError for unknown names."""
    import timm

    base, _, tag = architecture.partition(".")
    if base not in timm.list_models():
        hint = did_you_mean(base, [*timm.list_models(), *models])
        raise ConfigError(f"unknown model {architecture!r}", hint=hint, key="model.name")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise ConfigError(f"{base} has no weights {tag!r}", hint=did_you_mean(tag, tags), key="model.name")
    known = timm.get_pretrained_cfg(architecture)
    return {} if known is None else dict(known.to_dict())  # type: ignore[no-untyped-call]


def _timm_body(architecture: str, inputs: InputInfo, n_classes: int, drop_path: float) -> Any:
    """The timm model with random weights, built for the size of the inputs where it works at one size only."""
    import timm

    config = _known(architecture)
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
            hint=f"it was trained on {_shape(InputInfo(*_trained_on(config)))}", key="model.name",
        ) from None  # fmt: skip


def _take_classifier(body: Any, architecture: str) -> tuple[str, nn.Module]:
    """The last layer, taken off the body, and its name in timm."""
    layer = body.get_classifier()
    name = next((name for name, module in body.named_modules() if module is layer), None)
    if name is None or not isinstance(layer, nn.Linear):
        raise ConfigError(
            f"{architecture} does not end in one linear layer", hint="use model.head=concat", key="model.head"
        )
    body.reset_classifier(0)
    return name, layer


def _feature_shapes(body: Any, inputs: InputInfo, architecture: str) -> tuple[int | None, int]:
    """How many maps (n, c, h, w) timm merely averages, or None where it does more; and how many features it makes.

    More: tokens, channels last, or layers of its own between the last maps and the classifier.
    """
    image = torch.linspace(-1, 1, inputs.channels * math.prod(inputs.size)).view(1, inputs.channels, *inputs.size)
    mode = body.training
    body.eval()
    try:
        with torch.no_grad():
            maps = body.forward_features(image)
            pooled: Tensor = body.forward_head(maps, pre_logits=True).flatten(1)
    except (RuntimeError, AssertionError, ValueError) as error:
        hint = f"it was trained on {_shape(InputInfo(*_trained_on(body.pretrained_cfg)))}"
        raise ConfigError(
            f"{architecture} cannot take {_shape(inputs)}: {error}", hint=hint, key="model.name"
        ) from None
    body.train(mode)
    means = maps.mean((2, 3)) if isinstance(maps, Tensor) and maps.ndim == 4 else torch.empty(0)
    averaged = means.shape == pooled.shape and torch.allclose(means, pooled, rtol=1e-4, atol=1e-6)
    return (means.shape[1] if averaged else None), pooled.shape[1]


def _trained_on(config: dict[str, Any]) -> tuple[int, tuple[int, int]]:
    channels, height, width = config.get("input_size") or (3, 224, 224)
    return channels, (height, width)


def _shape(inputs: InputInfo) -> str:
    return "×".join(str(n) for n in (inputs.channels, *inputs.size))
