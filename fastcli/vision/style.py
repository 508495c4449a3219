"""fastai's way to write a callback: events without arguments, the learner as `self.learn`, its attributes as one's own.

fastcli's own way passes the learner to every event (`fastcli.events`); both kinds work side by side.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable as Function
from typing import Any

from fastcli import events
from fastcli.events import CancelBackward, CancelBatch, CancelEpoch, CancelFit, CancelStep, CancelTrain, CancelValidate

__all__ = ["Callback", "CancelBackwardException", "CancelBatchException", "CancelEpochException", "CancelFitException",
           "CancelStepException", "CancelTrainException", "CancelValidException", "event"]  # fmt: skip

CancelFitException, CancelEpochException, CancelBatchException = CancelFit, CancelEpoch, CancelBatch
CancelTrainException, CancelValidException = CancelTrain, CancelValidate
CancelBackwardException, CancelStepException = CancelBackward, CancelStep
RENAMED = {"after_pred": "after_predict"}
INNER = {"before_batch", "after_predict", "after_loss", "before_backward", "after_backward", "before_step",
         "after_step", "after_batch"}  # fmt: skip


class event:  # noqa: N801 - fastai's name
    """The names of the events."""

    after_create, before_fit, before_epoch, before_train = "after_create", "before_fit", "before_epoch", "before_train"
    before_batch, after_pred, after_loss, before_backward = (
        "before_batch",
        "after_pred",
        "after_loss",
        "before_backward",
    )
    after_backward, before_step, after_step, after_batch = "after_backward", "before_step", "after_step", "after_batch"
    after_train, before_validate, after_validate = "after_train", "before_validate", "after_validate"
    after_epoch, after_fit = "after_epoch", "after_fit"


class Callback(events.Callback):
    """Base of callbacks in fastai's style; `run_train` and `run_valid` say in which phase the inner events are heard.

    `Callback(after_epoch=function)` makes one of functions that take the callback. Unknown events are refused when the
    class is defined, where fastai never calls them. `after_x` is heard after a cancel too, so there is no
    `after_cancel_x`.
    """

    run = run_train = run_valid = True
    learn: Any = None

    def __init__(self, **functions: Function[[Any], Any]) -> None:
        if functions:
            self.__class__ = type(type(self).__name__, (type(self),), functions)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in list(vars(cls)):
            if name.startswith("after_cancel_"):
                after = f"after_{name.removeprefix('after_cancel_')}"
                raise TypeError(f"{cls.__name__}.{name} is not an event: {after} is heard after a cancel too")
            if name == "after_create":
                cls.created = vars(cls)[name]  # type: ignore[attr-defined]
                delattr(cls, name)
            elif RENAMED.get(name, name) in events.EVENTS:
                method = vars(cls)[name]
                if name in RENAMED:
                    delattr(cls, name)
                setattr(cls, RENAMED.get(name, name), _with_learner(method, RENAMED.get(name, name)))
        super().__init_subclass__(**kwargs)

    def cleanup_fit(self, learner: Any) -> None:
        """A callback that switched itself off with `run` is on again for the next fit."""
        self.run = True

    def join(self, learner: Any) -> None:
        """Become a callback of this learner."""
        self.learn = learner
        if "created" in dir(type(self)):
            self.created()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self.learn is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.learn, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self) and not hasattr(type(self), name) and _is_learners(self.learn, name):
            warnings.warn(
                f"{type(self).__name__} sets {name} on itself: write self.learn.{name} to change the learner's",
                stacklevel=2,
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return type(self).__name__

    @property
    def name(self) -> str:
        """By which name the learner has it: that of its class, in small letters."""
        return named(self)


def named(callback: Any) -> str:
    """The class's name in small letters with underscores, without Callback.

    >>> named(type("SaveModelCallback", (), {})())
    'save_model'
    """
    name = type(callback).__name__.removesuffix("Callback")
    letters = [
        f"_{c.lower()}" if i and c.isupper() and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    ]
    return "".join(letters)


def _is_learners(learner: Any, name: str) -> bool:
    return learner is not None and (name in vars(learner) or hasattr(type(learner), name))


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
