"""Background: work that a thread does meanwhile, one piece at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


class Background:
    """Does pieces of work in a thread that does not keep a process alive; what went wrong is raised by `wait`."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, pieces: Sequence[Callable[[], object]]) -> None:
        """Do these one after the other, once what was started before is done; raises what went wrong there."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(list(pieces),), name="save", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when everything is done; raises what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, pieces: list[Callable[[], object]]) -> None:
        try:
            for piece in pieces:
                piece()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self._error = error
