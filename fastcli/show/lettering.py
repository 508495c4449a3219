"""Text in any script, drawn without a missing glyph."""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

BASE_FONT = "DejaVu Sans"
"""Comes with matplotlib, so a figure is the same on every machine."""
NO_GLYPH = "\u25a1"


def text(words: str, name: str = "label") -> dict[str, Any]:
    """Keyword arguments with which matplotlib draws `words` as they are; `name` is the one that takes the words."""
    clean, families = drawable(words)
    return {name: clean, "fontfamily": families, "parse_math": False}


def drawable(words: str) -> tuple[str, list[str]]:
    """`words` on one line, with a box for what no installed font has, and the fonts that draw it."""
    words = unicodedata.normalize("NFC", " ".join(words.split()))
    words = "".join(c for c in words if unicodedata.category(c) not in ("Cc", "Cf") and c not in "\ufe0e\ufe0f")
    fonts = {c: font_with(c) for c in set(words)}
    families = dict.fromkeys([BASE_FONT, *(fonts[c] or BASE_FONT for c in words)])
    return "".join(c if fonts[c] else NO_GLYPH for c in words), list(families)


@functools.cache
def font_with(character: str) -> str | None:
    """The family of an installed font that has `character`, matplotlib's own first; None where there is none."""
    for family, path in _fonts():
        face = _face(path)
        if face is not None and face.get_char_index(ord(character)):
            return family
    return None


@functools.cache
def _fonts() -> list[tuple[str, str]]:
    """Family and file of the installed upright fonts: matplotlib's own, then those made for many scripts."""
    from matplotlib.font_manager import fontManager

    def rank(entry: Any) -> tuple[bool, bool, str]:
        wide = any(word in entry.name for word in ("CJK", "Unicode", "Noto Sans", "PingFang", "YaHei", "Hiragino"))
        return entry.name != BASE_FONT, not wide, entry.name

    regular = [entry for entry in fontManager.ttflist if entry.style == "normal" and entry.weight in (400, "normal")]
    files = {entry.name: entry.fname for entry in sorted(regular, key=rank, reverse=True)}
    unreal = ("Last Resort", "STIXNonUnicode")  # boxes for every letter, and letters at private numbers
    return [(name, path) for name, path in reversed(files.items()) if not name.startswith(unreal)]


@functools.cache
def _face(path: str) -> Any:
    from matplotlib.font_manager import get_font

    try:
        return get_font(path)
    except (OSError, RuntimeError):  # a font of pictures, or a file that is gone
        return None
