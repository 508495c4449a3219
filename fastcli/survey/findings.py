"""What was found in a data set: findings of three severities, each with the files that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Entry(NamedTuple):
    """Files, relative to the data's folder, that belong together, and what is to be said of them."""

    files: tuple[str, ...]
    detail: str = ""
    splits: tuple[str, ...] = ()
    """Of each file, where that is to be told."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files as they are told, followed by their splits.

        >>> Entry(("a.jpg", "b.jpg"), splits=("train", "valid")).names
        ('a.jpg (train)', 'b.jpg (valid)')
        """
        if not self.splits:
            return self.files
        return tuple(f"{file} ({split})" for file, split in zip(self.files, self.splits, strict=True))

    def __str__(self) -> str:
        named = " = ".join(self.names)
        return f"{named}: {self.detail}" if named and self.detail else named or self.detail


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found, everywhere it was found."""

    severity: Severity
    kind: str
    what: str
    entries: tuple[Entry, ...] = ()
    hint: str = ""

    @property
    def count(self) -> int:
        """How many places it was found in."""
        return len(self.entries)

    def as_data(self) -> dict[str, Any]:
        """It as plain data."""
        entries = [{"files": list(entry.names), "detail": entry.detail} for entry in self.entries]
        return {"severity": self.severity, "kind": self.kind, "what": self.what, "hint": self.hint, "entries": entries}


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def tally(findings: Sequence[Finding]) -> dict[Severity, int]:
    """How many kinds of errors, warnings and notes there are."""
    return {severity: sum(f.severity == severity for f in findings) for severity in SEVERITIES}
