"""Findings about single files: corrupt, tiny, huge, turned, odd colours, odd names."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median_low

import PIL.Image as Pillow

from fastcli.survey.examine import Facts
from fastcli.survey.findings import Entry, Finding, Severity

NameOf = Callable[[Path], str]
TINY, SMALLISH = 4, 32
"""Shorter sides in pixels: below the first always tiny, below the second where other pictures are much larger."""
HUGE = 50_000_000
MODES = {
    "1": "black and white", "L": "grey", "LA": "grey with alpha", "P": "palette", "PA": "palette with alpha",
    "RGBA": "alpha", "RGBa": "alpha", "CMYK": "CMYK", "YCbCr": "YCbCr", "LAB": "LAB", "HSV": "HSV",
    "I": "32-bit grey", "F": "floating-point grey",
}  # fmt: skip
NO_SUFFIX_OF = {"MPO": "JPEG"}
"""Formats that are another one with more in it."""


def file_faults(facts: Sequence[Facts], name_of: NameOf, *, lenient: bool = False) -> Iterator[Finding]:
    """The findings about single files; `lenient` where training leaves out what cannot be decoded."""
    severity: Severity = "warning" if lenient else "error"
    hint = "mend or remove them, or set data.on_bad_image: skip"
    yield from _some("corrupt", "cannot be decoded", severity, hint,
                     [Entry((name_of(f.path),), f.fault) for f in facts if f.fault])  # fmt: skip
    good = [f for f in facts if not f.fault]
    yield from _some("truncated", "JPEG without its end: the last rows may be grey", "warning", "look at them",
                     [Entry((name_of(f.path),)) for f in good if not f.ends])  # fmt: skip
    yield from _sizes(good, name_of)
    yield from _some("turned", "turned by EXIF; training turns them upright", "note", "",
                     [Entry((name_of(f.path),)) for f in good if f.turned])  # fmt: skip
    yield from _colours(good, name_of)
    yield from _some("frames", "several frames; the first is used", "note", "",
                     [Entry((name_of(f.path),), f"{f.frames} frames") for f in good if f.frames > 1])  # fmt: skip
    yield from _some("extension", "another format than the name says; read all the same", "note", "",
                     [Entry((name_of(f.path),), f"is {f.format}") for f in good if _misnamed(f)])  # fmt: skip
    yield from _names([name_of(f.path) for f in facts])


def _some(kind: str, what: str, severity: Severity, hint: str, entries: Sequence[Entry]) -> Iterator[Finding]:
    """The finding, if there is anything in it."""
    if entries:
        yield Finding(severity, kind, what, tuple(entries), hint)


def _sizes(good: Sequence[Facts], name_of: NameOf) -> Iterator[Finding]:
    if not good:
        return
    usual = median_low([min(f.size) for f in good])
    tiny = [f for f in good if min(f.size) < TINY or (min(f.size) < SMALLISH and min(f.size) * 4 < usual)]
    huge = [f for f in good if f.size[0] * f.size[1] > HUGE]
    yield from _some("tiny", f"tiny; the usual shorter side is {usual} pixels", "warning", "too small to learn from",
                     [Entry((name_of(f.path),), f"{f.size[0]} x {f.size[1]}") for f in tiny])  # fmt: skip
    yield from _some("huge", "huge: slow to decode", "warning", "make them smaller once",
                     [Entry((name_of(f.path),), f"{f.size[0]} x {f.size[1]}") for f in huge])  # fmt: skip


def _colours(good: Sequence[Facts], name_of: NameOf) -> Iterator[Finding]:
    """Modes that are not RGB; where all are of one mode that is how the data is, and a single line."""
    modes = Counter(f.mode for f in good)
    for mode, n in modes.most_common():
        words = MODES.get(mode, "16-bit grey" if mode.startswith("I;16") else mode)
        if mode == "RGB":
            continue
        if n == len(good) > 1:
            yield Finding("note", "colours", f"all pictures are {words}", (Entry((), f"{n:,} pictures"),),
                          "grey ones: data.input: image_bw" if mode == "L" else "")  # fmt: skip
            continue
        entries = tuple(Entry((name_of(f.path),)) for f in good if f.mode == mode)
        yield Finding("note", "colours", f"{words}; converted to RGB", entries)


def _misnamed(facts: Facts) -> bool:
    expected = Pillow.registered_extensions().get(facts.path.suffix.lower())
    return expected is not None and expected != NO_SUFFIX_OF.get(facts.format, facts.format)


def _names(names: Sequence[str]) -> Iterator[Finding]:
    entries = [Entry((name,), why) for name in names if (why := odd_name(name))]
    yield from _some("names", "names that work here and may not elsewhere", "note", "", entries)


def odd_name(name: str) -> str:
    """What about a file's path other tools may stumble over; "" for nothing.

    >>> odd_name("cat/1.jpg"), odd_name("big cat/1.jpg"), odd_name("caf\\u00e9/1.jpg"), odd_name("cafe\\u0301/a .jpg")
    ('', 'blanks', 'accents', 'blanks, accents as separate marks')
    """
    found = ["blanks"] if any(c.isspace() for c in name) else []
    if unicodedata.normalize("NFC", name) != name:
        found.append("accents as separate marks")
    elif not name.isascii():
        found.append("accents" if unicodedata.normalize("NFD", name) != name else "letters beyond ASCII")
    if any(not c.isprintable() and not c.isspace() for c in name):
        found.append("control characters")
    return ", ".join(found)
