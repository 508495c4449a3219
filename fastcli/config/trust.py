"""Whose code may run: plugins that a person's own file names, and of those that a run names the ones known to be good.

A configuration that a person writes may name any Python file. A run may come from somebody else, so a plugin named by a
file in a run is imported only when this person has trained with the very same file on this machine, or says so with
`--trust-plugins`. What counts is the content: `FASTCLI_HOME/trusted` holds a file for each SHA-256. Rejected: trust by
place or by owner, which anything unpacked from an archive would have.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastcli.errors import FastcliError
from fastcli.run.files import atomic_write, make_directory, read_json
from fastcli.run.find import is_run

RESOLVED = "config.resolved.yaml"
OPTION = "--trust-plugins"


def _nobody(text: str) -> None:
    """Where a library calls, there is nobody to tell."""


@dataclass(frozen=True)
class Trust:
    """What a person allows, and how a line is told before code of a run is imported."""

    all_plugins: bool = False
    tell: Callable[[str], None] = _nobody

    def refusal(self, plugin: Path, digest: str, named_by: str) -> tuple[str, str] | None:
        """Why `plugin`, which the file `named_by` names, may not be imported, and what to do; None where it may."""
        if not in_run(named_by):
            return None
        known, changed = is_known(digest), _changed(plugin, digest, named_by)
        since = "it has changed since the run was trained" if changed else "it has not been trained with here"
        if not known and not self.all_plugins:
            hint = f"look into it, then import it with {OPTION}, which remembers it as long as it stays the same"
            return f"a run would import the code in {plugin}: {since}", hint
        if not known:
            self.tell(f"importing {plugin}, named by {named_by} ({OPTION}): {since}")
            remember({str(plugin): digest})
        elif changed:
            self.tell(f"warning: {plugin} {since.removeprefix('it ')}")
        return None


def digest_of(content: bytes) -> str:
    """The SHA-256 of a plugin, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def in_run(file: str) -> bool:
    """Whether a file is part of a run, also where a link leads to it."""
    path = Path(os.path.realpath(file))
    return path.name == RESOLVED or is_run(path.parent)


def is_known(digest: str) -> bool:
    """Whether this person has trained with, or trusted, a plugin of this SHA-256."""
    try:
        state = _entry(digest).lstat()
    except OSError:
        return False
    return not hasattr(os, "getuid") or state.st_uid == os.getuid()  # the folder may be shared


def remember(plugins: Mapping[str, str]) -> None:
    """Keep the SHA-256 of plugins (by path) that this person trains with; where that fails, it is asked again."""
    for path, digest in plugins.items():
        if not is_known(digest):
            with suppress(FastcliError):
                make_directory(_entry(digest).parent)
                atomic_write(_entry(digest), f"{path}\n")


def _entry(digest: str) -> Path:
    from fastcli.data.download import home

    user = os.getuid() if hasattr(os, "getuid") else "user"
    return home() / "trusted" / f"{digest}.{user}"


def _changed(plugin: Path, digest: str, named_by: str) -> bool:
    """Whether the run says that it was trained with another content of this plugin."""
    environment: Any = {}
    with suppress(FastcliError):
        environment = read_json(Path(named_by).parent / "environment.json")
    recorded = environment.get("plugins") if isinstance(environment, dict) else None
    return isinstance(recorded, dict) and recorded.get(str(plugin), digest) != digest
