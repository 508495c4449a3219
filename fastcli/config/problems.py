"""Mistakes in a configuration: collected, sorted by place, and shown with the lines they are in."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastcli.config.marks import COMMAND_LINE, Place
from fastcli.errors import ConfigError

WIDEST = 100
"""Characters of a source line that are shown; longer ones are cut around the mistake."""
LONGEST = 600
"""Characters of a message that are shown."""
MOST = 100
"""Mistakes after which reading stops: to look for what each of a million keys was meant to be takes hours."""


@dataclass(frozen=True)
class Problem:
    """One mistake: where, what, and what to do about it."""

    place: Place
    message: str
    hint: str | None = None
    key: str | None = None
    """The dotted key that it is about."""


class InvalidConfigError(ConfigError):
    """All mistakes of a configuration; its text is the whole block that a person reads."""

    def __init__(self, problems: Iterable[Problem], sources: dict[str, list[str]]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(render(self.problems, sources), key=first.key)


class Problems:
    """Collects mistakes while a configuration is read, and the lines of every file that was read."""

    def __init__(self) -> None:
        self.sources: dict[str, list[str]] = {}
        self._found: list[Problem] = []

    def add(self, place: Place, message: str, hint: str | None = None, key: str | None = None) -> None:
        """Note one mistake. Raises `error()` when there are `MOST`."""
        self._found.append(Problem(place, _cut(message), hint and _cut(hint), key))
        self._stop_at_most()

    def error(self) -> InvalidConfigError:
        """The error of all mistakes, those of the first file first, the command line's last; there is at least one."""
        return InvalidConfigError(sorted(dict.fromkeys(self._found), key=self._order), self.sources)

    def raise_if_any(self) -> None:
        """Raise `error()` if there is a mistake."""
        if self._found:
            raise self.error()

    def _order(self, problem: Problem) -> tuple[int, int, int]:
        place = problem.place
        files = [file for file in self.sources if file != COMMAND_LINE]
        file = files.index(place.file) if place.file in files else len(files) * (place.file == COMMAND_LINE)
        return file, place.line, place.column

    def take(self, other: Problems) -> None:
        """Add the mistakes that another collection found."""
        self._found.extend(other)
        self._stop_at_most()

    def _stop_at_most(self) -> None:
        if len(self._found) >= MOST:
            raise self.error()

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)


def render(problems: Iterable[Problem], sources: dict[str, list[str]]) -> str:
    """The block a person reads: each mistake with its lines, then how many there are."""
    blocks = [_render_one(problem, sources.get(problem.place.file, [])) for problem in problems]
    more = " or more" if len(blocks) >= MOST else ""
    count = f"{len(blocks)}{more} error{'s' if len(blocks) > 1 else ''}; nothing was run"
    return "\n".join([*blocks, count])


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _render_one(problem: Problem, lines: list[str]) -> str:
    place = problem.place
    at = place.file if place.file == COMMAND_LINE or not place.line else f"{place.file}:{place.line}:{place.column}"
    head = f"{at}: error: {problem.message}"
    if not 0 < place.line <= len(lines):
        return head if problem.hint is None else f"{head}\n  hint: {problem.hint}"
    return "\n".join([head, *_excerpt(place, lines, problem.hint)])


def _excerpt(place: Place, lines: list[str], hint: str | None) -> list[str]:
    """The line of the mistake, the line before it, and carets with the hint below."""
    line, column = _window(_printable(lines[place.line - 1]), place.column)
    before, under = line[: column - 1], line[column - 1 :][: place.width]
    carets = " " * _cells(before) + "^" * max(1, _cells(under))
    below = f"      | {carets} {hint or ''}".rstrip()
    if place.file == COMMAND_LINE:
        return [f"      | {line}", below]
    shown = [f"{place.line:5} | {line}".rstrip(), below]
    if place.line > 1:
        previous, _ = _window(_printable(lines[place.line - 2]), 1)
        shown.insert(0, f"{place.line - 1:5} | {previous}".rstrip())
    return shown


def _window(line: str, column: int) -> tuple[str, int]:
    """A long line cut around `column`, with the column in what is left.

    >>> _window("short", 3)
    ('short', 3)
    """
    if len(line) <= WIDEST:
        return line, column
    start = max(0, min(column - WIDEST // 2, len(line) - WIDEST))
    cut = ("…" if start else "") + line[start : start + WIDEST] + ("…" if start + WIDEST < len(line) else "")
    return cut, column - start + bool(start)


def _printable(line: str) -> str:
    """The line with tabs as single blanks and control characters made visible, each one character wide."""
    return "".join(" " if char == "\t" else char if char.isprintable() else "�" for char in line)


def _cells(text: str) -> int:
    """How many columns of a terminal the text takes.

    >>> _cells("abc"), _cells("猫")
    (3, 2)
    """
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
