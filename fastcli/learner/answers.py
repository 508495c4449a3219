"""What a model's outputs say: scores and decisions, by the encoder of the target or else by the loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from fastcli.losses import BinaryCrossEntropy, CrossEntropy, Focal, loss_per_item

__all__ = ["Answers", "answers_of", "item_losses"]

SOFTMAX = (nn.CrossEntropyLoss, CrossEntropy, Focal, F.cross_entropy)
LOG_SOFTMAX = (nn.NLLLoss, F.nll_loss)
SIGMOID = (nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss, BinaryCrossEntropy, F.binary_cross_entropy_with_logits)


class Answers:
    """Turns outputs into scores and scores into decisions, each of them a tensor or a tuple with one per target.

    An encoder of the data says how; without one the loss does: softmax and the likeliest for the cross entropies,
    sigmoid and more than one half for the binary ones, else the outputs as they are.
    """

    def __init__(self, encoders: tuple[Any, ...], loss_fn: Any) -> None:
        self.encoders = encoders
        self._by_loss = _activation(loss_fn)

    @property
    def encoder(self) -> Any:
        """The last target's encoder, or None."""
        return self.encoders[-1] if self.encoders else None

    def scores(self, outputs: Any) -> Any:
        """The scores, float32."""
        return self._each(outputs, lambda encoder, part: encoder.scores(part), lambda part: self._by_loss(part.float()))

    def decide(self, scores: Any) -> Any:
        """The decisions, in the form of the targets."""
        return self._each(scores, lambda encoder, part: encoder.decide(part), self._decide)

    def _decide(self, scores: Tensor) -> Tensor:
        if self._by_loss in (_softmax, torch.exp):
            return scores.argmax(1)
        return (scores > 0.5).float() if self._by_loss is torch.sigmoid else scores

    def _each(self, parts: Any, by_encoder: Callable[[Any, Any], Any], by_loss: Callable[[Any], Any]) -> Any:
        if not isinstance(parts, tuple | list):
            return by_loss(parts) if self.encoder is None else by_encoder(self.encoder, parts)
        if len(parts) != len(self.encoders):  # the loss knows what each of the outputs is for
            return tuple(by_loss(part) for part in parts)
        return tuple(by_encoder(encoder, part) for encoder, part in zip(self.encoders, parts, strict=True))


def answers_of(learner: Any) -> Answers:
    """The answers of a learner's data, or else of its loss."""
    encoders = getattr(learner.loaders, "encoders", None) or ()
    return Answers(tuple(encoders)[learner.n_inputs :], learner.loss_fn)


def item_losses(loss_fn: Callable[..., Tensor], prediction: Any, targets: Any) -> Tensor:
    """The loss of every item, (n,); a loss that knows batches only is asked about one item after the other.

    >>> item_losses(lambda p, y: (p - y).abs().mean(), torch.tensor([1.0, 2.0]), torch.zeros(2))
    tensor([1., 2.])
    """
    per_item = loss_per_item(loss_fn)
    if per_item is not None:
        return per_item(prediction, targets).float()
    n = len(prediction[0] if isinstance(prediction, tuple | list) else prediction)
    return torch.stack([loss_fn(_only(prediction, i), _only(targets, i)).float() for i in range(n)])


def _only(part: Any, i: int) -> Any:
    return tuple(each[i : i + 1] for each in part) if isinstance(part, tuple | list) else part[i : i + 1]


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


def _same(logits: Tensor) -> Tensor:
    return logits


def _activation(loss_fn: Any) -> Callable[[Tensor], Tensor]:
    while isinstance(loss_fn, partial):
        loss_fn = loss_fn.func
    for known, activation in ((SOFTMAX, _softmax), (LOG_SOFTMAX, torch.exp), (SIGMOID, torch.sigmoid)):
        if any(loss_fn is each or (isinstance(each, type) and isinstance(loss_fn, each)) for each in known):
            return activation
    return _same
