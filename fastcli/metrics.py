"""Metrics, accumulated over the whole set: sums stay on the device until `compute`, which reads them once.

The few that most runs need are here. The others are torchmetrics', imported when one of them is named.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.registry import metrics
from fastcli.types import TargetInfo

Average = Literal["macro", "micro", "weighted", "binary"]
RankAverage = Literal["macro", "weighted", "binary"]
Take = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
DEFAULTS = {"category": ["error_rate"], "multi_category": ["accuracy_multi"], "regression": ["mae"]}


class Metric(ABC):
    """Base of the metrics: `reset` before a pass over the data, `update` with every batch, `compute` at its end."""

    def __init__(self, name: str, *, higher_is_better: bool) -> None:
        self.name = name
        self.higher_is_better = higher_is_better

    @abstractmethod
    def reset(self) -> None:
        """Forget what was seen."""

    @abstractmethod
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""

    @abstractmethod
    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, higher_is_better={self.higher_is_better})"


class Mean(Metric):
    """The mean over everything seen of `value(logits, targets)`, of whatever shape, put through `finish`.

    A value that is one number for its batch already (a function from a notebook) counts once for each of its items.
    """

    def __init__(
        self,
        name: str,
        value: Callable[[Tensor, Tensor], Tensor],
        *,
        higher_is_better: bool,
        finish: Callable[[float], float] = float,
    ) -> None:
        super().__init__(name, higher_is_better=higher_is_better)
        self._value, self._finish = value, finish
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._sum: Tensor | None = None
        self._count = 0

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""
        values = self._value(logits, targets)
        count = values.numel() if values.ndim else len(targets)
        total = _exact_sum(values) * (1 if values.ndim else count)
        self._sum = total if self._sum is None else self._sum + total
        self._count += count

    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""
        return math.nan if self._sum is None else self._finish(self._sum.item() / self._count)


class Torchmetric(Metric):
    """A metric of torchmetrics, which gets what `take` makes of the logits (float32) and the targets."""

    def __init__(self, name: str, metric: Any, take: Take) -> None:
        super().__init__(name, higher_is_better=bool(metric.higher_is_better))
        self._metric, self._take = metric, take
        self._seen = False

    def reset(self) -> None:
        """Forget what was seen."""
        self._metric.reset()
        self._seen = False

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in, without waiting for the device."""
        self._metric.to(logits.device).update(*self._take(logits.float(), targets))
        self._seen = True

    def compute(self) -> float:
        """The figure over all that was seen; NaN where nothing was."""
        return float(self._metric.compute()) if self._seen else math.nan


@metrics
def accuracy(target: TargetInfo, /) -> Metric:
    """The share of items whose likeliest class is the true one."""
    target.require("accuracy", "category")
    return Mean("accuracy", _hits, higher_is_better=True)


@metrics
def error_rate(target: TargetInfo, /) -> Metric:
    """The share of items whose likeliest class is not the true one."""
    target.require("error_rate", "category")
    return Mean("error_rate", lambda logits, targets: ~_hits(logits, targets), higher_is_better=False)


@metrics
def top_k_accuracy(target: TargetInfo, /, k: Annotated[int, Field(ge=1)] = 5) -> Metric:
    """The share of items whose true class is among the `k` likeliest."""
    target.require("top_k_accuracy", "category")
    if k > target.n_out:
        raise ConfigError(f"top_k_accuracy of k={k}, but there are {target.n_out} classes", hint="choose a smaller k")

    def hits(logits: Tensor, targets: Tensor) -> Tensor:
        best = class_logits(logits).topk(k, dim=1).indices
        return (best == targets.unsqueeze(1)).any(dim=1)

    return Mean("top_k_accuracy", hits, higher_is_better=True)


@metrics
def accuracy_multi(target: TargetInfo, /, threshold: Annotated[float, Field(ge=0, le=1)] = 0.5) -> Metric:
    """The share of labels that are rightly given or not given, a label being given above `threshold`."""
    target.require("accuracy_multi", "multi_category")

    def hits(logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.float().sigmoid() > threshold) == targets.bool()

    return Mean("accuracy_multi", hits, higher_is_better=True)


@metrics
def mse(target: TargetInfo, /) -> Metric:
    """The mean squared error."""
    target.require("mse", "regression")
    return Mean("mse", lambda logits, targets: _difference(logits, targets).square(), higher_is_better=False)


@metrics
def rmse(target: TargetInfo, /) -> Metric:
    """The root of the mean squared error over all items and outputs."""
    target.require("rmse", "regression")
    return Mean(
        "rmse",
        lambda logits, targets: _difference(logits, targets).square(),
        higher_is_better=False,
        finish=math.sqrt,
    )


@metrics
def mae(target: TargetInfo, /) -> Metric:
    """The mean absolute error."""
    target.require("mae", "regression")
    return Mean("mae", lambda logits, targets: _difference(logits, targets).abs(), higher_is_better=False)


def default_metrics(target: TargetInfo) -> list[str]:
    """The names of the metrics for a target when none are chosen.

    >>> default_metrics(TargetInfo("category", 2))
    ['error_rate']
    """
    target.require("a metric chosen by default", *DEFAULTS)
    return list(DEFAULTS[target.kind])


def class_logits(logits: Tensor) -> Tensor:
    """Logits with a column per class: one output for two classes is the logit of the second, beside a 0 for the first.

    >>> class_logits(torch.tensor([[3.0], [-2.0]])).argmax(dim=1)
    tensor([1, 0])
    """
    return F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits


def _hits(logits: Tensor, targets: Tensor) -> Tensor:
    # reshape: targets of shape (n, 1) would broadcast to (n, n) without a word.
    decided = class_logits(logits).argmax(dim=1)
    return decided == targets.reshape(decided.shape)


def _difference(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.float() - targets.float().reshape(logits.shape)


def _exact_sum(values: Tensor) -> Tensor:
    """The sum as an integer or in float64, which Apple's devices lack."""
    if not values.is_floating_point() or values.device.type == "mps":
        return values.sum()
    return values.sum(dtype=torch.float64)


def _torchmetric(name: str, kind: str, target: TargetInfo, average: str | None = None) -> Metric:
    """The metric `kind` of torchmetrics for this target. Raises ConfigError where torchmetrics is not installed."""
    try:
        import torchmetrics
    except ImportError:
        raise ConfigError(f"metric {name!r} comes from torchmetrics", hint="pip install torchmetrics") from None
    make = getattr(torchmetrics, kind)
    if target.kind == "regression":
        return Torchmetric(name, make(), _numbers)
    task, take = _task(name, target, average)
    return Torchmetric(name, make(**task, validate_args=False), take)  # validation would wait for the device


def _task(name: str, target: TargetInfo, average: str | None) -> tuple[dict[str, Any], Take]:
    """What torchmetrics calls this, and how to give it probabilities, since it guesses what logits are."""
    averaged = {} if average is None else {"average": average}
    if average == "binary":
        if target.kind != "category" or target.n_out != 2:
            raise ConfigError(f"{name}: average: binary is for two classes", hint="average: macro")
        return {"task": "binary"}, lambda logits, targets: (_shares(logits)[:, 1], targets)
    if target.kind == "multi_category":
        task = {"task": "multilabel", "num_labels": target.n_out, **averaged}
        return task, lambda logits, targets: (logits.sigmoid(), targets.long())
    return {"task": "multiclass", "num_classes": target.n_out, **averaged}, lambda logits, targets: (
        _shares(logits),
        targets,
    )


def _shares(logits: Tensor) -> Tensor:
    return class_logits(logits).softmax(dim=1)


def _numbers(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    predictions = logits.squeeze(1) if logits.shape[1] == 1 else logits
    return predictions, targets.float().reshape(predictions.shape)


def _averaged(name: str, kind: str, what: str, averages: Any) -> Callable[..., Metric]:
    def metric(target: TargetInfo, /, average: Average = "macro") -> Metric:
        target.require(name, "category", "multi_category")
        return _torchmetric(name, kind, target, average)

    metric.__annotations__["average"] = averages  # YAML is checked against this
    metric.__doc__ = f"{what}, averaged over the classes; `binary`: that of the second of two."
    return metric


def _whole(name: str, kind: str, what: str, target_kind: str) -> Callable[..., Metric]:
    def metric(target: TargetInfo, /) -> Metric:
        target.require(name, target_kind)
        return _torchmetric(name, kind, target)

    metric.__doc__ = f"{what}."
    return metric


for _name, _kind, _what, _averages in (
    ("f1_score", "F1Score", "The harmonic mean of precision and recall", Average),
    ("precision", "Precision", "The share of what was predicted that is right", Average),
    ("recall", "Recall", "The share of what is there that was found", Average),
    ("specificity", "Specificity", "The share of what is not there that was not predicted", Average),
    ("jaccard", "JaccardIndex", "Intersection over union of predicted and true", Average),
    ("auroc", "AUROC", "The area under the receiver operating characteristic", RankAverage),
    ("average_precision", "AveragePrecision", "The area under the curve of precision over recall", RankAverage),
):
    metrics(name=_name)(_averaged(_name, _kind, _what, _averages))
for _name, _kind, _what, _target_kind in (
    ("matthews_corrcoef", "MatthewsCorrCoef", "The correlation of predicted and true classes", "category"),
    ("cohen_kappa", "CohenKappa", "The agreement of predicted and true classes beyond chance", "category"),
    ("r2_score", "R2Score", "The share of the variance that is explained", "regression"),
):
    metrics(name=_name)(_whole(_name, _kind, _what, _target_kind))
