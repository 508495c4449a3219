"""Pictures in a terminal that can show them: kitty's and iTerm2's protocols, of which others speak one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Literal

Protocol = Literal["kitty", "iterm2"]
CHUNK = 4096
"""Most letters of one kitty command."""
CAPABLE = "kitty, Ghostty, WezTerm, iTerm2 and Konsole"


def protocol(environment: Mapping[str, str]) -> Protocol | None:
    """How the terminal of this environment takes pictures; None for one that does not, or is behind tmux or screen.

    >>> protocol({"TERM": "xterm-kitty"}), protocol({"TERM_PROGRAM": "iTerm.app"}), protocol({"TERM": "xterm"})
    ('kitty', 'iterm2', None)
    """
    if environment.get("TMUX") or environment.get("STY"):
        return None
    program = environment.get("TERM_PROGRAM", "") or environment.get("LC_TERMINAL", "")
    if environment.get("KITTY_WINDOW_ID") or environment.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("ghostty", "WezTerm") or environment.get("KONSOLE_VERSION"):
        return "kitty"
    return "iterm2" if program in ("iTerm.app", "iTerm2") else None


def escapes(png: bytes, how: Protocol) -> str:
    """What a terminal is told to show the picture.

    >>> escapes(b"png", "iterm2")
    '\\x1b]1337;File=inline=1;size=3:cG5n\\x07'
    """
    content = base64.b64encode(png).decode()
    if how == "iterm2":
        return f"\x1b]1337;File=inline=1;size={len(png)}:{content}\x07"
    chunks = [content[start : start + CHUNK] for start in range(0, len(content), CHUNK)]
    parts = []
    for k, chunk in enumerate(chunks):
        first = "a=T,f=100," if k == 0 else ""
        parts.append(f"\x1b_G{first}m={int(k < len(chunks) - 1)};{chunk}\x1b\\")
    return "".join(parts)
