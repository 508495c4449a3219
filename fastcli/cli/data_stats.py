"""`fastcli data stats`: what a data set consists of, in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastcli.cli import console
from fastcli.cli.config import Overrides
from fastcli.cli.samples import Given, counting, samples_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastcli.survey.stats import Stats


def stats(
    source: Given,
    overrides: Overrides = None,
    sample: Annotated[int, typer.Option(min=1, help="Training pictures to decode for mean and deviation.")] = 1024,
) -> None:
    """Count pictures per class and split; sizes, kinds of files, mean and deviation of the colours."""
    from fastcli.survey.stats import stats_of

    samples, limits = samples_of(source, overrides or ())
    limits.pop("lenient", None)
    with counting("looking", len(samples)) as progress:
        found = stats_of(samples, sample=sample, progress=progress, **limits)
    if console.state.json:
        console.document(found.as_data())
    else:
        _show(found)


def _show(found: Stats) -> None:
    from fastcli.cli.run_words import size

    samples = found.samples
    console.data(f"{len(samples):,} pictures · {size(found.n_bytes)} · {samples.size('train'):,} train, "
                 f"{samples.size('valid'):,} validate")  # fmt: skip
    if samples.classes:
        _show_classes(found)
    for name, values in (("width", found.widths), ("height", found.heights)):
        if values:
            console.data(f"{name:8} {values[2]:,} in the middle, half are {values[1]:,} to {values[3]:,}, "
                         f"all {values[0]:,} to {values[4]:,}")  # fmt: skip
    console.data(f"files    {_counts(found.formats)} · {_counts(found.modes)}")
    if found.mean is not None and found.std is not None:
        numbers = [", ".join(f"{value:.3f}" for value in values) for values in (found.mean, found.std)]
        console.data(f"colours  mean [{numbers[0]}], std [{numbers[1]}] of {found.looked_at:,} training pictures")
    if found.unreadable:
        console.data(f"unread   {len(found.unreadable):,}, the first: {found.unreadable[0]} (fastcli data check)")


def _show_classes(found: Stats) -> None:
    from fastcli.cli import tables

    counts = {side: found.samples.counts(side) for side in ("train", "valid")}
    whole = sum(found.samples.counts().values())
    columns = [tables.Column("class"), *(tables.Column(head, right=True) for head in ("train", "valid", "share"))]
    rows = []
    for name in found.samples.classes:
        train, valid = counts["train"][name], counts["valid"][name]
        rows.append([name, f"{train:,}", f"{valid:,}", f"{(train + valid) / whole:.1%}"])
    tables.show(columns, rows)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1])) or "none"
