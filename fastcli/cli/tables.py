"""Tables on stdout: fitted to a terminal, the least needed columns left out first; whole and plain where piped."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fastcli.cli import console

GAP = 2
EMPTY = "-"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Column:
    """A column: its head and how it behaves where there is little room."""

    head: str
    right: bool = False
    """Numbers end at one edge."""
    order: int = 0
    """Of the columns that may be left out the one with the highest goes first; 0 never."""
    least: int | None = None
    """Cells may be cut to so many characters; None: never cut."""
    style: str | Callable[[str], str] = ""
    """The cells' style in Rich's words, or what gives it for a cell."""


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows under their heads on stdout."""
    width = terminal_width()
    rows = [[_clean(cell) for cell in row] for row in rows]
    if width is None:
        console.data(plain(columns, rows))
    else:
        _print_fitted(columns, rows, width)


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None where it is none, or must stay plain."""
    if console.state.plain or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 80


def coloured() -> bool:
    """Whether stdout is a terminal that shows colours, and NO_COLOR does not forbid them."""
    return terminal_width() is not None and not os.environ.get("NO_COLOR")


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """All cells in full, in columns two blanks apart.

    >>> print(plain([Column("model"), Column("top-1", right=True)], [["resnet18", "73.16"], ["vit", "8.1"]]))
    model     top-1
    resnet18  73.16
    vit         8.1
    """
    lines = [[column.head for column in columns], *rows]
    widths = [max(cells(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        (" " * GAP)
        .join(_padded(text, width, column) for text, width, column in zip(line, widths, columns, strict=True))
        .rstrip()
        for line in lines
    )


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """Which columns there is room for, and how wide each of them is.

    >>> fitted([Column("run"), Column("note", order=1), Column("of", order=2, least=4)], [["a" * 20, "b" * 9, "c"]], 34)
    ([0, 1], [20, 9])
    """
    full = [max([cells(column.head), *(cells(row[i]) for row in rows)]) for i, column in enumerate(columns)]
    least = [
        min(wide, wide if c.least is None else max(c.least, cells(c.head)))
        for wide, c in zip(full, columns, strict=True)
    ]
    kept = list(range(len(columns)))
    for i in sorted((i for i in kept if columns[i].order), key=lambda i: -columns[i].order):
        if _needs(least, kept) > width:
            kept.remove(i)
    widths = {i: least[i] for i in kept}
    spare = width - _needs(least, kept)
    for i in sorted(kept, key=lambda i: full[i] - widths[i]):  # whole cells in as many columns as can be
        more = min(max(0, spare), full[i] - widths[i])
        widths[i] += more
        spare -= more
    return kept, [widths[i] for i in kept]


def _needs(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] for i in kept) + GAP * (len(kept) - 1)


def _print_fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    kept, widths = fitted(columns, rows, width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for i, wide in zip(kept, widths, strict=True):
        side: Literal["left", "right"] = "right" if columns[i].right else "left"
        table.add_column(Text(columns[i].head), justify=side, width=wide, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(row[i], style=_style(columns[i], row[i])) for i in kept))
    # Rich obeys NO_COLOR by itself.
    Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False).print(table)


def _style(column: Column, cell: str) -> str:
    return column.style(cell) if callable(column.style) else column.style


def cells(text: str) -> int:
    """How many places of a terminal a text takes.

    >>> cells("猫 a"), cells("é")
    (4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _padded(text: str, width: int, column: Column) -> str:
    blanks = " " * (width - cells(text))
    return blanks + text if column.right else text + blanks


def _clean(cell: str) -> str:
    """A cell on one line, without what could move a terminal's cursor.

    >>> _clean("a\\tb"), _clean("")
    ('a b', '-')
    """
    return CONTROL.sub(" ", cell) or EMPTY
