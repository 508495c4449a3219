"""Names of classes that may be two spellings of one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import combinations

LEAST_LETTERS = 5
"""Shorter names that differ in one letter (cat, bat) are no mistake."""


def spelt_alike(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Pairs of names, and how they differ.

    >>> spelt_alike(["Cat", "cat", "grizzly bear", "grizzly_bears", "teddy", "tedy", "3", "8"])
    [('Cat', 'cat', 'case'), ('grizzly bear', 'grizzly_bears', 'plural'), ('teddy', 'tedy', 'one letter')]
    """
    found = []
    plain = {name: _plain(name) for name in names}
    for first, second in combinations(names, 2):
        if why := _difference(first, second, plain[first], plain[second]):
            found.append((first, second, why))
    return found


def _plain(name: str) -> str:
    """Without case, accents' composition, and what stands between words."""
    return re.sub(r"[\s_.-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()


def _difference(first: str, second: str, a: str, b: str) -> str | None:
    if a == b:
        if unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second):
            return "the same letters in other bytes"
        return "case" if first.casefold() == second.casefold() else "blanks, case or marks between words"
    if abs(len(a) - len(b)) > 2:
        return None
    shorter, longer = sorted((a, b), key=len)
    if longer in (f"{shorter}s", f"{shorter}es") or (shorter.endswith("y") and longer == f"{shorter[:-1]}ies"):
        return "plural"
    return "one letter" if len(longer) >= LEAST_LETTERS and _one_edit(shorter, longer) else None


def _one_edit(shorter: str, longer: str) -> bool:
    """Whether one letter more, or one other letter that is no digit, is all the difference.

    >>> _one_edit("tedy", "teddy"), _one_edit("class 1", "class 2"), _one_edit("black", "block")
    (True, False, True)
    """
    if len(longer) - len(shorter) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(shorter, longer, strict=False)) if x != y), len(shorter))
    letter = longer[start]
    rest = shorter[start + (len(longer) == len(shorter)) :]
    return rest == longer[start + 1 :] and not letter.isdigit() and not shorter[start : start + 1].isdigit()
