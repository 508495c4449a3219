"""What the benchmarks share: sides that take turns, processes with their memory, medians with their spread.

A side is either a whole process (`process`) or a block of work in a process that stays (`Worker`). The sides take
turns, so that a busy machine slows all of them, and every figure is a median over the rounds.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
SAMPLE_EVERY = 0.5
"""Seconds between two looks at the memory of a process and its children."""


@dataclass(frozen=True)
class Done:
    """A process that has ended: its seconds, what it wrote, and the most memory of it and its children, in bytes."""

    seconds: float
    output: str
    memory: int

    def find(self, pattern: str) -> list[float]:
        """The numbers that the groups of `pattern` stand for in the output, of its last match."""
        found = re.findall(pattern, self.output)
        if not found:
            raise SystemExit(f"no {pattern!r} in:\n{self.output[-2000:]}")
        return [float(value) for value in ([found[-1]] if isinstance(found[-1], str) else found[-1])]


def process(words: Sequence[Any], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Done:
    """Run a program to its end; what it writes is shown if it fails."""
    started, most = time.perf_counter(), [0]
    with subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd,
        env={**os.environ, **(environment or {})},
    ) as child:  # fmt: skip
        ended = threading.Event()
        watch = threading.Thread(target=_watch_memory, args=(child.pid, ended, most), daemon=True)
        watch.start()
        output = child.communicate()[0]
        seconds = time.perf_counter() - started
        ended.set()
        watch.join()
    if child.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\nended with {child.returncode}:\n{output[-4000:]}")
    return Done(seconds, output, most[0])


def _watch_memory(pid: int, ended: threading.Event, most: list[int]) -> None:
    while not ended.wait(SAMPLE_EVERY):
        most[0] = max(most[0], sum(_memory(one) for one in family(pid)))


def family(pid: int) -> Iterator[int]:
    """A process and all below it (Linux)."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def _memory(pid: int) -> int:
    """Bytes of a process; what it shares with others counts by its share."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return 1024 * int(found[1]) if found else 0
    return 0


class Worker:
    """A process that makes itself ready and then does a block of work for every line it gets.

    The script ends in `serve`. The process goes on with what it had, so imports and first steps are paid once.
    """

    def __init__(self, python: str | Path, script: str, *arguments: Any) -> None:
        words = [str(python), str(HERE / script), *map(str, arguments)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready: dict[str, Any] = self._answer()

    def __call__(self, *what: Any) -> Any:
        """The answer to one block of work."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise SystemExit(f"{' '.join(map(str, self._process.args))} ended with {self._process.wait()}")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve(work: Callable[..., Any]) -> None:
    """Be a worker: answer every line of arguments with what `work` gives for them, until there are no more."""
    print("ANSWER " + json.dumps({"threads": os.environ.get("OMP_NUM_THREADS", "")}), flush=True)
    for line in sys.stdin:
        print("ANSWER " + json.dumps(work(*json.loads(line))), flush=True)


def in_turn(sides: Mapping[str, Callable[[], Any]], rounds: int, *, say: bool = True) -> dict[str, list[Any]]:
    """What each side gives in every round; the order of the sides turns around from round to round."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    for round_ in range(rounds):
        for name in list(sides)[:: -1 if round_ % 2 else 1]:
            found[name].append(sides[name]())
            if say:
                print(f"round {round_ + 1}/{rounds}: {name} {_brief(found[name][-1])}", file=sys.stderr, flush=True)
    return found


def _brief(value: Any) -> str:
    if isinstance(value, Done):
        return f"{value.seconds:.1f} s"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and the least and the most of them."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> "Ratio":
        """One side's figures over the other's, round by round."""
        ratios = [a / b for a, b in zip(above, below, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f}–{self.high:.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows below their head, the first column to the left and the others to the right."""
    shown = [[*map(str, head)], *([*map(str, row)] for row in rows)]
    widths = [max(len(row[k]) for row in shown) for k in range(len(head))]
    for row in shown:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *others]), flush=True)


def bar(name: str, ratio: Ratio, *, least: float | None = None, most: float | None = None) -> None:
    """Print how a ratio stands to what it should be, at `least` or at `most`."""
    reached = ratio.middle >= least if least is not None else most is None or ratio.middle <= most
    wanted = f"at least {least:g}" if least is not None else f"at most {most:g}"
    print(f"{name}: {ratio}, {'reaches' if reached else 'MISSES'} {wanted}", flush=True)


def last(ratio: Ratio, of: str) -> None:
    """Print the line that a benchmark ends with."""
    print(f"ratio: {ratio.middle:.2f}  ({ratio.low:.2f}–{ratio.high:.2f}; {of})", flush=True)


def arguments(doc: str, *, rounds: int, quick_rounds: int = 1, peers: bool = True) -> argparse.ArgumentParser:
    """The options that every benchmark has; `rounds` is None where it is not given, and `settle` fills it in."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it runs")
    parser.add_argument("--rounds", type=int, default=None, help=f"of each side; {rounds} unless it is said")
    parser.set_defaults(rounds_by_default=rounds, rounds_of_quick=quick_rounds)
    if peers:
        parser.add_argument("--fastai-python", default=sys.executable, help="a Python that has fastai; else this one")
    return parser


def settled(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options as given, with the rounds that go with them; the machine is told first."""
    given = parser.parse_args()
    if given.rounds is None:
        given.rounds = given.rounds_of_quick if given.quick else given.rounds_by_default
    print(machine() + (", --quick: no figure counts" if given.quick else ""), flush=True)
    return given


def machine() -> str:
    """The processor, how busy it was, and the versions."""
    from importlib.metadata import version

    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else []
    load = f"load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "load unknown"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{names[0] if names else platform.processor()}, {cores} cores, {load}, Python {platform.python_version()}, "
        f"torch {version('torch')}"
    )


def gib(n_bytes: float) -> str:
    """Bytes for a table."""
    return f"{n_bytes / 2**30:.2f} GiB" if n_bytes else "-"


def seconds_of(done: Sequence[Done]) -> list[float]:
    """The seconds of processes."""
    return [one.seconds for one in done]
