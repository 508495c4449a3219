"""`fastcli runs compare`: figures beside each other, what differs between the configurations, and the curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.cli.run_words import RUNS, Folder, duration, figure, of_epochs, state_style
from fastcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastcli.report.compare import Curves
    from fastcli.run.overview import Overview

IGNORED = ("experiment.name",)


def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Two or more; else the two newest.", autocompletion=complete.runs),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help="Curves as .png, .svg or .html; several times for several files."),
    ] = None,
    folder: Folder = RUNS,
) -> None:
    """Compare runs: best figures, the keys of the configuration that differ, curves in one picture or page."""
    _check(output or [])
    runs = _runs(names or [], folder)
    different, unknown = _differences(runs)
    for path in output or []:
        _write(path, runs, different)
    if console.state.json:
        console.document(_as_data(runs, different))
    else:
        _show(runs, different)
    for run in unknown:
        console.say(f"{run.name} has no config.resolved.yaml to compare")
    for path in output or []:
        console.say(f"wrote {path}")


def _check(output: Sequence[Path]) -> None:
    for path in output:
        if path.suffix.lower() not in (".png", ".svg", ".html"):
            raise UsageError(f"curves cannot be written as {path.name!r}", hint="end the name in .png, .svg or .html")


def _runs(names: Sequence[str], folder: Path) -> list[Overview]:
    from fastcli.run.directory import Run
    from fastcli.run.overview import overview, overviews

    if not names:
        runs = overviews(folder, folder)[:2][::-1]
        if len(runs) < 2:
            raise UsageError(f"there are no two runs in {folder}", hint="name them: fastcli runs compare RUN RUN")
        return runs
    paths = dict.fromkeys(Run.open(name, folder, finished=False).path.resolve() for name in names)
    if len(paths) < 2:
        raise UsageError("only one run was named", hint="name two or more: fastcli runs compare RUN RUN")
    base = folder.resolve()
    here = [folder / path.relative_to(base) if path.is_relative_to(base) else path for path in paths]
    return [overview(path, folder) for path in here]


def _differences(runs: Sequence[Overview]) -> tuple[dict[str, list[Any]], list[Overview]]:
    """The keys that differ, and the runs whose configuration is gone."""
    from fastcli.config.differences import differences, values_of_run
    from fastcli.run.directory import Run

    files = [Run(run.path).config for run in runs]
    configs = [values_of_run(file) if file.is_file() else {} for file in files]
    unknown = [run for run, file in zip(runs, files, strict=True) if not file.is_file()]
    if unknown:
        return {}, unknown
    return {key: values for key, values in differences(configs).items() if key not in IGNORED}, unknown


def _monitor(runs: Sequence[Overview]) -> str | None:
    """The figure that all runs watch, if it is one."""
    monitors = {run.monitor for run in runs if run.monitor}
    return monitors.pop() if len(monitors) == 1 else None


def _lower_is_better(runs: Sequence[Overview]) -> bool | None:
    """Whether the monitored figure is best when low, as the runs' own best epochs tell; None where they do not."""
    for run in runs:
        known = [value for value in run.curve if isinstance(value, int | float)]
        if run.best is not None and known and min(known) < max(known):
            return abs(run.best - min(known)) <= abs(run.best - max(known))
    return None


def _winner(runs: Sequence[Overview]) -> Overview | None:
    lower, values = _lower_is_better(runs), [run.best for run in runs if run.best is not None]
    if _monitor(runs) is None or lower is None or len(values) < 2:
        return None
    best = min(values) if lower else max(values)
    return next(run for run in runs if run.best == best)


def _curves(runs: Sequence[Overview], different: Mapping[str, Sequence[Any]]) -> list[Curves]:
    from fastcli.report.compare import Curves, letter_of, shown

    found = []
    for i, run in enumerate(runs):
        note = ", ".join(
            f"{key.removesuffix('.name').rpartition('.')[2]} {shown(values[i])}" for key, values in different.items()
        )
        found.append(Curves(letter_of(i), run.name, run.rows, note, run.best_epoch))
    return found


def _write(path: Path, runs: Sequence[Overview], different: Mapping[str, Sequence[Any]]) -> None:
    from fastcli.report.compare import plot_compare, shown
    from fastcli.report.compare_page import write_page
    from fastcli.run.files import make_directory

    make_directory(path.parent)
    curves, first = _curves(runs, different), _monitor(runs)
    if path.suffix.lower() != ".html":
        plot_compare(curves, path, first=first)
        return
    words = {key: [shown(value) for value in values] for key, values in different.items()}
    figures = [run.figures for run in runs]
    write_page(curves, path, first=first, differences=words, figures=figures, lower_is_better=_lower_is_better(runs))


def _show(runs: Sequence[Overview], different: Mapping[str, Sequence[Any]]) -> None:
    from fastcli.cli.sparkline import sparkline
    from fastcli.cli.tables import Column, show
    from fastcli.report.compare import letter_of, shown

    winner, monitor = _winner(runs), _monitor(runs)
    names = list(dict.fromkeys([*([monitor] if monitor else []), *(key for run in runs for key in run.figures)]))
    figures = [Column(name, right=True, order=0 if name == monitor else 3 + i) for i, name in enumerate(names)]
    columns = [Column(""), Column("run", least=20), Column("state", order=30, style=state_style),
               Column("epoch", right=True, order=40), *figures, Column("curve", order=2),
               Column("time", right=True, order=50), Column("", style="bold green")]  # fmt: skip
    rows = [
        [letter_of(i), run.name, run.status.seen_state, of_epochs(run.status),
         *(figure(run.figures.get(name)) for name in names), sparkline(run.curve), duration(run.seconds),
         "best" if run is winner else " "]
        for i, run in enumerate(runs)
    ]  # fmt: skip
    show(columns, rows)
    console.data("")
    if not different:
        console.data("the configurations are the same")
        return
    letters = [Column(letter_of(i), least=6) for i in range(len(runs))]
    show([Column("differs", least=16), *letters], [[key, *map(shown, values)] for key, values in different.items()])


def _as_data(runs: Sequence[Overview], different: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    from fastcli.config.differences import MISSING

    winner = _winner(runs)
    by_run = {
        key: {run.name: value for run, value in zip(runs, values, strict=True) if value is not MISSING}
        for key, values in different.items()
    }
    best = winner.name if winner is not None else None
    return {"runs": [run.as_data() for run in runs], "differences": by_run, "best": best}
