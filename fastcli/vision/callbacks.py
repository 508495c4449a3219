"""fastai's callbacks and schedules by their names and argument names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from fastcli.callbacks.activations import ActivationStats as Activations
from fastcli.callbacks.epochs import ProgressiveResize, ShortEpoch
from fastcli.callbacks.gradients import Accumulate, ClipGradients
from fastcli.callbacks.mix import CutMix, MixUp
from fastcli.callbacks.modes import FreezeBatchNorm, McDropout
from fastcli.callbacks.plateau import ReduceOnPlateau
from fastcli.callbacks.precision import ChannelsLast
from fastcli.callbacks.precision import MixedPrecision as Precision
from fastcli.callbacks.save import CSVLogger as Log
from fastcli.callbacks.save import GatherPredictions, SaveModel
from fastcli.callbacks.schedule import Scheduler
from fastcli.callbacks.smoothing import LabelSmoothing
from fastcli.callbacks.stop import EarlyStopping, TerminateOnNaN
from fastcli.errors import ConfigError
from fastcli.optim import schedules

__all__ = ["ActivationStats", "BnFreeze", "CSVLogger", "ChannelsLast", "CutMix", "EarlyStoppingCallback",
           "GatherPredsCallback", "GradientAccumulation", "GradientClip", "LabelSmoothing", "MCDropoutCallback",
           "MixUp", "MixedPrecision", "ParamScheduler", "ProgressiveResize", "ReduceLROnPlateau",
           "SaveModelCallback", "SchedCos", "SchedExp", "SchedLin", "SchedNo", "SchedPoly", "ShortEpochCallback",
           "TerminateOnNaNCallback", "combine_scheds", "combined_cos"]  # fmt: skip

HYPERS = {"mom": "momentum", "sqr_mom": "beta2", "wd": "weight_decay"}
"""fastai's names of hyperparameters, and ours."""
TerminateOnNaNCallback, MCDropoutCallback, BnFreeze = TerminateOnNaN, McDropout, FreezeBatchNorm


def GradientAccumulation(n_acc: int = 32) -> Accumulate:  # noqa: N802
    """One step for every `n_acc` pictures."""
    return Accumulate(n_acc)


def GradientClip(max_norm: float = 1.0, norm_type: float = 2.0) -> ClipGradients:  # noqa: N802
    """Holds the norm of all gradients together below `max_norm`."""
    return ClipGradients(max_norm, norm_type)


def EarlyStoppingCallback(  # noqa: N802
    monitor: str = "valid_loss", comp: Any = None, min_delta: float = 0.0, patience: int = 1
) -> EarlyStopping:
    """Ends the fit when `monitor` has not improved for `patience` epochs."""
    return EarlyStopping(monitor, patience, min_delta, _mode(comp))


def SaveModelCallback(  # noqa: N802
    monitor: str = "valid_loss", comp: Any = None, min_delta: float = 0.0, fname: str = "model",
    every_epoch: bool | int = False, at_end: bool = False,
) -> SaveModel:  # fmt: skip
    """Saves the model on improvement, and goes on with the best after the fit; or every so many epochs, or at the end.

    The file lies in the learner's `path`/`model_dir`.
    """
    when: Literal["improved", "end"] | int = "end" if at_end else int(every_epoch) or "improved"
    return SaveModel(f"{fname}.safetensors", when, monitor, min_delta, _mode(comp), load_best=when == "improved")


def ReduceLROnPlateau(  # noqa: N802
    monitor: str = "valid_loss", comp: Any = None, min_delta: float = 0.0, patience: int = 1, factor: float = 10.0,
    min_lr: float = 0.0,
) -> ReduceOnPlateau:  # fmt: skip
    """Divides the rate by `factor` when `monitor` has not improved for `patience` epochs."""
    return ReduceOnPlateau(monitor, patience, 1 / factor, min_lr, min_delta, _mode(comp))


def CSVLogger(fname: str = "history.csv", append: bool = False) -> Log:  # noqa: N802
    """Writes the table of epochs to a file in the learner's `path`/`model_dir`."""
    return Log(fname, append)


def ShortEpochCallback(pct: float = 0.01, short_valid: bool = True) -> ShortEpoch:  # noqa: N802
    """Ends every epoch after a share of its batches."""
    return ShortEpoch(pct, short_valid)


def ActivationStats(with_hist: bool = False, every: int | None = None) -> Activations:  # noqa: N802
    """Mean, deviation and share near zero of what every layer gives."""
    return Activations(every or 1, with_hist)


def GatherPredsCallback(with_input: bool = False, with_loss: bool = False) -> GatherPredictions:  # noqa: N802
    """Keeps the predictions and targets of every validation."""
    return GatherPredictions(with_input, with_loss)


def MixedPrecision(amp_mode: Any = "fp16") -> Precision:  # noqa: N802
    """Trains in fp16 or bf16."""
    return Precision(amp_mode)


def ParamScheduler(scheds: Mapping[str, Any]) -> Scheduler:  # noqa: N802
    """Sets each hyperparameter by its schedule, or by one for each layer group."""
    return Scheduler({HYPERS.get(name, name): schedule for name, schedule in scheds.items()})


def SchedLin(start: float, end: float) -> schedules.Schedule:  # noqa: N802
    """A straight line."""
    return schedules.linear(start, end)


def SchedCos(start: float, end: float) -> schedules.Schedule:  # noqa: N802
    """Half a cosine."""
    return schedules.cosine(start, end)


def SchedNo(start: float, end: float) -> schedules.Schedule:  # noqa: N802
    """Always `start`."""
    return schedules.constant(start)


def SchedExp(start: float, end: float) -> schedules.Schedule:  # noqa: N802
    """A straight line on a logarithmic scale."""
    return schedules.exponential(start, end)


def SchedPoly(start: float, end: float, power: float) -> schedules.Schedule:  # noqa: N802
    """A power of the progress."""
    return schedules.polynomial(start, end, power)


def combine_scheds(pcts: Sequence[float], scheds: Sequence[Any]) -> Callable[[float], float]:
    """One schedule after another, each over its share; the shares may miss 1 by rounding, which fastai refuses."""
    return schedules.combine(pcts, scheds)


def combined_cos(pct: float, start: float, middle: float, end: float) -> schedules.Schedule:
    """A cosine from `start` to `middle`, then one to `end`."""
    return schedules.combined_cosine(pct, start, middle, end)


def _mode(comp: Any) -> Literal["auto", "min", "max"]:
    if comp is None:
        return "auto"
    if comp not in (np.less, np.greater):
        raise ConfigError(f"comp is {comp!r}", hint="give np.less or np.greater, or leave it out")
    return "min" if comp is np.less else "max"
