"""How far a download or an extraction is, told a few times a second."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Called with the bytes done and the bytes in all (None: not known)."""


def throttled(
    progress: Progress | None, *, seconds: float = 0.1, clock: Callable[[], float] = time.monotonic
) -> Progress:
    """`progress` called at most once in `seconds`, but always at the first call and when all is done.

    >>> seen, ticks = [], iter([0.0, 0.05, 0.2, 0.21])
    >>> tell = throttled(lambda done, total: seen.append(done), clock=lambda: next(ticks))
    >>> for done in (1, 2, 3, 4):
    ...     tell(done, 4)
    >>> seen
    [1, 3, 4]
    """
    last, told = float("-inf"), -1

    def tell(done: int, total: int | None) -> None:
        nonlocal last, told
        now = clock()
        if progress is not None and done != told and (now - last >= seconds or done == total):
            last, told = now, done
            progress(done, total)

    return tell
