"""Phases, events, cancels and the Callback: how anything can take part in the loop.

The phases nest: fit > epoch > train or validate > batch > backward and step. Each has `before_` and `after_`; inside
a batch there are also `after_predict` and `after_loss`; `cleanup_fit` runs last, even when an error passes. `at_rest`
is heard between batches, before a validation and between epochs, where nothing is under way and no cancel travels:
what saves the state does so there. A callback may read and write anything on the learner, and may raise `CancelX` to
end phase X early. Every phase that began ends: its `after_` runs, then the cancel travels out to its own phase. All
callbacks hear an event before a cancel raised by one of them travels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar


class Cancel(Exception):  # noqa: N818 - control flow, not an error
    """Base of the cancels."""


class CancelFit(Cancel):
    """End the fit."""


class CancelEpoch(Cancel):
    """End this epoch, go on with the next."""


class CancelTrain(Cancel):
    """End this epoch's training, go on to its validation."""


class CancelValidate(Cancel):
    """End this validation."""


class CancelBatch(Cancel):
    """End this batch."""


class CancelBackward(Cancel):
    """Skip the backward pass."""


class CancelStep(Cancel):
    """Skip the optimizer step, and keep the gradients."""


PHASES: dict[str, type[Cancel]] = {
    "fit": CancelFit,
    "epoch": CancelEpoch,
    "train": CancelTrain,
    "validate": CancelValidate,
    "batch": CancelBatch,
    "backward": CancelBackward,
    "step": CancelStep,
}
EVENTS: tuple[str, ...] = (
    *(f"{when}_{phase}" for phase in PHASES for when in ("before", "after")),
    "after_predict",
    "after_loss",
    "at_rest",
    "cleanup_fit",
)


class Callback:
    """Base of callbacks: define methods named like events, each taking the learner.

    before_fit, before_epoch, before_train, before_batch, after_predict, after_loss, before_backward,
    after_backward, before_step, after_step, after_batch, after_train, before_validate, after_validate,
    after_epoch, after_fit, cleanup_fit; at_rest. A misspelt event fails when the class is defined.
    """

    order: ClassVar[int] = 0
    """Lower runs earlier; equals run in the order they were added."""
    orders: ClassVar[Mapping[str, int]] = {}
    """Events that are heard at another place than `order` says."""
    in_search: ClassVar[bool] = True
    """Whether a learning-rate search hears it too: False for what stops, saves, averages or writes."""
    only_looks: ClassVar[bool] = False
    """Whether it changes nothing in `after_predict`, `after_loss` and `before_backward`: only beside such callbacks may
    a GPU be given a step as a whole."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in vars(cls):
            if name.startswith(("before_", "after_", "cleanup_")) and name not in EVENTS:
                raise TypeError(f"{cls.__name__}.{name} is not an event; events are {', '.join(EVENTS)}")

    def check(self, learner: Any) -> None:
        """Raise ConfigError if this callback does not fit the learner; asked of those in a YAML before anything is run.

        There is an optimizer already, but no fit. Nothing of the learner is changed.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback, by name: numbers, words, lists, dictionaries, tensors.

        Asked for at rest. All that the events to come depend on belongs in it, unless `before_fit`, `before_epoch` or
        `before_train` makes it anew from the learner alone. Nothing is kept of an empty one, as this is.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave; only called where that was not empty.

        In a resumed training the phases that were open have begun with their events by now, and the next event is that
        of the next batch or phase: it is enough to set attributes. Tensors are on the CPU.
        """

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({shown})"


def handlers(callbacks: Sequence[Callback]) -> dict[str, list[Any]]:
    """The bound methods to call for each event, in order; events that nobody hears have an empty list."""
    return {event: [getattr(c, event) for c in sorted(callbacks, key=_place(event)) if hasattr(c, event)]
            for event in EVENTS}  # fmt: skip


def _place(event: str) -> Callable[[Callback], int]:
    return lambda callback: callback.orders.get(event, callback.order)
