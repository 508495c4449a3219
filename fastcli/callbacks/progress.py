"""Progress: the bar of the running epoch and a row per finished one; JsonProgress: the same rows for programs."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from fastcli.callbacks.screen import Screen
from fastcli.callbacks.table import fitted
from fastcli.callbacks.timing import Timer
from fastcli.events import Callback
from fastcli.run.files import json_line

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

EVERY = 0.25
"""Seconds between two looks at the loss, which waits for the device, and two drawings of the bar."""
LONGEST_BAR, SHORTEST_BAR = 40, 8
MARGIN = 5
"""Columns left free after the bar: a terminal writes ^C there, and must not wrap the line."""


class Progress(Callback):
    """Shows a training on `screen`; several fits of one training go on in one table.

    A row is marked where `monitor` beats all rows before it. `epochs` is the number of all fits together, for the
    time left; None counts the running fit alone.
    """

    order = 90

    def __init__(
        self,
        screen: Screen,
        *,
        monitor: str = "valid_loss",
        lower_is_better: bool = True,
        epochs: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.screen = screen
        self.monitor = monitor
        self.lower_is_better = lower_is_better
        self.epochs = epochs
        self._clock = clock
        self._head = ""
        self._shown: int | None = None
        self._best: float | None = None
        self._fitting = False
        self._told = 0

    def before_fit(self, learner: Learner) -> None:
        if self._shown is None:  # a resumed training begins with rows that were shown before
            for row in learner.history:
                self._improves(row)
            self._shown = len(learner.history)
        self.tell(learner)
        self._fitting = self.screen.live  # a validation outside of a fit has no bar
        self._rows_before = len(learner.history)
        self._fit_started = self._clock()
        self._drawn = -math.inf
        self._loss: float | None = None
        timer = learner.callback(Timer)
        assert timer is not None  # every learner begins with one
        self._timer = timer

    def tell(self, learner: Learner) -> None:
        """Show what a recipe has chosen since the last time."""
        for note in learner.notes[self._told :]:
            self.screen.line(note)
        self._told = len(learner.notes)

    def after_batch(self, learner: Learner) -> None:
        if not self._fitting:
            return
        now = self._clock()
        if now - self._drawn >= EVERY:
            if learner.training:
                self._look_at_loss(float(learner.loss.detach()))
            self.screen.draw(*self._bar(learner, now))
            self._drawn = now

    def after_epoch(self, learner: Learner) -> None:
        shown = self._shown or 0
        for row in learner.history[shown:]:
            improves = self._improves(row)
            table = fitted(row, self.screen.width, self.monitor)
            if table.head != self._head:
                self._head = table.head
                self.screen.line(self._head, "head")
            self.screen.line(table.line(row, best=improves), "best" if improves else "")
        self._shown = len(learner.history)

    def cleanup_fit(self, learner: Learner) -> None:
        self.tell(learner)
        self._fitting = False
        self.screen.clear()

    def _improves(self, row: dict[str, Any]) -> bool:
        """Whether a row beats all before it; the first has none to beat."""
        value = row.get(self.monitor)
        if value is None or math.isnan(value):
            return False
        best, self._best = self._best, value
        if best is None:
            return False
        self._best = min(best, value) if self.lower_is_better else max(best, value)
        return bool(self._best != best)

    def _look_at_loss(self, loss: float) -> None:
        old = self._loss
        self._loss = loss if old is None or not math.isfinite(old) else 0.7 * old + 0.3 * loss

    def _bar(self, learner: Learner, now: float) -> tuple[str, int]:
        """The bar and how many of its first characters stand for what is done."""
        rows, all_epochs = len(learner.history), self.epochs or self._rows_before + learner.epochs
        batches = learner.steps_per_epoch if learner.training else operator.length_hint(learner.valid_loader, 0)
        share = (learner.batch_index + 1) / max(batches, learner.batch_index + 1)
        facts = [f"{share:4.0%}"] if batches else []
        if learner.training:
            seconds = max(self._timer.seconds, 1e-9)
            facts += [f"loss {self._loss:.4f}"]
            facts += [f"{self._left(learner.epoch + share, now, all_epochs)} left"]
            facts += [f"{self._timer.images / seconds:.0f} img/s", f"wait {self._timer.waited / seconds:.0%}"]
        what = f"epoch {rows + 1}/{all_epochs}" + ("" if learner.training else " validating")
        return drawn_bar(what, share, facts, self.screen.width or 80, boxes=self.screen.draws_boxes)

    def _left(self, done: float, now: float, all_epochs: int) -> str:
        """The time that all epochs but those `done` take at this fit's pace, with validation once there was one."""
        seconds = (now - self._fit_started) / done * max(0.0, all_epochs - self._rows_before - done)
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def drawn_bar(what: str, share: float, facts: list[str], width: int, *, boxes: bool = True) -> tuple[str, int]:
    """A bar with what it is on its left and facts on its right, the last ones left out where `width` is too small.

    >>> drawn_bar("epoch 1/2", 0.5, ["50%", "loss 0.1"], 44)
    ('epoch 1/2 ━━━━━━━━╌╌╌╌╌╌╌ 50%  loss 0.1', 18)
    """
    room = width - MARGIN
    while facts and len(what) + 2 + SHORTEST_BAR + len("  ".join(facts)) > room:
        facts = facts[:-1]
    right = " " + "  ".join(facts) if facts else ""
    size = max(0, min(LONGEST_BAR, room - len(what) - 1 - len(right)))
    full, empty = ("━", "╌") if boxes else ("#", "-")
    done = round(share * size)
    return f"{what} {full * done}{empty * (size - done)}{right}"[:room], len(what) + 1 + done


class JsonProgress(Callback):
    """Prints every finished epoch as one line of JSON; NaN and infinities are null."""

    order = 90

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._shown: int | None = None

    def before_fit(self, learner: Learner) -> None:
        if self._shown is None:
            self._shown = len(learner.history)

    def after_epoch(self, learner: Learner) -> None:
        for row in learner.history[self._shown or 0 :]:
            self.stream.write(json_line(row) + "\n")
        self.stream.flush()
        self._shown = len(learner.history)
