"""Pretrained weights: found in the hub's cache, on the hub or in a file, fitted to a model, and accounted for."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastcli.errors import ConfigError, DataError
from fastcli.models.hub import hub_weights

KEY = "model.pretrained"
ENOUGH = 0.9
"""The share of a body's tensors that a file must have; below it, the file is of another architecture."""
SAFE_TORCH = (2, 10)
"""From here on no fault is known in how torch reads tensors alone out of a pickle."""
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where training programs keep the weights in their checkpoints; averaged ones first, as in timm."""
PREFIXES = ("module.", "_orig_mod.", "model.", "body.")
"""What wrappers (data parallel, compile, Lightning, fastcli's own body) put before the names."""


@dataclass(frozen=True)
class WeightsReport:
    """What of some pretrained weights was used. Counts leave the classifier and the norms' batch counters out."""

    source: str
    loaded: int
    total: int
    missing: tuple[str, ...] = ()
    """Names that the model has and the weights do not, or in another shape."""
    unexpected: tuple[str, ...] = ()
    """Names that the weights have and the model does not."""
    classifier: str = ""
    """What became of the classifier."""

    def __str__(self) -> str:
        """One line.

        >>> print(WeightsReport("resnet18.safetensors", 120, 120, classifier="classifier of 1000 classes replaced"))
        resnet18.safetensors: 120 of 120 tensors loaded, classifier of 1000 classes replaced
        """
        parts = [f"{self.source}: {self.loaded} of {self.total} tensors loaded", self.classifier]
        parts += [f"{len(names)} {what} ({names[0]}{', …' if len(names) > 1 else ''})"
                  for what, names in (("missing", self.missing), ("unexpected", self.unexpected)) if names]  # fmt: skip
        return ", ".join(part for part in parts if part)


def load_pretrained(model: Any, source: bool | str | Path) -> WeightsReport:
    """Load weights into a timm model, its classifier included where it has as many classes; True means timm's own.

    Raises DataError where the weights are missing or unreadable, ConfigError where they do not fit.
    """
    config = model.pretrained_cfg
    path = hub_weights(config) if isinstance(source, bool) else Path(source)
    shown = str(config.get("hf_hub_id") or path.name) if isinstance(source, bool) else path.name
    return fit_weights(model, read_weights(path), shown)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a .safetensors file, or in a checkpoint of torch (read without running its code), by name."""
    if not path.is_file():
        raise DataError(f"there are no weights at {path}", hint=f"give an existing file as {KEY}=PATH")
    try:
        loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path} holds more than tensors; opening it could run code, so it was not opened",
            hint="save its state_dict() alone, best as .safetensors",
        ) from None
    except (RuntimeError, ValueError, KeyError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read as weights: {error}", hint="is the file whole?") from None
    weights = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not weights:
        raise DataError(f"there are no tensors in {path}")
    return weights


def _read_safetensors(path: Path) -> Mapping[Any, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(error) from None


def _read_torch(path: Path) -> Mapping[Any, Any]:
    _require_safe_torch(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pickle protocols; what is no tensor is refused all the same
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise ValueError(f"it holds a {type(loaded).__name__}, not tensors by name")
    return next((loaded[key] for key in NESTED if isinstance(loaded.get(key), Mapping)), loaded)


def _require_safe_torch(path: Path) -> None:
    """Raise DataError where this torch's reader of pickles can be made to write over memory (CVE-2026-24747)."""
    major, minor = (int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if (major, minor) < SAFE_TORCH:
        raise DataError(
            f"{path}: to open a file that is no .safetensors with torch {torch.__version__} is not safe",
            hint=f"install torch {SAFE_TORCH[0]}.{SAFE_TORCH[1]} or newer, or make it .safetensors elsewhere",
        )


def fit_weights(model: Any, weights: dict[str, Tensor], source: str) -> WeightsReport:
    """Load `weights` (of any input channels and classes) into a timm model; returns what was used.

    Raises ConfigError where less than 90 % of the body's tensors are found.
    """
    own = model.state_dict()
    weights = _input_channels(model, _convert(model, _strip_prefixes(weights, own)))
    fitting = _fitting(own, weights)
    classifiers = _classifier_names(model)
    body = [name for name in own if not name.startswith(classifiers) and not name.endswith("num_batches_tracked")]
    missing = [name for name in body if name not in fitting]
    if len(body) - len(missing) < ENOUGH * len(body):
        raise _misfit(model, source, [_difference(name, own, weights) for name in missing], len(body))
    model.load_state_dict(fitting, strict=False)
    unexpected = [name for name in weights if name not in own and not name.startswith(classifiers)]
    classifier = _classifier_fate(weights, fitting, classifiers)
    return WeightsReport(source, len(body) - len(missing), len(body), tuple(missing), tuple(unexpected), classifier)


def take_fitting(model: Any, tensors: Mapping[str, Tensor]) -> list[str]:
    """Load those of `tensors` that fit the model by name and shape; returns the model's that were left as they are.

    Raises ConfigError where none fits.
    """
    own = model.state_dict()
    fitting = _fitting(own, tensors)
    if not any(tensor.ndim for tensor in fitting.values()):
        raise ConfigError("none of the saved weights fits the model", hint="train it from its own", key="model")
    model.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def _fitting(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of `weights` that have the name and the shape of one of the model's `own`."""
    return {name: value for name, value in weights.items() if name in own and value.shape == own[name].shape}


def _strip_prefixes(weights: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes of wrappers, as far as the model knows more of them without."""
    for prefix in PREFIXES:
        stripped = {name.removeprefix(prefix): value for name, value in weights.items()}
        if len(stripped.keys() & own.keys()) > len(weights.keys() & own.keys()):
            weights = stripped
    return weights


def _convert(model: Any, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under timm's names and at this model's sizes (position embeddings), by the architecture's own filter."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return weights
    try:
        return dict(convert(dict(weights), model))
    except (KeyError, IndexError, AttributeError, RuntimeError, AssertionError):
        return weights  # of another architecture: the comparison that follows says where they differ


def _input_channels(model: Any, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first convolutions for the model's own number of input channels."""
    from timm.models import adapt_input_conv

    own, names = model.state_dict(), model.pretrained_cfg.get("first_conv") or ()
    adapted = dict(weights)
    for name in (names,) if isinstance(names, str) else names:
        weight, key = own.get(f"{name}.weight"), f"{name}.weight"
        if weight is not None and key in weights and weight.ndim == 4 and weight.shape != weights[key].shape:
            adapted[key] = adapt_input_conv(weight.shape[1], weights[key])
    return adapted


def _classifier_names(model: Any) -> tuple[str, ...]:
    names = model.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _classifier_fate(weights: dict[str, Tensor], used: dict[str, Tensor], names: tuple[str, ...]) -> str:
    given = [name for name in weights if name.startswith(names) and name.endswith((".bias", ".weight"))]
    if not given:
        return ""
    classes = len(weights[given[0]])
    return f"classifier of {classes} classes {'kept' if given[0] in used else 'replaced'}"


def _difference(name: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    if name not in weights:
        return f"{name} is missing"
    return f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"


def _misfit(model: Any, source: str, differences: list[str], total: int) -> ConfigError:
    name, matching = model.pretrained_cfg.get("architecture") or type(model).__name__, total - len(differences)
    return ConfigError(
        f"{source} does not fit {name}: {matching} of {total} tensors match; {'; '.join(differences[:3])}",
        hint="give weights of the same architecture, or the right one as model.name",
        key=KEY,
    )
