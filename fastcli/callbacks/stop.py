"""What ends a training early: no more progress, a loss that is not finite, a signal."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import torch
from pydantic import Field
from torch import Tensor

from fastcli.callbacks.monitor import Mode, Tracker
from fastcli.errors import NonFiniteLossError, Stopped, Terminated, first_few
from fastcli.events import Callback, CancelFit
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

LOOK_EVERY = 1.0
"""Seconds between two looks for a file that asks to save or to stop."""
BY_FILE = -1
EVERY = 50
"""Steps whose losses are read together on a device where a look waits for the device."""


@callbacks(name="early_stopping")
class EarlyStopping(Tracker):
    """Ends the fit when `monitor` has not improved by more than `min_delta` for `patience` epochs."""

    order = 60

    def __init__(
        self,
        monitor: str = "valid_loss",
        patience: Annotated[int, Field(ge=1)] = 3,
        min_delta: Annotated[float, Field(ge=0)] = 0.0,
        mode: Mode = "auto",
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        self.patience = patience

    def judge(self, learner: Learner, improved: bool) -> None:
        """End the fit where patience is over."""
        if self.waited >= self.patience:
            raise CancelFit


@callbacks(name="terminate_on_nan")
class TerminateOnNaN(Callback):
    """Raises NonFiniteLossError that names the step, the learning rate and the batch's files.

    On a CPU every step is checked; on other devices the losses of many steps are read together.
    """

    order = 40
    orders = {"after_loss": 99}
    only_looks = True
    in_search = False

    def before_fit(self, learner: Learner) -> None:
        self._unread: list[tuple[int, Tensor]] = []

    def after_loss(self, learner: Learner) -> None:
        if not learner.training:
            return
        if learner.device.type == "cpu":
            if not math.isfinite(learner.loss.item()):
                self._fail(learner, learner.iteration)
            return
        self._unread.append((learner.iteration, learner.loss.detach()))
        if len(self._unread) >= EVERY:
            self._read(learner)

    def after_train(self, learner: Learner) -> None:
        self._read(learner)

    def _read(self, learner: Learner) -> None:
        """Look at the losses since the last look, all at once: each look waits for the device."""
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        finite = torch.isfinite(torch.stack([loss for _, loss in unread])).tolist()
        if False in finite:
            self._fail(learner, unread[finite.index(False)][0])

    def _fail(self, learner: Learner, iteration: int) -> NoReturn:
        lr = learner.optimizer.param_groups[-1]["lr"]
        raise NonFiniteLossError(
            f"the loss is not finite at step {iteration} (epoch {learner.epoch}, lr {lr:.2e})"
            + self._files(learner, iteration),
            hint="lower the learning rate (fastcli lr-find shows a good one), or set runtime.precision: fp32",
        )

    def _files(self, learner: Learner, iteration: int) -> str:
        loader = learner.train_loader
        if not hasattr(loader, "plan"):
            return ""
        names = loader.names(loader.plan(learner.global_epoch)[iteration % learner.steps_per_epoch])
        return f"; its batch: {first_few(names)}"


class StopOnSignal(Callback):
    """Ctrl-C and SIGTERM end the fit after the running step, so that it can be saved; a second one leaves at once.

    SIGUSR1 has it saved and go on. In `directory`, if there is one, a file STOP or SAVE asks for the same.
    """

    order = 90
    orders = {"at_rest": -100}  # before whoever saves
    signals = (signal.SIGINT, signal.SIGTERM)
    save_signal = getattr(signal, "SIGUSR1", None)

    def __init__(self, directory: Path | None = None) -> None:
        self.received: int | None = None
        self.stopping = False
        """Whether the fit is being ended, and whoever saves must do so now."""
        self.directory = directory
        self._always = self._asked_to_save = False
        self._looked = 0.0
        self._before: dict[int, Any] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, signals are heard between fits too; the next fit ends at its first rest then."""
        self._listen()
        self._always = True
        try:
            yield
        finally:
            self._always, self.received = False, None
            self._restore()

    def before_fit(self, learner: Learner) -> None:
        self.stopping = False
        if not self._always:
            self._listen()

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in self.signals}
            if self.save_signal is not None:
                self._before[self.save_signal] = signal.signal(self.save_signal, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == self.save_signal:
            self._asked_to_save = True
            return
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def at_rest(self, learner: Learner) -> None:
        self._look_for_files()
        self._stop_if_asked()

    def after_batch(self, learner: Learner) -> None:
        if not learner.training:
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.received is not None:
            self.stopping = True
            raise CancelFit

    def _look_for_files(self) -> None:
        """See whether someone has asked by a file, once in a while; the file is taken away."""
        if self.directory is None or time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        for name in ("SAVE", "STOP"):
            if (self.directory / name).exists():
                with contextlib.suppress(OSError):
                    (self.directory / name).unlink()
                self._asked_to_save = True
                if name == "STOP":
                    self.received = BY_FILE

    def take_save(self) -> bool:
        """Whether someone has asked for a save since the last time."""
        asked, self._asked_to_save = self._asked_to_save, False
        return asked

    def after_fit(self, learner: Learner) -> None:
        if self.received in (signal.SIGINT, BY_FILE):
            raise Stopped("stopped by the file STOP; the run was saved" if self.received == BY_FILE else
                          "interrupted; the run was saved")  # fmt: skip
        if self.received is not None:
            raise Terminated("terminated; the run was saved")

    def cleanup_fit(self, learner: Learner) -> None:
        if not self._always:
            self._restore()
            self.received = None
