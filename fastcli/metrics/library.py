"""The metrics that are not ours, by name from torchmetrics, which is imported when one of them is made.

The table says what torchmetrics calls each, which targets it fits and what YAML may say to it, so that a mistake in
YAML is found without torchmetrics.
"""

from __future__ import annotations

import importlib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from fastcli.errors import ConfigError
from fastcli.metrics.base import Metric, decided
from fastcli.registry import metrics
from fastcli.types import TargetInfo, class_scores

RankAverage = Literal["macro", "weighted", "binary"]
Share = Annotated[float, Field(ge=0, le=1)]
Power = Annotated[float, Field(ge=1)]
Take = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Judged = Callable[[Tensor, int], Tensor]
REQUIRED = inspect.Parameter.empty
CLASSES = ("category", "multi_category")
NUMBERS = ("regression", "points")


class Torchmetric(Metric):
    """A metric of torchmetrics, which gets what `take` makes of the logits (float32) and the targets.

    Of several numbers, one per class or output, the figure is the mean; of a pair (figure, threshold) the figure.
    `judged` says of which classes there can be a figure, by how many of how many items are of each.
    """

    def __init__(
        self, name: str, metric: Any, take: Take, *, higher_is_better: bool, judged: Judged | None = None
    ) -> None:
        super().__init__(name, higher_is_better=higher_is_better)
        self._metric, self._take, self._judged = metric, take, judged
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
        if not self._seen:
            return math.nan
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No (positive|negative) samples")  # its 0 is left out below
            value = self._metric.compute()
        figures = (value[0] if isinstance(value, tuple) else value).float()
        if self._judged is not None:
            true = torch.cat(list(self._metric.metric_state["target"]))
            hot = true if true.ndim > 1 else one_hot(true, len(figures))
            figures = figures[self._judged(hot.sum(0), len(hot))]
        return float(figures.mean())


@dataclass(frozen=True)
class Entry:
    """One metric of torchmetrics."""

    name: str
    path: str
    """Its class, below `torchmetrics`."""
    kinds: tuple[str, ...]
    what: str
    higher_is_better: bool = True
    params: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """What YAML may say: name to annotation and default."""
    per_output: bool = False
    """Whether it wants to know how many numbers an item has."""

    def build(self, target: TargetInfo, params: dict[str, Any]) -> Metric:
        """The metric for this target. Raises ConfigError where it does not fit or torchmetrics is not installed."""
        target.require(self.name, *self.kinds)
        options, take = self._options(target, params)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*will save all targets")  # as it must, to rank them
            metric = _class(self.name, self.path)(**options)
        one_against_others = options.get("task", "binary") != "binary" and options.get("average") is None
        judged = next((rule for end, rule in JUDGED.items() if one_against_others and self.path.endswith(end)), None)
        return Torchmetric(self.name, metric, take, higher_is_better=self.higher_is_better, judged=judged)

    def _options(self, target: TargetInfo, params: dict[str, Any]) -> tuple[dict[str, Any], Take]:
        if target.kind == "mask":
            return {**params, "num_classes": target.n_out, "input_format": "index"}, decided
        if not set(self.kinds) & set(CLASSES):
            outputs = {"num_outputs": target.n_out} if self.per_output else {}
            return {**params, **outputs}, _rows if self.name == "cosine_similarity" else _numbers
        unchecked = {**params, "validate_args": False}  # validation would wait for the device
        if self.path.startswith("classification.Multilabel"):
            return {**unchecked, "num_labels": target.n_out}, _labels
        task, take = _task(self, target, unchecked.get("average"))
        return {**unchecked, **task}, take


def _task(entry: Entry, target: TargetInfo, average: str | None) -> tuple[dict[str, Any], Take]:
    """What torchmetrics calls this, and how to give it probabilities, since it guesses what logits are."""
    two = target.kind != "multi_category" and target.n_out == 2
    if average == "binary" and not two:
        raise ConfigError(f"{entry.name}: average: binary is for two classes", hint="average: macro")
    if average == "binary" or (two and entry.path.endswith(OF_ONE_CURVE)):
        rest = {"average": None} if average else {}
        return {"task": "binary", **rest}, lambda logits, targets: (class_scores(logits)[:, 1], targets.reshape(-1))
    each = {"average": None} if average in (None, "macro") and entry.path.endswith(OF_EACH_CLASS) else {}
    if target.kind == "multi_category":
        return {"task": "multilabel", "num_labels": target.n_out, **each}, _labels
    return {"task": "multiclass", "num_classes": target.n_out, **each}, _classes


def _labels(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return logits.sigmoid(), targets.long()


def _classes(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return class_scores(logits), targets.reshape(-1)


def _rows(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return logits, targets.float().reshape(logits.shape)


def _numbers(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    predictions = logits.squeeze(1) if logits.shape[1] == 1 else logits
    return predictions, targets.float().reshape(predictions.shape)


def _class(name: str, path: str) -> Any:
    try:
        torchmetrics = importlib.import_module("torchmetrics")
    except ImportError:
        raise ConfigError(f"metric {name!r} comes from torchmetrics", hint="pip install torchmetrics") from None
    module, _, kind = path.rpartition(".")
    found = getattr(importlib.import_module(f"torchmetrics.{module}"), kind, None)
    if found is None:
        hint = "pip install --upgrade torchmetrics"
        raise ConfigError(f"metric {name!r} is not in torchmetrics {torchmetrics.__version__}", hint=hint)
    return found


OF_ONE_CURVE = ("FixedPrecision", "FixedRecall", "AtSpecificity", "AtSensitivity", "EER", "LogAUC")
"""Of two classes these are those of the second; others look at both alike."""
OF_EACH_CLASS = ("AUROC", "AveragePrecision", "EER", "LogAUC")
"""These average over the classes themselves, and count 0 for those that are not there: it is done here instead."""


def _there(of_class: Tensor, n: int) -> Tensor:
    return of_class > 0


def _there_and_not_always(of_class: Tensor, n: int) -> Tensor:
    return (of_class > 0) & (of_class < n)


JUDGED: dict[str, Judged] = {
    **dict.fromkeys(("AveragePrecision", "FixedPrecision", "FixedRecall"), _there),
    **dict.fromkeys(("AUROC", "EER", "LogAUC", "AtSpecificity", "AtSensitivity"), _there_and_not_always),
}
"""Of which classes there is a curve: the receiver operating characteristic needs items of the others too."""
_RANKED = {"average": (RankAverage, "macro")}
_C, _R, _S = "classification.", "regression.", "segmentation."
TABLE = (
    Entry("auroc", _C + "AUROC", CLASSES, "The area under the receiver operating characteristic", True, _RANKED),
    Entry("average_precision", _C + "AveragePrecision", CLASSES, "The area under the curve of precision over recall",
          True, _RANKED),
    Entry("log_auc", _C + "LogAUC", CLASSES, "The area under the receiver operating characteristic, false positives on"
          " a log scale"),
    Entry("eer", _C + "EER", CLASSES, "The rate at which false positives are as frequent as false negatives", False),
    Entry("matthews_corrcoef", _C + "MatthewsCorrCoef", CLASSES, "The correlation of predicted and true classes"),
    Entry("cohen_kappa", _C + "CohenKappa", ("category",), "The agreement of predicted and true classes beyond chance",
          True, {"weights": (Literal["linear", "quadratic"] | None, None)}),
    Entry("calibration_error", _C + "CalibrationError", ("category",),
          "How far the probability of the likeliest class is from the share of hits", False,
          {"n_bins": (Annotated[int, Field(ge=1)], 15), "norm": (Literal["l1", "l2", "max"], "l1")}),
    Entry("recall_at_fixed_precision", _C + "RecallAtFixedPrecision", CLASSES,
          "The highest recall with at least this precision", True, {"min_precision": (Share, REQUIRED)}),
    Entry("precision_at_fixed_recall", _C + "PrecisionAtFixedRecall", CLASSES,
          "The highest precision with at least this recall", True, {"min_recall": (Share, REQUIRED)}),
    Entry("sensitivity_at_specificity", _C + "SensitivityAtSpecificity", CLASSES,
          "The highest sensitivity with at least this specificity", True, {"min_specificity": (Share, REQUIRED)}),
    Entry("specificity_at_sensitivity", _C + "SpecificityAtSensitivity", CLASSES,
          "The highest specificity with at least this sensitivity", True, {"min_sensitivity": (Share, REQUIRED)}),
    Entry("exact_match", _C + "MultilabelExactMatch", ("multi_category",),
          "The share of items of which every label is rightly given or not given", True, {"threshold": (Share, 0.5)}),
    Entry("coverage_error", _C + "MultilabelCoverageError", ("multi_category",),
          "How far down the ranked labels one has to go to find all that are true", False),
    Entry("ranking_loss", _C + "MultilabelRankingLoss", ("multi_category",),
          "The share of pairs of labels that are ranked the wrong way", False),
    Entry("ranking_average_precision", _C + "MultilabelRankingAveragePrecision", ("multi_category",),
          "The share of true labels among those ranked as high as each true label"),
    Entry("spearman_corrcoef", _R + "SpearmanCorrCoef", NUMBERS, "The correlation of the ranks of predictions and"
          " targets", per_output=True),
    Entry("kendall_corrcoef", _R + "KendallRankCorrCoef", NUMBERS, "The agreement of the order of predictions and"
          " targets", True, {"variant": (Literal["a", "b", "c"], "b")}, per_output=True),
    Entry("concordance_corrcoef", _R + "ConcordanceCorrCoef", NUMBERS, "How near predictions and targets lie to"
          " equality", per_output=True),
    Entry("cosine_similarity", _R + "CosineSimilarity", NUMBERS, "The cosine of the angle of predictions and targets",
          True, {"reduction": (Literal["mean", "sum"], "mean")}),
    Entry("log_cosh_error", _R + "LogCoshError", NUMBERS, "The logarithm of the hyperbolic cosine of the error", False,
          per_output=True),
    Entry("mape", _R + "MeanAbsolutePercentageError", NUMBERS, "The mean of the error's size over the target's", False),
    Entry("smape", _R + "SymmetricMeanAbsolutePercentageError", NUMBERS, "The mean of the error's size over the mean"
          " size of prediction and target", False),
    Entry("wmape", _R + "WeightedMeanAbsolutePercentageError", NUMBERS, "The sum of the errors' sizes over that of the"
          " targets'", False),
    Entry("minkowski_distance", _R + "MinkowskiDistance", NUMBERS,
          "The p-th root of the sum of the errors' p-th powers", False, {"p": (Power, REQUIRED)}),
    Entry("nrmse", _R + "NormalizedRootMeanSquaredError", NUMBERS, "The root of the mean squared error over the"
          " targets' mean, range, deviation or norm", False,
          {"normalization": (Literal["mean", "range", "std", "l2"], "mean")}, per_output=True),
    Entry("relative_squared_error", _R + "RelativeSquaredError", NUMBERS, "The squared error over that of the targets'"
          " mean", False, {"squared": (bool, True)}, per_output=True),
    Entry("tweedie_deviance", _R + "TweedieDevianceScore", NUMBERS, "The deviance of Tweedie's distribution: power 1 is"
          " Poisson's, 2 gamma's", False, {"power": (float, 0.0)}),
    Entry("critical_success_index", _R + "CriticalSuccessIndex", NUMBERS, "Hits over hits, misses and false alarms of"
          " exceeding the threshold", True, {"threshold": (float, REQUIRED)}),
    Entry("dice_per_image", _S + "DiceScore", ("mask",), "The Dice coefficient of each image, the mean over images",
          True, {"include_background": (bool, True)}),
    Entry("generalized_dice", _S + "GeneralizedDiceScore", ("mask",), "The Dice coefficient of each image with classes"
          " weighed by their size, the mean over images", True,
          {"include_background": (bool, True), "weight_type": (Literal["square", "simple", "linear"], "square")}),
    Entry("jaccard_per_image", _S + "MeanIoU", ("mask",), "Intersection over union of each image, the mean over images"
          " and classes", True, {"include_background": (bool, True)}),
)  # fmt: skip


def _component(entry: Entry) -> Callable[..., Metric]:
    def metric(target: TargetInfo, /, **params: Any) -> Metric:
        return entry.build(target, params)

    given = inspect.Parameter("target", inspect.Parameter.POSITIONAL_ONLY, annotation=TargetInfo)
    named = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
             for name, (annotation, default) in entry.params.items()]  # fmt: skip
    metric.__signature__ = inspect.Signature([given, *named])  # type: ignore[attr-defined] # the schema for YAML
    averaged = ", averaged over the classes; `binary`: that of the second of two" if "average" in entry.params else ""
    metric.__doc__ = f"{entry.what}{averaged}."
    return metric


for _entry in TABLE:
    metrics(name=_entry.name)(_component(_entry))
