"""The numbers that a picture is made of: grey values as a grid, in a terminal or on a page."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcli.errors import UsageError
from fastcli.transforms.reading import flat, read_picture, upright

MOST = 400
"""Rows or columns that are shown at once at most."""
MIDDLE = 20
"""Rows and columns from the middle of a picture that is too large to show whole."""
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636e; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); padding: 24px }
h1 { font-size: 20px; margin: 0 } p { color: var(--dim); margin: 0 0 16px }
table { border-collapse: collapse; font: 11px/1 ui-monospace, monospace }
td { width: 30px; height: 24px; text-align: center } th { color: var(--dim); font-weight: normal; padding: 4px 8px }
"""
Greys = NDArray[np.uint8]


def greys_of(path: Path) -> Greys:
    """The picture's greys, (height, width), upright, 0 black to 255 white. Raises DataError."""
    return read_picture(path, lambda picture: np.asarray(flat(upright(picture)).convert("L")))


def span(words: str | None, size: int, what: str) -> range:
    """The places that `7:20`, `:20`, `7:` or `7` means; all of them, or the middle of many, where nothing is said.

    >>> span("7:20", 28, "rows"), span("3", 28, "rows"), span(None, 28, "rows"), span(None, 500, "rows")
    (range(7, 20), range(3, 4), range(0, 28), range(240, 260))
    """
    if words is None:
        half = (size - MIDDLE) // 2
        return range(size) if size <= 2 * MIDDLE else range(half, half + MIDDLE)
    found = re.fullmatch(r"\s*(-?\d*)\s*(:?)\s*(-?\d*)\s*", words)
    numbers = [found[1], found[3]] if found else []
    if found is None or "-" in numbers or not (found[1] or found[2]):
        raise UsageError(f"--{what} {words!r} is no range", hint=f"such as --{what} 7:20")
    first, last = (int(number) if number else None for number in numbers)
    chosen = range(size)[slice(first, last)] if found[2] else range(size)[slice(first, (first or 0) + 1)]
    if not len(chosen):
        raise UsageError(f"--{what} {words} is outside of the picture", hint=f"it has {size} {what}, from 0")
    if len(chosen) > MOST:
        raise UsageError(f"--{what} {words} are {len(chosen)}, and {MOST} are shown at most")
    return chosen


def part(greys: Greys, rows: range, columns: range) -> Greys:
    """The values in these rows and columns."""
    return greys[rows.start : rows.stop, columns.start : columns.stop]


def in_words(values: Greys, rows: range, columns: range) -> str:
    """The numbers alone, in columns, rows and columns numbered.

    >>> print(in_words(np.array([[0, 255], [7, 80]], np.uint8), range(3, 5), range(9, 11)))
           9  10
    3      0 255
    4      7  80
    """
    lines = [f"{'':4}" + "".join(f"{column:4}" for column in columns)]
    lines += [f"{row:<4}" + "".join(f"{value:4}" for value in line)
              for row, line in zip(rows, values.tolist(), strict=True)]  # fmt: skip
    return "\n".join(lines)


def in_colour(values: Greys, rows: range, columns: range, *, true_colour: bool = True) -> str:
    """The numbers on their own greys, by the codes of terminals.

    >>> in_colour(np.array([[250]], np.uint8), range(0, 1), range(0, 1)).splitlines()[1]
    '0   \\x1b[48;2;250;250;250m\\x1b[38;5;16m 250\\x1b[0m'
    """
    lines = [f"{'':4}" + "".join(f"{column:4}" for column in columns)]
    for row, line in zip(rows, values.tolist(), strict=True):
        lines.append(f"{row:<4}" + "".join(_cell(value, true_colour) for value in line) + "\x1b[0m")
    return "\n".join(lines)


def _cell(value: int, true_colour: bool) -> str:
    ground = f"48;2;{value};{value};{value}" if true_colour else f"48;5;{232 + value * 23 // 255}"
    return f"\x1b[{ground}m\x1b[38;5;{16 if value > 127 else 231}m{value:4}"


def page(values: Greys, rows: range, columns: range, title: str) -> str:
    """The grid as one HTML page; no script, no other files."""
    head = "<tr><th></th>" + "".join(f"<th>{column}</th>" for column in columns) + "</tr>"
    body = "".join(
        f"<tr><th>{row}</th>" + "".join(_html_cell(value) for value in line) + "</tr>\n"
        for row, line in zip(rows, values.tolist(), strict=True)
    )
    words = f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}; 0 black, 255 white"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{words}</p>\n"
        f"<table>{head}\n{body}</table></body></html>\n"
    )


def _html_cell(value: int) -> str:
    ink = "#000" if value > 127 else "#fff"
    return f'<td style="background:#{value:02x}{value:02x}{value:02x};color:{ink}">{value}</td>'
