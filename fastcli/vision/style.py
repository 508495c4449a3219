"""fastai's way to write a callback: events without arguments, the learner as `self.learn`, its attributes as one's own.

fastcli's own way passes the learner to every event (`fastcli.events`); both kinds work side by side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable as Function
from typing import Any

from fastcli import events
from fastcli.events import CancelBackward, CancelBatch, CancelEpoch, CancelFit, CancelStep, CancelTrain, CancelValidate

__all__ = ["Callback", "CancelBackwardException", "CancelBatchException", "CancelEpochException", "CancelFitException",
           "CancelStepException", "CancelTrainException", "CancelValidException"]  # fmt: skip

CancelFitException, CancelEpochException, CancelBatchException = CancelFit, CancelEpoch, CancelBatch
CancelTrainException, CancelValidException = CancelTrain, CancelValidate
CancelBackwardException, CancelStepException = CancelBackward, CancelStep
RENAMED = {"after_pred": "after_predict"}
INNER = {"before_batch", "after_predict", "after_loss", "before_backward", "after_backward", "before_step",
         "after_step", "after_batch"}  # fmt: skip


class Callback(events.Callback):
    """Base of callbacks in fastai's style; `run_train` and `run_valid` say in which phase the inner events are heard.

    Unknown events are refused when the class is defined, where fastai never calls them.
    """

    run = run_train = run_valid = True
    learn: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in [name for name in vars(cls) if RENAMED.get(name, name) in events.EVENTS]:
            method = vars(cls)[name]
            if name in RENAMED:
                delattr(cls, name)
            setattr(cls, RENAMED.get(name, name), _with_learner(method, RENAMED.get(name, name)))
        super().__init_subclass__(**kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self.learn is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.learn, name)

    def __repr__(self) -> str:
        return type(self).__name__


def _with_learner(method: Function[..., Any], event: str) -> Function[..., Any]:
    """The method of one argument as a handler that is given the learner; `super()` may call it without."""

    @functools.wraps(method)
    def handler(self: Callback, learner: Any = None) -> None:
        if learner is not None:
            self.learn = learner
            phase = self.run_train if learner.training else self.run_valid
            if not self.run or (event in INNER and not phase):
                return
        method(self)

    return handler
