"""Who hears a learner: its callbacks by fastai's methods, what is shown, and in which precision it trains."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any, Self

from fastcli.callbacks.precision import ChannelsLast, MixedPrecision
from fastcli.callbacks.progress import Progress
from fastcli.callbacks.screen import Screen
from fastcli.errors import ConfigError
from fastcli.events import EVENTS, handlers
from fastcli.vision.core import listed
from fastcli.vision.style import RENAMED, Callback, named

__all__ = ["Listening", "ProgressCallback"]

ProgressCallback = Progress


class Listening:
    """The part of a Learner that looks after its callbacks; each of them is an attribute too (`learn.save_model`)."""

    callbacks: list[Any]
    show: bool
    forward_context: Any
    _handlers: dict[str, list[Any]]

    def __getattr__(self, name: str) -> Any:
        for callback in vars(self).get("callbacks", ()):
            if named(callback) == name:
                return callback
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def add_cb(self, cb: Any) -> Self:
        """Add a callback, or a class of callbacks; in the middle of a fit too."""
        return self.add_cbs([cb])

    def add_cbs(self, cbs: Any) -> Self:
        """Add callbacks."""
        made = [cb() if _makes(cb) else cb for cb in listed(cbs)]
        for callback in made:
            if isinstance(callback, Callback):
                callback.join(self)
        return self._hear([*self.callbacks, *made])

    def remove_cb(self, cb: Any) -> Self:
        """Take a callback, or all of a class, away; without `ProgressCallback` nothing is shown."""
        if cb is ProgressCallback or isinstance(cb, ProgressCallback):
            self.show = False
        kind = cb if isinstance(cb, type) else type(cb()) if _makes(cb) else ()
        return self._hear([c for c in self.callbacks if c is not cb and not isinstance(c, kind)])

    def remove_cbs(self, cbs: Any) -> Self:
        """Take callbacks away."""
        for cb in listed(cbs):
            self.remove_cb(cb)
        return self

    def _hear(self, callbacks: list[Any]) -> Self:
        self.callbacks = callbacks
        self._handlers = handlers(callbacks)
        return self

    @contextlib.contextmanager
    def removed_cbs(self, cbs: Any) -> Iterator[Self]:
        """Without these callbacks for a while."""
        kept = self.show, list(self.callbacks)
        try:
            yield self.remove_cbs(cbs)
        finally:
            self.show = kept[0]
            self._hear(kept[1])

    def ordered_cbs(self, event: str) -> list[Any]:
        """The callbacks that hear an event, in order."""
        return [handler.__self__ for handler in handlers(self.callbacks)[RENAMED.get(event, event)]]

    def show_training_loop(self) -> None:
        """Print the events of the loop, and who hears each."""
        for event in EVENTS:
            heard = ", ".join(type(callback).__name__ for callback in self.ordered_cbs(event))
            print(f"{event:16}{heard}".rstrip())  # noqa: T201 - what it is for

    @contextlib.contextmanager
    def added_cbs(self, cbs: Any) -> Iterator[Self]:
        """These callbacks besides the others, for a while."""
        kept = list(self.callbacks)
        try:
            yield self.add_cbs(cbs)
        finally:
            self._hear([c for c in self.callbacks if c in kept])

    @contextlib.contextmanager
    def no_bar(self) -> Iterator[Self]:
        """Nothing is shown for a while."""
        with self._showing(False):
            yield self

    no_logging = no_mbar = no_bar

    @contextlib.contextmanager
    def _showing(self, show: bool | None = None) -> Iterator[None]:
        """The table of epochs on the screen, where it is wanted; recipes of several fits go on in one table."""
        kept = self.show, list(self.callbacks)
        self.show = self.show if show is None else show
        shown = any(isinstance(callback, Progress) for callback in self.callbacks)
        try:
            if self.show and not shown:
                self.callbacks.append(Progress(Screen.for_stream(sys.stdout)))
            yield
        finally:
            self.show, self.callbacks = kept

    def to_fp16(self, **options: Any) -> Self:
        """Train in fp16, with scaled gradients. Raises ConfigError for options of torch's GradScaler."""
        if options:
            raise ConfigError(f"to_fp16 takes no {', '.join(options)}", hint="the scale finds itself")
        return self.to_fp32().add_cb(MixedPrecision("fp16"))

    def to_bf16(self) -> Self:
        """Train in bf16."""
        return self.to_fp32().add_cb(MixedPrecision("bf16"))

    def to_fp32(self) -> Self:
        """Train in fp32."""
        self.forward_context = contextlib.nullcontext()
        return self.remove_cb(MixedPrecision)

    def to_channelslast(self) -> Self:
        """Keep pictures and model in channels-last memory; unlike fastai's it leaves the precision as it is."""
        return self.to_contiguous().add_cb(ChannelsLast())

    def to_contiguous(self) -> Self:
        """Keep pictures and model in torch's usual memory."""
        return self.remove_cb(ChannelsLast)


def _makes(cb: Any) -> bool:
    """Whether it is what makes a callback (`GradientClip`), and not one."""
    return isinstance(cb, type) or inspect.isfunction(cb)
