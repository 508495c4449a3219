"""fastai's metrics by their names: as `metrics=accuracy` for a learner, or called on predictions and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.metrics import Metric
from fastcli.registry import metrics
from fastcli.types import TargetInfo

__all__ = ["APScoreBinary", "APScoreMulti", "BalancedAccuracy", "BrierScore", "CohenKappa", "Dice", "DiceMulti",
           "ExplainedVariance", "F1Score", "F1ScoreMulti", "FBeta", "FBetaMulti", "HammingLoss", "HammingLossMulti",
           "Jaccard", "JaccardCoeff", "JaccardCoeffMulti", "JaccardMulti", "MatthewsCorrCoef", "PearsonCorrCoef",
           "Perplexity", "Precision", "PrecisionMulti", "R2Score", "Recall", "RecallMulti", "RocAuc", "RocAucBinary",
           "RocAucMulti", "SpearmanCorrCoef", "accuracy", "accuracy_multi", "error_rate", "exp_rmspe",
           "foreground_acc", "mae", "mse", "msle", "perplexity", "rmse", "top_k_accuracy"]  # fmt: skip

TRANSLATED = {"thresh": "threshold", "bkg_idx": "background"}
USUAL: dict[str, Any] = {"labels": None, "sample_weight": None, "pos_label": 1, "adjusted": False, "max_fpr": None,
                         "multi_class": "ovr"}  # fmt: skip
KINDS = ("category", "multi_category", "regression", "mask", "points")


class Named:
    """A metric of the library by its name, made when the target is known; calling it gives its figure at once."""

    def __init__(self, name: str, **params: Any) -> None:
        self.name, self.params = name, params
        self.__name__ = name

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.params.items())})"

    def using(self, **params: Any) -> Named:
        """The same metric with other parameters."""
        return Named(self.name, **self.params | params)

    def build(self, target: TargetInfo | None) -> Metric:
        """The metric for a target, which is guessed from the first batch where it is None."""
        if target is None:
            return Guessing(self)
        params, from_shares = _translated(self.name, self.params)
        metric: Metric = metrics.build(self.name, target, **params)
        return OfShares(metric) if from_shares else metric

    def __call__(self, inp: Tensor, targ: Tensor, **params: Any) -> Tensor:
        """The figure over these predictions and targets."""
        metric = self.using(**params).build(None)
        metric.update(inp, targ)
        return torch.tensor(metric.compute())


def _translated(name: str, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Fastai's parameters by our names, and whether predictions are probabilities already.

    Raises ConfigError for those of scikit-learn that have no place here.
    """
    params = {TRANSLATED.get(key, key): value for key, value in given.items()}
    from_shares = not params.pop("sigmoid", True)
    if params.pop("axis", -1) not in (-1, 1):
        raise ConfigError(f"{name}: classes lie along axis 1, or the last one")
    for key, usual in USUAL.items():
        if params.pop(key, usual) != usual:
            raise ConfigError(f"{name} takes no {key}", hint=f"AccumMetric of a function of your own may use {key}")
    return params, from_shares


class OfShares(Metric):
    """A metric of logits that is given probabilities, as after a sigmoid."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric.name, higher_is_better=metric.higher_is_better)
        self._metric = metric

    def reset(self) -> None:
        """Forget what was seen."""
        self._metric.reset()

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in."""
        self._metric.update(torch.logit(logits.float()), targets)

    def compute(self) -> float:
        """The figure over all that was seen."""
        return self._metric.compute()


class Guessing(Metric):
    """A metric that learns from its first batch what the target is."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._metric: Metric | None = None
        super().__init__(named.name, higher_is_better="error" not in named.name)

    def reset(self) -> None:
        """Forget what was seen."""
        if self._metric is not None:
            self._metric.reset()

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take a batch in."""
        if self._metric is None:
            self._metric = self._named.build(self._target(logits, targets))
            self.higher_is_better = self._metric.higher_is_better
        self._metric.update(logits, targets)

    def _target(self, logits: Tensor, targets: Tensor) -> TargetInfo:
        n_out = max(2, logits.shape[1]) if not targets.is_floating_point() else logits.shape[1]
        for kind in KINDS:
            try:
                self._named.build(TargetInfo(kind, n_out))
            except ConfigError:
                continue
            return TargetInfo(kind, n_out)
        raise ConfigError(f"{self._named!r} fits no target with {n_out} outputs")

    def compute(self) -> float:
        """The figure over all that was seen."""
        return float("nan") if self._metric is None else self._metric.compute()


Make = Callable[..., Named]


def _averaged(name: str, average: str) -> Make:
    """A maker of the metric `name`, averaged over the classes in this way unless told otherwise."""

    def make(average: str = average, **params: Any) -> Named:
        return Named(name, average=average, **params)

    return make


def _plain(name: str) -> Make:
    def make(**params: Any) -> Named:
        return Named(name, **params)

    return make


def FBeta(beta: float, average: str = "binary", **params: Any) -> Named:  # noqa: N802
    """The harmonic mean of precision and recall, recall counting `beta` times as much."""
    return Named("f_beta", beta=beta, average=average, **params)


def FBetaMulti(beta: float, average: str = "macro", **params: Any) -> Named:  # noqa: N802
    """The same for several labels."""
    return Named("f_beta", beta=beta, average=average, **params)


F1Score, Precision, Recall = (_averaged(name, "binary") for name in ("f1_score", "precision", "recall"))
F1ScoreMulti, PrecisionMulti, RecallMulti = (_averaged(name, "macro") for name in ("f1_score", "precision", "recall"))
Jaccard, JaccardMulti = _averaged("jaccard", "binary"), _averaged("jaccard", "macro")
Dice, DiceMulti = _averaged("dice", "binary"), _averaged("dice", "macro")
JaccardCoeff, JaccardCoeffMulti = _averaged("jaccard", "binary"), _averaged("jaccard", "macro")
RocAuc, RocAucMulti, RocAucBinary = (
    _averaged("auroc", "macro"),
    _averaged("auroc", "macro"),
    _averaged("auroc", "binary"),
)
APScoreBinary, APScoreMulti = _averaged("average_precision", "binary"), _averaged("average_precision", "macro")
BalancedAccuracy, BrierScore, CohenKappa = map(_plain, ("balanced_accuracy", "brier_score", "cohen_kappa"))
HammingLoss, HammingLossMulti, MatthewsCorrCoef = map(_plain, ("hamming_loss", "hamming_loss", "matthews_corrcoef"))
ExplainedVariance, R2Score, Perplexity = map(_plain, ("explained_variance", "r2_score", "perplexity"))
PearsonCorrCoef, SpearmanCorrCoef = _plain("pearson_corrcoef"), _plain("spearman_corrcoef")
foreground_acc, msle, exp_rmspe = Named("foreground_accuracy"), Named("msle"), Named("exp_rmspe")
accuracy, error_rate = Named("accuracy"), Named("error_rate")
top_k_accuracy, accuracy_multi = Named("top_k_accuracy"), Named("accuracy_multi")
mse, rmse, mae, perplexity = Named("mse"), Named("rmse"), Named("mae"), Named("perplexity")
