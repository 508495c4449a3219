"""The loss by which a report ranks items, the same whatever a model was trained with."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from fastcli.types import class_logits


class PlainLoss:
    """The loss that a report ranks by, whatever was trained with; it has the losses of items in `per_item`.

    Cross entropy without smoothing or weights for classes, labels and pixels; the mean squared error for numbers.
    """

    def __init__(self, kind: str) -> None:
        self.per_item: Callable[[Tensor, Tensor], Tensor] = PLAIN[kind]

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the items."""
        return self.per_item(outputs, targets).mean()


def _squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.float().flatten(1) - targets.float().reshape(len(outputs), -1)).square().mean(1)


def _entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    logits = class_logits(outputs.float())
    return F.cross_entropy(logits, targets.long().reshape(len(logits), *logits.shape[2:]), reduction="none")


PLAIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "category": _entropies,
    "mask": lambda outputs, targets: _entropies(outputs, targets).flatten(1).mean(1),
    "multi_category": lambda outputs, targets: F.binary_cross_entropy_with_logits(
        outputs.float(), targets.float(), reduction="none").mean(1),
    "regression": _squares,
    "points": _squares,
}  # fmt: skip
