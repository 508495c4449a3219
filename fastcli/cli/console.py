"""What a command shows: words for people on stderr, data on stdout, as the global options ask.

The options are kept here, in one small `State`, so that a command need not hand them on.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from fastcli.errors import FastcliError

if TYPE_CHECKING:
    from rich.console import Console

    from fastcli.config.trust import Trust

CLOSED_PIPE = 141
"""Exit code when the reader of our output went away, as of a program that SIGPIPE ended."""


@dataclass
class State:
    """The global options."""

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    plain: bool = False
    trust_plugins: bool = False


state = State()


def reset() -> None:
    """Forget the options of an earlier command in this process."""
    vars(state).update(vars(State()))


def say(text: str) -> None:
    """Words for a person, on stderr; nothing when quiet."""
    if not state.quiet:
        _write(sys.stderr, text)


def trust() -> Trust:
    """What `--trust-plugins` allows, told on stderr."""
    from fastcli.config.trust import Trust

    return Trust(state.trust_plugins, say)


def data(text: str) -> None:
    """What was asked for, on stdout."""
    _write(sys.stdout, text)


def document(value: Any) -> None:
    """One JSON document on stdout."""
    data(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def fail(error: FastcliError) -> int:
    """Show an error, on stderr and with --json also as a document on stdout; returns the exit code."""
    problems = getattr(error, "problems", ())
    if problems:
        complain(_colour_errors(error.message))
    else:
        complain(f"{_red('error:')} {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
    if state.json:
        document({"error": _as_data(error, problems)})
    return error.exit_code


def fail_unexpected(error: BaseException) -> int:
    """Show an error that is a bug of ours or of a plugin, with the traceback when verbose; returns the exit code."""
    plugins = sys.modules.get("fastcli.config.plugins")  # not imported here: there may be other things wrong
    place = plugins.at_fault(error) if plugins is not None else None
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    if state.verbose:
        complain("".join(traceback.format_exception(error)).rstrip())
    where = f"{_red('error:')} {place}: " if place else f"{_red('bug in fastcli:')} "
    complain(where + what + ("" if state.verbose else " (-v shows the traceback)"))
    if state.json:
        message = f"{place}: {what}" if place else what
        document({"error": {"kind": "plugin" if place else "bug", "message": message, "hint": None, "exit_code": 1}})
    return 1


def complain(text: str) -> None:
    """An error's words on stderr, also when quiet."""
    _write(sys.stderr, text)


def on_terminal() -> bool:
    """Whether stderr is a terminal that may be drawn on: bars, tables that refresh."""
    return not state.plain and not state.json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def rich_console() -> Console | None:
    """Rich's console on stderr, or None where text must stay plain. Rich is only imported on a terminal."""
    if not on_terminal():
        return None
    from rich.console import Console

    return Console(stderr=True)  # obeys NO_COLOR by itself


def rich_output() -> Console | None:
    """Rich's console on stdout, for tables that were asked for; None where they must be plain."""
    if not on_terminal() or not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console()


def example(command: str) -> str:
    """The last line of a command's help."""
    return f"Example: {command}"


def tolerate_any_text() -> None:
    """Let stdout and stderr replace what their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what is buffered; a reader that went away is noticed here."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _end_quietly()


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        _end_quietly()


def _end_quietly() -> None:
    """Exit without another attempt to write to the closed pipe when Python shuts down."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    raise SystemExit(CLOSED_PIPE)


def _red(text: str) -> str:
    """The text in red where colours are shown and NO_COLOR does not forbid them."""
    return f"\x1b[1;31m{text}\x1b[0m" if on_terminal() and not os.environ.get("NO_COLOR") else text


def _colour_errors(block: str) -> str:
    return "\n".join(
        line.replace("error:", _red("error:"), 1) if ": error: " in line else line for line in block.split("\n")
    )


def _as_data(error: FastcliError, problems: Any) -> dict[str, Any]:
    count = f"{len(problems)} error{'s' if len(problems) != 1 else ''} in the configuration"
    described: dict[str, Any] = {
        "kind": "ConfigError" if problems else type(error).__name__,
        "message": count if problems else error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    if problems:
        described["problems"] = [
            {
                "file": one.place.file,
                "line": one.place.line or None,
                "column": one.place.column or None,
                "key": one.key,
                "message": one.message,
                "hint": one.hint,
            }
            for one in problems
        ]
    return described
