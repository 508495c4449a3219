"""Every error that fastcli raises on purpose, and the exit code a command ends with.

FastcliError                  1    failed while running
├── UsageError                2    the command line
├── ConfigError               2    the YAML, or a component named in it
├── DataError                 3    missing, corrupt, or of other classes
├── DeviceMemoryError         4    out of memory: says which numbers to lower
├── NonFiniteLossError        5    says step, learning rate and the batch's files
└── Stopped                   130  Ctrl-C, after a clean save
    └── Terminated            143  SIGTERM, after a clean save

An error has a message (what and where) and a hint (what to do). A traceback means a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class FastcliError(Exception):
    """Base of all errors that a user can act on.

    >>> raise FastcliError("cannot write runs/pets", hint="choose another experiment.output")
    Traceback (most recent call last):
    ...
    fastcli.errors.FastcliError: cannot write runs/pets
    hint: choose another experiment.output
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class UsageError(FastcliError):
    """The command line is wrong."""

    exit_code = 2


class ConfigError(FastcliError):
    """The YAML, or the name or a parameter of a component, is wrong.

    `key` is the dotted place in the configuration (`data.batch_size`), from which the line in the file is found.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key = key


class DataError(FastcliError):
    """Data is missing, corrupt, or has other classes than expected."""

    exit_code = 3


class DeviceMemoryError(FastcliError):
    """The device or the machine ran out of memory."""

    exit_code = 4


class NonFiniteLossError(FastcliError):
    """The loss became NaN or infinite."""

    exit_code = 5


class Stopped(FastcliError):  # noqa: N818 - an end, not a fault
    """The user interrupted; the run was saved first."""

    exit_code = 130


class Terminated(Stopped):
    """SIGTERM arrived; the run was saved first."""

    exit_code = 143


def did_you_mean(word: str, known: Iterable[str], *, limit: int = 8) -> str:
    """A hint that names the nearest known word, or else the known ones when they are few.

    >>> did_you_mean("adamm", ["adam", "sgd"])
    "did you mean 'adam'?"
    >>> did_you_mean("zzz", ["adam", "sgd"])
    'known: adam, sgd'
    """
    known = sorted(set(known))
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lowered, 1, 0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    return f"known: {first_few(known, limit)}"


def first_few(names: Sequence[object], most: int = 4) -> str:
    """The first names, and how many there are where that is more than `most`.

    >>> first_few(["adam", "lamb"]), first_few(["adam", "lamb", "lion"], 2)
    ('adam, lamb', 'adam, lamb, … (3 in all)')
    """
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
