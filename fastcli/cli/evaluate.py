"""`fastcli eval`: how good a trained model is on a labelled set, as figures, tables and one page to look at."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.errors import FastcliError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastcli.deploy.evaluate import Evaluator
    from fastcli.report.evaluation import Evaluation
    from fastcli.run.directory import Run


class Split(StrEnum):
    """The run's own splits."""

    valid = "valid"
    train = "train"


def evaluate(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run, else the newest.", autocompletion=complete.runs)
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Other data: folder, CSV, archive, known name. By class name.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Which of the run's own splits.")] = Split.valid,
    tta: Annotated[int, typer.Option(min=0, help="Augmented views to average per picture.")] = 0,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="FIGURE=BAR", help="Exit 1 where a figure is below its bar: accuracy=0.9. Repeatable."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder, instead of RUN/eval/….")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pictures at a time; else the training's.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; else the training's where it is here.")] = None,
) -> None:
    """Measure a trained run on its validation split or on other data; write tables, figures and report.html."""
    bars = bars_of(fail_under or ())
    if data is not None and split is Split.train:
        raise UsageError("--split is of the run's own data, and --data names other data", hint="give one of them")
    from fastcli.run.directory import Run

    opened = Run.open(run or "latest")
    if run is None:
        console.say(f"using {opened.shown}")
    evaluator = _evaluator(opened, data, split.value, batch_size, device)
    from fastcli.report.evaluation import below, check_bars

    check_bars(bars, evaluator.kind)
    evaluation = evaluator.evaluate(tta)
    folder = output or _folder(opened, data, split.value, tta)
    files = _write(opened, evaluator, evaluation, folder)
    missed = below(evaluation.figures, bars)
    _show(evaluation, folder, files, missed)
    if missed:
        console.complain("\n".join(missed))
        raise typer.Exit(FastcliError.exit_code)


def bars_of(given: Sequence[str]) -> dict[str, float]:
    """The bars by the names of figures. Raises UsageError for what is no FIGURE=NUMBER.

    >>> bars_of(["accuracy=0.9"])
    {'accuracy': 0.9}
    """
    bars = {}
    for word in given:
        name, _, bar = word.partition("=")
        try:
            bars[name.strip()] = float(bar)
        except ValueError:
            raise UsageError(f"--fail-under {word!r} is no FIGURE=NUMBER", hint="--fail-under accuracy=0.9") from None
    return bars


def _evaluator(run: Run, data: str | None, split: Any, batch_size: int | None, device: str | None) -> Evaluator:
    from fastcli.cli.downloads import show_progress
    from fastcli.deploy.evaluate import open_evaluator

    with show_progress() as progress:
        return open_evaluator(run, data=data, split=split, batch_size=batch_size, device=device,
                              trust=console.trust(), progress=progress)  # fmt: skip


def _folder(run: Run, data: str | None, split: str, views: int) -> Path:
    from fastcli.deploy.evaluate import where_to

    return where_to(run, data, split, views)


def _write(run: Run, evaluator: Evaluator, evaluation: Evaluation, folder: Path) -> list[str]:
    """Write all files; returns their names."""
    from fastcli.report.evaluation_files import write_files
    from fastcli.report.evaluation_page import write_page
    from fastcli.run.overview import Overview

    files = write_files(evaluation, folder)
    write_page(evaluation, folder / "report.html", history=run.metrics(),
               best_epoch=Overview(run.path, run.status).best_epoch, learner=evaluator.learner)  # fmt: skip
    return [*files, "report.html"]


def _show(evaluation: Evaluation, folder: Path, files: Sequence[str], missed: Sequence[str]) -> None:
    for note in evaluation.notes:
        console.say(f"warning: {note}")
    if console.state.json:
        from fastcli.run.files import finite

        console.document(finite({**evaluation.as_data(), "folder": str(folder), "files": files, "missed": missed}))
        return
    for line in lines_of(evaluation.figures, evaluation.interval, len(evaluation.interpretation)):
        console.data(line)
    console.say(f"{folder / 'report.html'} · {', '.join(name for name in files if name != 'report.html')}")


def lines_of(figures: Mapping[str, float], interval: tuple[float, float] | None, n: int) -> list[str]:
    """The figures, one a line.

    >>> lines_of({"accuracy": 0.9, "auroc": float("nan")}, (0.6, 0.98), 10)
    ['accuracy  0.9000  95 %: 0.6000 to 0.9800, of 10 items', 'auroc     –']
    """
    width = max(map(len, figures), default=0)
    lines = []
    for name, value in figures.items():
        note = ""
        if name == "accuracy" and interval:
            note = f"  95 %: {interval[0]:.4f} to {interval[1]:.4f}, of {n:,} items"
        lines.append(f"{name:{width}}  {'–' if value != value else f'{value:.4f}'}{note}")
    return lines
