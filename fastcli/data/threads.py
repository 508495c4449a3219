"""The same work for many files, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")
MOST_WORKERS = 16


def each(
    function: Callable[[Key], Found], keys: Sequence[Key], workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Found]:  # fmt: skip
    """What `function` gives for each key, in their order; `progress` hears how many are done.

    >>> each(abs, [-3, 2])
    [3, 2]
    """
    found: list[Found] = []
    with ThreadPoolExecutor(max(1, workers or min(MOST_WORKERS, os.cpu_count() or 1))) as pool:
        for one in pool.map(function, keys):
            found.append(one)
            if progress is not None:
                progress(len(found))
    return found
