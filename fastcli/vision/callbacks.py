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
from fastcli.vision.names import HYPERS
from fastcli.vision.style import Callback

__all__ = [
    "ActivationStats",
    "BnFreeze",
    "CSVLogger",
    "ChannelsLast",
    "CutMix",
    "EarlyStoppingCallback",
    "FetchPredsCallback",
    "GatherPredsCallback",
    "GradientAccumulation",
    "GradientClip",
    "LabelSmoothing",
    "MCDropoutCallback",
    "MixUp",
    "MixedPrecision",
    "ParamScheduler",
    "ProgressiveResize",
    "ReduceLROnPlateau",
    "SaveModelCallback",
    "SchedCos",
    "SchedExp",
    "SchedLin",
    "SchedNo",
    "SchedPoly",
    "ShortEpochCallback",
    "ShowGraphCallback",
    "TerminateOnNaNCallback",
    "combine_scheds",
    "combined_cos",
]  # fmt: skip

TerminateOnNaNCallback, MCDropoutCallback, BnFreeze = TerminateOnNaN, McDropout, FreezeBatchNorm


def GradientAccumulation(n_acc: int = 32) -> Accumulate:  # noqa: N802
    """One step for every `n_acc` pictures."""
    return Accumulate(n_acc)


def GradientClip(max_norm: float = 1.0, norm_type: float = 2.0) -> ClipGradients:  # noqa: N802
    """Holds the norm of all gradients together below `max_norm`."""
    return ClipGradients(max_norm, norm_type)


def EarlyStoppingCallback(  # noqa: N802
    monitor: str = "valid_loss", comp: Any = None, min_delta: float = 0.0, patience: int = 1,
    reset_on_fit: bool = True,
) -> EarlyStopping:  # fmt: skip
    """Ends the fit when `monitor` has not improved for `patience` epochs."""
    _check_reset(reset_on_fit)
    return EarlyStopping(monitor, patience, min_delta, _mode(comp))


def SaveModelCallback(  # noqa: N802
    monitor: str = "valid_loss", comp: Any = None, min_delta: float = 0.0, fname: str = "model",
    every_epoch: bool | int = False, at_end: bool = False, with_opt: bool = False, reset_on_fit: bool = True,
) -> SaveModel:  # fmt: skip
    """Saves the model on improvement, and goes on with the best after the fit; or every so many epochs, or at the end.

    The file lies in the learner's `path`/`model_dir`. Raises ConfigError for `with_opt`: `learn.save` keeps optimizers.
    """
    _check_reset(reset_on_fit)
    if with_opt:
        raise ConfigError("SaveModelCallback saves weights alone", hint="learn.save keeps the optimizer too")
    when: Literal["improved", "end"] | int = "end" if at_end else int(every_epoch) or "improved"
    return SaveModel(f"{fname}.safetensors", when, monitor, min_delta, _mode(comp), load_best=when == "improved")


def ReduceLROnPlateau(  # noqa: N802
    monitor: str = "valid_loss", comp: Any = None, min_delta: float = 0.0, patience: int = 1, factor: float = 10.0,
    min_lr: float = 0.0, reset_on_fit: bool = True,
) -> ReduceOnPlateau:  # fmt: skip
    """Divides the rate by `factor` when `monitor` has not improved for `patience` epochs."""
    _check_reset(reset_on_fit)
    return ReduceOnPlateau(monitor, patience, 1 / factor, min_lr, min_delta, _mode(comp))


class CSVLogger(Log):
    """Writes the table of epochs to a file in the learner's `path`."""

    def __init__(self, fname: str = "history.csv", append: bool = False) -> None:
        super().__init__(fname, append)

    def before_fit(self, learner: Any) -> None:
        """Find the place of the file."""
        self.file = str((learner.path / self.file).absolute())
        super().before_fit(learner)

    def read_log(self) -> Any:
        """The file as a table."""
        import pandas as pd

        return pd.read_csv(self.file)


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


class ParamScheduler(Scheduler):
    """Sets each hyperparameter by its schedule, or by one for each layer group, whatever the recipe does."""

    order = -39

    def __init__(self, scheds: Mapping[str, Any]) -> None:
        super().__init__({HYPERS.get(name, name): schedule for name, schedule in scheds.items()})


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


class ShowGraphCallback(Callback):
    """Draws the losses when a fit is over; fastai draws them after every epoch."""

    order = 65

    def after_fit(self) -> None:
        """Draw them."""
        if self.recorder.values:
            self.recorder.plot_loss()


class FetchPredsCallback(Callback):
    """Keeps what `get_preds` gives after every validation in `preds`."""

    order, in_search = 120, False

    def __init__(self, ds_idx: int = 1, dl: Any = None, with_input: bool = False, with_decoded: bool = False) -> None:
        self.asked: dict[str, Any] = {"ds_idx": ds_idx, "dl": dl, "with_input": with_input,
                                      "with_decoded": with_decoded}  # fmt: skip
        self.preds: Any = None

    def after_epoch(self) -> None:
        """Predict, without the callbacks that train."""
        with self.learn.removed_cbs([self]):
            self.preds = self.learn.get_preds(**self.asked)


def _check_reset(reset_on_fit: bool) -> None:
    if not reset_on_fit:
        raise ConfigError("the best of an earlier fit is not that of this one: reset_on_fit can only be True")


def _mode(comp: Any) -> Literal["auto", "min", "max"]:
    if comp is None:
        return "auto"
    if comp not in (np.less, np.greater):
        raise ConfigError(f"comp is {comp!r}", hint="give np.less or np.greater, or leave it out")
    return "min" if comp is np.less else "max"
