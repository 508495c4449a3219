"""Which layer groups of a model train, and what becomes of the norms among those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

Norms = Literal["follow", "train", "freeze"]


def freeze_groups(model: nn.Module, groups: Sequence[Sequence[nn.Parameter]], n: int, norms: Norms = "follow") -> None:
    """Freeze the first `n` of the model's layer groups (negative: counted from the end) and train the others.

    Normalisation layers `follow` their group; or `train` everywhere, as in fastai; or with `freeze` the batch norms
    before the last group keep their statistics and weights.
    """
    n = n % len(groups) if n < 0 else n
    modules = [module for module in model.modules() if _is_norm(module, batch_only=norms == "freeze")]
    special = {parameter for module in modules for parameter in module.parameters(recurse=False)}
    for i, group in enumerate(groups):
        head = i == len(groups) - 1
        for parameter in group:
            follows = norms == "follow" or parameter not in special or head
            parameter.requires_grad_(i >= n if follows else norms == "train")


def set_modes(model: nn.Module, training: bool) -> None:
    """Training mode, but for what is wholly frozen: its batch norms keep their statistics, its dropout is off."""
    model.train(training)
    for module in model.modules() if training else ():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()


def _is_norm(module: nn.Module, *, batch_only: bool) -> bool:
    return hasattr(module, "running_mean") if batch_only else "norm" in type(module).__name__.lower()
