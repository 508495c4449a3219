"""create_model: the model that a name stands for, with as many input channels and outputs as the data needs."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.models.body import cannot_take, is_architecture, known_architecture, timm_body
from fastcli.models.finetune import FineTuneModel, InputConfig, input_config
from fastcli.models.head import mlp_head
from fastcli.models.hooks import evaluating
from fastcli.models.layers import AdaptiveConcatPool2d, SigmoidRange, train_depthwise_fast
from fastcli.models.pretrained import load_pretrained
from fastcli.models.single_pixel import noting_single_pixels, train_single_pixels_fast
from fastcli.models.unet import UNet
from fastcli.registry import models
from fastcli.types import InputInfo

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
WeightsFile = Annotated[str, Field(json_schema_extra={"format": "file-path"})]
ON_TIMM = ("timm", "unet")
"""Models whose parameter `architecture` must be timm's."""


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
    inputs: InputInfo, n_out: int, /, architecture: str, pretrained: bool | WeightsFile = True,
    head: Literal["concat", "linear"] = "concat", hidden: Count | tuple[Count, ...] = 512,
    dropout: Share | tuple[Share, ...] = 0.5, drop_path: Share = 0.0,
    output_range: tuple[float, float] | None = None,
) -> FineTuneModel:  # fmt: skip
    """A timm architecture with a new head.

    `pretrained` is true for timm's own weights, false, or a file. Head `concat` is fastai's: maximum and mean pooling
    (timm's own, where that does more than average), then linear layers, `hidden` wide between; `linear` is timm's own
    pooling and one linear layer. `output_range` holds the outputs between two numbers, for regression.
    Raises ConfigError for an unknown architecture or an unfit file, DataError for missing weights.
    """
    if head == "concat":
        return vision_model(
            architecture, n_out, inputs=inputs, pretrained=pretrained, drop_path=drop_path,
            hidden=hidden, dropout=dropout, output_range=output_range,
        )  # fmt: skip
    if not isinstance(dropout, float | int):
        raise ConfigError("the linear head has one layer", hint="give one number", key="model.dropout")
    body = timm_body(architecture, inputs, n_out, drop_path)
    report = load_pretrained(body, pretrained) if pretrained else None
    classifier, last = _take_classifier(body, architecture)
    _made_fast(body, inputs, architecture)
    squeeze = [] if output_range is None else [SigmoidRange(*output_range)]
    new_head = nn.Sequential(nn.Dropout(dropout), last, *squeeze)
    return FineTuneModel(body, new_head, classifier=classifier, channels=inputs.channels, weights=report)


def vision_model(
    architecture: str, n_out: int, *, inputs: InputInfo | None = None, pretrained: bool | str | Path = True,
    custom_head: nn.Module | None = None, concat_pool: bool = True, drop_path: float = 0.0, **head: Any,
) -> FineTuneModel:  # fmt: skip
    """The timm architecture of that name with fastai's head, `mlp_head(…, **head)`, or with a `custom_head`.

    `inputs` are 3×224×224 unless given. For other channels than three the first convolution is timm's: its colours are
    summed for grey, else repeated and scaled so that activations keep their size (in fastai, channels after the third
    start at zero). Without `concat_pool` the pooling is timm's own. A `custom_head` gets the maps (n, c, h, w) that
    timm merely averages, or else timm's pooled features (n, c); it keeps the weights that it comes with.
    Raises ConfigError for an unknown architecture or an unfit file, DataError for missing weights.
    """
    inputs = inputs or InputInfo(3, (224, 224))
    body = timm_body(architecture, inputs, drop_path=drop_path)
    report = load_pretrained(body, pretrained) if pretrained else None
    n_maps, n_features = _made_fast(body, inputs, architecture)
    pool: nn.Module | None = None
    if n_maps is not None and (custom_head is not None or concat_pool):
        pool = AdaptiveConcatPool2d() if custom_head is None else nn.Identity()
    if custom_head is not None:
        return FineTuneModel(body, custom_head, pool=pool, channels=inputs.channels, weights=report)
    usual_head = mlp_head(n_features if pool is None else 2 * n_features, n_out, **head)
    model = FineTuneModel(body, usual_head, pool=pool, channels=inputs.channels, weights=report)
    params = {"architecture": architecture, "concat_pool": concat_pool, "drop_path": drop_path, **head}
    vars(model)["made_of"] = _description("vision_model", inputs, n_out, params)
    return model


@models
def unet(
    inputs: InputInfo, n_out: int, /, architecture: str = "resnet34", pretrained: bool | WeightsFile = True,
    blur: bool = False, blur_last: bool = True, self_attention: bool = False, cross: bool = True,
    bottleneck: bool = False, norm: bool = False, drop_path: Share = 0.0,
    output_range: tuple[float, float] | None = None,
) -> UNet:  # fmt: skip
    """A U-Net for masks: a timm architecture, and fastai's decoder that brings its maps back to the picture's size.

    `pretrained` is true for timm's own weights, false, or a file. `blur` smooths what is enlarged, also at the end with
    `blur_last`; `self_attention` looks across the whole picture; `cross` takes the picture in again before the last
    layer, with `bottleneck` in half the width; `norm` puts a batch norm after every convolution of the decoder.
    Raises ConfigError for an unfit architecture or file, DataError for missing weights.
    """
    body = timm_body(architecture, inputs, drop_path=drop_path)
    report = load_pretrained(body, pretrained) if pretrained else None
    train_depthwise_fast(body)
    return UNet(
        body, n_out, inputs=inputs, architecture=architecture, weights=report, blur=blur, blur_last=blur_last,
        self_attention=self_attention, cross=cross, bottleneck=bottleneck, norm=norm, output_range=output_range,
    )  # fmt: skip


def create_model(name: str, inputs: InputInfo, n_out: int, /, **params: Any) -> nn.Module:
    """The model `name`: a registered one (`linear`, `unet`, a plugin's), or else the timm architecture of that name.

    Lazy layers get their sizes from one picture like `inputs`. Raises ConfigError for unknown names and parameters.
    """
    given = params
    with _key_of(params):
        component, params = component_of(name, params)
        model: nn.Module = models.build(component, inputs, n_out, **params)
    vars(model)["made_of"] = _description(name, inputs, n_out, given)
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        with evaluating(model):
            model(torch.zeros(1, inputs.channels, *inputs.size))
    return model


def remake(made_of: Mapping[str, Any]) -> nn.Module:
    """The model that `made_of` describes, which `create_model` and `vision_model` leave on what they make.

    It has random weights. Raises ConfigError where its name is not registered.
    """
    inputs = InputInfo(made_of["inputs"]["channels"], tuple(made_of["inputs"]["size"]))
    if made_of["name"] == "vision_model":
        return vision_model(n_out=made_of["n_out"], inputs=inputs, pretrained=False, **made_of["params"])
    return create_model(made_of["name"], inputs, made_of["n_out"], **made_of["params"])


def _description(name: str, inputs: InputInfo, n_out: int, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a model was made of, but for the weights that it began with."""
    component = component_of(name, {})[0] if name != "vision_model" else name
    begins = {"pretrained": False} if component in models and "pretrained" in models.keys_of(component) else {}
    params = dict(params) | begins
    return {"name": name, "inputs": vars(inputs), "n_out": n_out, "params": params}


@contextlib.contextmanager
def _key_of(params: Mapping[str, Any]) -> Iterator[None]:
    """An error about an architecture that was given as a parameter says so."""
    try:
        yield
    except ConfigError as error:
        if error.key == "model.name" and "architecture" in params:
            error.key = "model.architecture"
        raise


def component_of(name: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The registered component that a model's name means, with its parameters.

    >>> component_of("linear", {}), component_of("resnet18", {"head": "linear"})
    (('linear', {}), ('timm', {'architecture': 'resnet18', 'head': 'linear'}))
    """
    return (name, dict(params)) if name in models else ("timm", {"architecture": name, **params})


def input_config_of(name: str, params: Mapping[str, Any], channels: int = 3) -> InputConfig | None:
    """What pictures the body of the model `name` with these parameters was trained on, without building it.

    The body is timm's `architecture`, given or by default, of any registered model that has a parameter of that name;
    None where there is none, or where it is a plugin's own. Raises ConfigError for one that timm has not.

    >>> input_config_of("unet", {"architecture": "resnet18"}).size, input_config_of("linear", {})
    ((224, 224), None)
    """
    component, given = component_of(name, params)
    declared = inspect.signature(models[component]).parameters.get("architecture")
    architecture = given.get("architecture", declared and declared.default)
    if declared is None or not isinstance(architecture, str):
        return None
    if component not in ON_TIMM and not is_architecture(architecture):
        return None
    with _key_of(params):
        return input_config(known_architecture(architecture), channels)


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


def _made_fast(body: Any, inputs: InputInfo, architecture: str) -> tuple[int | None, int]:
    """The `_feature_shapes` of a body, whose convolutions that CPUs train slowly are replaced."""
    with noting_single_pixels(body) as met:
        shapes = _feature_shapes(body, inputs, architecture)
    train_single_pixels_fast(body, met)
    train_depthwise_fast(body)
    return shapes


def _feature_shapes(body: Any, inputs: InputInfo, architecture: str) -> tuple[int | None, int]:
    """How many maps (n, c, h, w) timm merely averages, or None where it does more; and how many features it makes.

    More: tokens, channels last, or layers of its own between the last maps and the classifier.
    """
    image = torch.linspace(-1, 1, inputs.channels * math.prod(inputs.size)).view(1, inputs.channels, *inputs.size)
    try:
        with evaluating(body):
            maps = body.forward_features(image)
            pooled: Tensor = body.forward_head(maps, pre_logits=True).flatten(1)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise cannot_take(body, architecture, inputs, error) from None
    means = maps.mean((2, 3)) if isinstance(maps, Tensor) and maps.ndim == 4 else torch.empty(0)
    averaged = means.shape == pooled.shape and torch.allclose(means, pooled, rtol=1e-4, atol=1e-6)
    return (means.shape[1] if averaged else None), pooled.shape[1]
