"""check_outputs: whether a model says what a target needs, told before it is trained."""

from __future__ import annotations

from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.models.hooks import evaluating
from fastcli.types import TargetInfo

FLAT = ("category", "multi_category", "regression", "points")
"""Kinds of targets for which a model gives a row of numbers for each picture."""


def check_outputs(name: str, model: nn.Module, inputs: Tensor, targets: Tensor, about: TargetInfo, n_out: int) -> None:
    """Raise ConfigError unless the model gives `n_out` numbers for each picture, or for each pixel of a mask.

    One picture of the batch is tried. Outputs that are no tensor, and kinds of targets of plugins, are not looked at.
    """
    if about.kind not in (*FLAT, "mask"):
        return
    with evaluating(model):
        outputs = model(inputs[:1])
    if not isinstance(outputs, Tensor):
        return
    wanted = (n_out, *targets.shape[-2:]) if about.kind == "mask" else (n_out,)
    given = tuple(outputs.shape[1:]) if about.kind == "mask" else (outputs[0].numel(),)
    if given != wanted:
        instead = "{name: unet, architecture: resnet34}" if about.kind == "mask" else "resnet34"
        shown, needed = (" x ".join(map(str, shape)) for shape in (outputs.shape[1:], wanted))
        raise ConfigError(f"{name} gives {shown} numbers for a picture, but a {about.kind} target needs {needed}",
                          hint=f"take another model, such as {instead}", key="model")  # fmt: skip
