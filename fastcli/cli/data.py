"""`fastcli data`: look at data before training: faults, figures, known data sets, pictures from the web, pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.cli.config import Overrides
from fastcli.cli.console import example
from fastcli.cli.data_sets import get, list_known
from fastcli.cli.data_stats import stats
from fastcli.cli.pixels import pixels
from fastcli.cli.samples import Given, counting, samples_of
from fastcli.cli.search import search
from fastcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastcli.survey.check import Report
    from fastcli.survey.findings import Finding

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at data, and get it.")

app.command(epilog=example("fastcli data stats path/to/photos"))(stats)
app.command("list", epilog=example("fastcli data list imagenet"))(list_known)
app.command(epilog=example("fastcli data get MNIST_SAMPLE"))(get)
app.command(epilog=example('fastcli data search "grizzly bear" -n 150 -o data/bears/grizzly'))(search)
app.command(epilog=example("fastcli data pixels image.png --rows 7:20 --cols 7:20"))(pixels)

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
NAMED = 3
"""Entries of a finding that are named on the screen, without -v."""


@app.command(epilog=example("fastcli data check path/to/photos -o faults.html"))
def check(
    source: Given,
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="HTML page to write, with pictures.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that decode.")] = None,
) -> None:
    """Decode every picture and find what is wrong: corrupt files, duplicates across splits, odd labels and more.

    Errors stop a training or falsify its figures; with one of them the exit code is 3. Warnings deserve a look.
    """
    from fastcli.survey.check import check as run_check

    samples, limits = samples_of(source, overrides or ())
    with counting("decoding", len(samples)) as progress:
        report = run_check(samples, workers=workers, progress=progress, **limits)
    if output is not None:
        _write_page(report, source, output)
    if console.state.json:
        console.document(report.as_data())
    else:
        _show(report)
    if report.tally["error"]:
        raise typer.Exit(DataError.exit_code)


def _write_page(report: Report, source: str, output: Path) -> None:
    from fastcli.run.files import atomic_write, make_directory
    from fastcli.survey.page import page

    make_directory(output.parent)
    atomic_write(output, page(report, source))
    console.say(f"wrote {output}")


def _show(report: Report) -> None:
    from fastcli.survey.page import overview

    rich = console.rich_output()
    if rich is None:
        for finding in report.findings:
            console.data(f"{finding.severity}: {finding.what} ({finding.count:,})")
            for line in _lines(finding):
                console.data(f"  {line}")
    elif report.findings:
        rich.print(_table(report.findings))
    console.data(overview(report))


def _lines(finding: Finding) -> Iterator[str]:
    """The entries that are named, how many more there are, and the hint."""
    from fastcli.survey.layout import printable

    most = finding.count if console.state.verbose else NAMED
    yield from (printable(str(entry)) for entry in finding.entries[:most] if str(entry))
    if finding.count > most:
        yield f"… {finding.count - most:,} more (-v)"
    if finding.hint:
        yield f"-> {finding.hint}"


def _table(findings: Sequence[Finding]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 1, 0))
    for finding in findings:
        words = Text(f"{finding.what}\n", style="bold")
        words.append("\n".join(_lines(finding)), style="not bold")
        table.add_row(Text(finding.severity, style=COLOURS[finding.severity]), Text(f"{finding.count:,}"), words)
    return table
