"""Metrics of classes that are a mean over items or pixels."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.metrics.base import Mean, Metric, decided, hits
from fastcli.registry import metrics
from fastcli.types import TargetInfo, class_logits, class_scores

Share = Annotated[float, Field(ge=0, le=1)]


@metrics
def accuracy(target: TargetInfo, /) -> Metric:
    """The share of items, or of pixels, whose likeliest class is the true one."""
    target.require("accuracy", "category", "mask")
    return Mean("accuracy", hits, higher_is_better=True)


@metrics
def error_rate(target: TargetInfo, /) -> Metric:
    """The share of items, or of pixels, whose likeliest class is not the true one."""
    target.require("error_rate", "category", "mask")
    return Mean("error_rate", lambda logits, targets: ~hits(logits, targets), higher_is_better=False)


@metrics
def top_k_accuracy(target: TargetInfo, /, k: Annotated[int, Field(ge=1)] = 5) -> Metric:
    """The share of items whose true class is among the `k` likeliest."""
    target.require("top_k_accuracy", "category")
    if k > target.n_out:
        raise ConfigError(f"top_k_accuracy of k={k}, but there are {target.n_out} classes", hint="choose a smaller k")

    def found(logits: Tensor, targets: Tensor) -> Tensor:
        best = class_logits(logits).topk(k, dim=1).indices
        return (best == targets.reshape(-1, 1)).any(dim=1)

    return Mean("top_k_accuracy", found, higher_is_better=True)


@metrics
def accuracy_multi(target: TargetInfo, /, threshold: Share = 0.5) -> Metric:
    """The share of labels that are rightly given or not given, a label being given above `threshold`."""
    target.require("accuracy_multi", "multi_category")
    return Mean("accuracy_multi", lambda logits, targets: _rightly(logits, targets, threshold), higher_is_better=True)


@metrics
def hamming_loss(target: TargetInfo, /, threshold: Share = 0.5) -> Metric:
    """The share of labels that are wrongly given or not given; of single classes, the share of wrong ones."""
    target.require("hamming_loss", "category", "multi_category")
    if target.kind == "category":
        return Mean("hamming_loss", lambda logits, targets: ~hits(logits, targets), higher_is_better=False)
    return Mean("hamming_loss", lambda logits, targets: ~_rightly(logits, targets, threshold), higher_is_better=False)


@metrics
def perplexity(target: TargetInfo, /) -> Metric:
    """The exponential of the mean cross entropy."""
    target.require("perplexity", "category", "mask")

    def entropy(logits: Tensor, targets: Tensor) -> Tensor:
        _, targets = decided(logits, targets)
        return F.cross_entropy(class_logits(logits.float()), targets, reduction="none")

    return Mean("perplexity", entropy, higher_is_better=False, finish=_exponential)


@metrics
def brier_score(target: TargetInfo, /) -> Metric:
    """The squared distance of the probabilities from the truth; of two classes, that of the second's alone."""
    target.require("brier_score", "category")

    def distance(logits: Tensor, targets: Tensor) -> Tensor:
        _, targets = decided(logits, targets)
        scores = class_scores(logits)
        squares = (scores - F.one_hot(targets, scores.shape[1])).square()
        return squares[:, 1] if scores.shape[1] == 2 else squares.sum(dim=1)

    return Mean("brier_score", distance, higher_is_better=False)


def _rightly(logits: Tensor, targets: Tensor, threshold: float) -> Tensor:
    return (logits.float().sigmoid() > threshold) == targets.bool()


def _exponential(value: float) -> float:
    return torch.tensor(value, dtype=torch.float64).exp().item() if math.isfinite(value) else value
