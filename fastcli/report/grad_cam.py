"""Grad-CAM: where in a picture a model looks when it says a class (Selvaraju et al., 2017)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from fastcli.models.hooks import Hook, evaluating, hook_output
from fastcli.types import class_logits

MOST_PIXELS = 1 / 9
"""A map of features is one that is at most a third as wide and high as the picture."""


def grad_cam(model: nn.Module, inputs: Tensor, classes: Tensor) -> Tensor | None:
    """Maps from 0 to 1, (n, height, width) of the inputs (n, channels, height, width), for one class of each.

    None for a model without a map of features: a linear one, or a transformer of patches.
    """
    layer = last_map(model, inputs[:1])
    if layer is None:
        return None
    with hook_output(layer, detach=False) as kept, evaluating(model), torch.enable_grad():
        outputs = model(inputs.detach().clone().requires_grad_())
        said = _said(outputs, classes.to(outputs.device)).sum()
        gradients = torch.autograd.grad(said, kept.stored)[0].float()
        features = kept.stored.detach().float()
    weights = gradients.mean((2, 3), keepdim=True)
    maps = (weights * features).sum(1, keepdim=True).relu()
    maps = F.interpolate(maps, inputs.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    highest = maps.amax((1, 2), keepdim=True)
    return (maps / highest.where(highest > 0, 1)).cpu()


def last_map(model: nn.Module, inputs: Tensor) -> nn.Module | None:
    """The module without children that is the last to give a map (n, channels, height, width) smaller than the picture.

    Of a model that never makes its picture smaller it is the last that gives a map at all.
    """
    found: list[tuple[nn.Module, int]] = []

    def note(module: nn.Module, _: Any, outputs: Any) -> None:
        if isinstance(outputs, Tensor) and outputs.ndim == 4 and outputs.shape[-1] * outputs.shape[-2] > 1:
            found.append((module, outputs.shape[-1] * outputs.shape[-2]))

    hooks = [Hook(module, note) for module in model.modules() if not list(module.children())]
    try:
        with evaluating(model):
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    pixels = inputs.shape[-1] * inputs.shape[-2]
    small = [module for module, area in found if area <= pixels * MOST_PIXELS]
    learned = any(parameter.ndim == 4 for parameter in model.parameters())
    maps = small or [module for module, _ in found]
    return maps[-1] if learned and maps else None


def _said(outputs: Tensor, classes: Tensor) -> Tensor:
    """The output for the class of each item; of one output for two classes it stands against the first."""
    if outputs.shape[1] == 1:
        return torch.where(classes > 0, outputs[:, 0], -outputs[:, 0])
    return class_logits(outputs).gather(1, classes[:, None])[:, 0]
