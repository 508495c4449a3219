"""phase: what turns a method of the learner into a phase of the loop, with its events and its cancel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fastcli.events import PHASES, Cancel


def phase(name: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Run a method as the phase `name`: its events around it, and its own cancel stopped here."""
    own, before, after = PHASES[name], f"before_{name}", f"after_{name}"

    def decorate(body: Callable[[Any], None]) -> Callable[[Any], None]:
        @functools.wraps(body)
        def run(learner: Any) -> None:
            cancel: Cancel | None = None
            try:
                learner.emit(before)
                body(learner)
            except Cancel as raised:
                cancel = raised
            try:
                learner.emit(after)
            except Cancel as raised:
                cancel = wider(cancel, raised)
            if cancel is not None and not isinstance(cancel, own):
                raise cancel

        return run

    return decorate


def wider(first: Cancel | None, second: Cancel) -> Cancel:
    """Of two cancels the one of the outer phase, which ends more."""
    return second if first is None or _depth(second) < _depth(first) else first


def _depth(cancel: Cancel) -> int:
    """How deep its phase lies, the fit at 0; a cancel of no phase ends the fit too."""
    return next((depth for depth, kind in enumerate(PHASES.values()) if isinstance(cancel, kind)), -1)
