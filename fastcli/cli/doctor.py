"""`fastcli doctor`: what this machine offers to a training, and what to do where it falls short."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fastcli.cli import console
from fastcli.cli.run_words import RUNS, Folder, count

if TYPE_CHECKING:
    from fastcli.deploy.diagnosis import Finding

LEVEL, TOPIC = 8, 14
COLOURS = {"ok": "32", "warning": "33", "error": "1;31"}


def doctor(
    network: Annotated[bool, typer.Option("--network", help="Also try to reach the Hub of the weights.")] = False,
    output: Folder = RUNS,
) -> None:
    """Look at versions, device, memory, disks and caches; exit code 1 where no training is possible."""
    from fastcli.deploy.diagnosis import diagnose

    found = []
    for finding in diagnose(output, network=network):
        found.append(finding)
        if not console.state.json:
            _show(finding)
    warnings, errors = (sum(one.level == level for one in found) for level in ("warning", "error"))
    if console.state.json:
        console.document({"ok": not errors, "findings": [asdict(one) for one in found]})
    many = [count(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    console.say(
        f"{', '.join(many) or 'all is well'}; {'no training is possible' if errors else 'training is possible'}"
    )
    if errors:
        raise typer.Exit(1)


def _show(finding: Finding) -> None:
    """The finding in lines that the terminal has room for, its advice below."""
    from fastcli.cli.tables import coloured, terminal_width

    width = terminal_width()
    indent = " " * (LEVEL + TOPIC + 2)
    words = [finding.text, *([f"→ {finding.advice}"] if finding.advice else [])]
    wrapped = [
        line for text in words for line in (textwrap.wrap(text, max(24, width - len(indent))) if width else [text])
    ]
    head = f"{finding.level:{LEVEL}} {finding.topic:{TOPIC}} "
    if coloured():
        head = head.replace(finding.level, f"\x1b[{COLOURS[finding.level]}m{finding.level}\x1b[0m", 1)
    console.data("\n".join([head + wrapped[0], *(indent + line for line in wrapped[1:])]))
