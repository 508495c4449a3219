"""Threads that decode items: whoever asks for the same item waits for the same work, and nobody waits for more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

from torch import Tensor

from fastcli.errors import DataError
from fastcli.run.environment import usable_cores

SMALL = 64 * 64
"""Pixels below which one thread decodes faster than several, which would wait for each other's Python."""
PER_TASK = 2**18
"""Pixels that one thread decodes before it looks for other work; with small pictures handing over is what costs."""
MOST = 16
"""Items that it decodes then at most."""
UNMEASURED = 4
Decode = Callable[[int], Tensor | None]
Found = dict[int, Tensor | DataError | None]


def sensible_threads(pixels: float | None) -> int:
    """How many threads decode pictures of so many pixels in the mean the fastest.

    >>> sensible_threads(28 * 28)
    1
    """
    return 1 if pixels is not None and pixels < SMALL else usable_cores()


class Decoders:
    """Threads that do `decode(i)` for items, whose pictures have so many `pixels` in the mean, where known.

    It is given with every call and not kept: whoever owns the decoders is not kept alive by them.
    """

    def __init__(self, threads: int, pixels: float | None = None) -> None:
        self.threads = threads
        self.per_task = UNMEASURED if pixels is None else max(1, min(MOST, int(PER_TASK // max(1.0, pixels))))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._flying: dict[int, Future[Found]] = {}
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Have other work done by these threads."""
        self._pool.submit(function, *args)

    def close(self) -> None:
        """Wait for what was asked for, and let the threads end."""
        self._pool.shutdown()

    def get(
        self, decode: Decode, indices: Sequence[int], stop: threading.Event | None = None
    ) -> dict[int, Tensor | None]:
        """What `decode` gives for these items, or the DataError of the first that has one is raised.

        Once `stop` is set nothing more is decoded, and CancelledError is raised.
        """
        asked = self._ask(decode, indices, stop)
        try:
            return {index: self._result(decode, index, future, stop) for index, future in asked.items()}
        finally:
            for future in asked.values():
                future.cancel()  # after an error nobody waits for the rest

    @contextlib.contextmanager
    def ahead(self, decode: Decode, indices: Iterable[int], wanted: Callable[[int], bool]) -> Iterator[None]:
        """Context in which the threads also decode those of these items that are `wanted` by then, in this order."""
        stopped, waiting = threading.Event(), (i for i in indices if wanted(i) and i not in self._flying)
        for _ in range(self.threads):
            self._more(decode, waiting, stopped)
        try:
            yield
        finally:
            stopped.set()

    def _more(self, decode: Decode, waiting: Iterator[int], stopped: threading.Event, _: object = None) -> None:
        """Have the next of the `waiting` items decoded, and then those after them."""
        while not stopped.is_set():
            with self._lock:
                task = list(islice(waiting, self.per_task))
            if not task:
                return
            future = self._ask(decode, task, stopped)[task[-1]]
            if not future.done():
                future.add_done_callback(partial(self._more, decode, waiting, stopped))
                return

    def _ask(self, decode: Decode, indices: Sequence[int], stop: threading.Event | None) -> dict[int, Future[Found]]:
        """The work in which each item is decoded: what others asked for already, or new."""
        tasks: list[tuple[Future[Found], list[int]]] = []
        with self._lock:
            asked = {i: self._flying[i] for i in indices if i in self._flying}
            new = [i for i in indices if i not in asked]
            step = max(1, min(self.per_task, -(-len(new) // self.threads)))
            for start in range(0, len(new), step):
                task = new[start : start + step]
                future = self._pool.submit(_work, decode, task, stop)
                self._flying.update(dict.fromkeys(task, future))
                tasks.append((future, task))
        for future, task in tasks:
            asked.update(dict.fromkeys(task, future))
            future.add_done_callback(partial(self._landed, task))
        return asked

    def _landed(self, task: Sequence[int], _: Future[Found]) -> None:
        for index in task:
            self._flying.pop(index, None)

    def _result(self, decode: Decode, index: int, future: Future[Found], stop: threading.Event | None) -> Tensor | None:
        while stop is None or not stop.is_set():
            try:
                found = future.result()[index]
            except CancelledError:
                future = self._ask(decode, [index], stop)[index]  # who asked for the same item had to stop
                continue
            if isinstance(found, DataError):
                raise found
            return found
        raise CancelledError


def _work(decode: Decode, task: Sequence[int], stop: threading.Event | None) -> Found:
    found: Found = {}
    for index in task:
        if stop is not None and stop.is_set():
            raise CancelledError
        try:
            found[index] = decode(index)
        except DataError as error:
            found[index] = error
    return found
