"""`fastcli data`: look at data before training: faults, figures, known data sets, pictures from the web, pixels."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.cli.console import example
from fastcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastcli.survey.check import Report
    from fastcli.survey.findings import Finding
    from fastcli.survey.samples import Samples

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at data, and get it.")

Given = Annotated[str, typer.Argument(metavar="SOURCE|CONFIG", help="A folder, CSV, known data set, … or a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Of CONFIG: values to use.")]
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

    samples, limits = _samples(source, overrides or ())
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


def _samples(source: str, overrides: Sequence[str]) -> tuple[Samples, dict[str, Any]]:
    """The pictures that a configuration or a source means, and how training reads them."""
    from fastcli.cli.downloads import show_progress
    from fastcli.data.download import resolve_source
    from fastcli.survey.samples import find_samples

    if source.lower().endswith((".yaml", ".yml")):
        return _samples_of_config(source, overrides)
    if overrides:
        raise typer.BadParameter(f"{overrides[0]}: only a YAML file takes KEY=VALUE")
    with show_progress() as progress:
        found = resolve_source(source, progress=progress)
    return find_samples(found, **_arrangement(found.path)), {}


def _arrangement(path: Path) -> dict[str, Any]:
    """The labels and the split that a folder suggests; none where it suggests none."""
    from fastcli.survey.recognise import recognise

    try:
        layout = recognise(path)
    except DataError as error:
        if not error.message.startswith("cannot tell"):
            raise
        console.say(f"{error.message}: looking at files alone")
        return {"target": "unlabelled"}
    console.say(layout.words)
    return {"items": layout.items, "label": layout.label, "split": layout.split, "target": layout.target}


def _samples_of_config(path: str, overrides: Sequence[str]) -> tuple[Samples, dict[str, Any]]:
    from fastcli.cli.downloads import show_progress
    from fastcli.config.load import load
    from fastcli.data.download import resolve_source
    from fastcli.survey.samples import find_samples

    loaded = load(path, overrides, trust=console.trust())
    data = loaded.config.data
    with show_progress() as progress:
        source = resolve_source(data.source, progress=progress)
    chosen = {key: None if part is None else {"name": part.name, **part.params}
              for key, part in (("items", data.items), ("label", data.label), ("split", data.split))}  # fmt: skip
    samples = find_samples(source, **chosen, target=data.target.name, seed=loaded.config.experiment.seed)
    return samples, {"max_pixels": data.max_pixels, "lenient": data.on_bad_image == "skip"}


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


@contextlib.contextmanager
def counting(words: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A function of how many are done that draws a bar on stderr; None where bars are not shown."""
    rich = None if console.state.quiet else console.rich_console()
    if rich is None:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=rich, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
