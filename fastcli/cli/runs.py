"""`fastcli runs`: what was trained, how it went, what differed, and what may go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.cli.run_compare import compare
from fastcli.cli.run_words import RUNS, Folder, count, duration, figure, of_epochs, size, state_style
from fastcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.run.cleaning import Deletion
    from fastcli.run.overview import Overview

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show, compare and clean trainings.")

STATES = ("finished", "running", "interrupted", "failed", "died", "unknown")
app.command(epilog=console.example("fastcli runs compare -o compare.html -o compare.png"))(compare)


@app.command("list", epilog=console.example("fastcli runs list --state finished -n 10"))
def list_runs(
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPERIMENT]",
            help="Of this experiment alone.",
            show_default=False,
            autocompletion=complete.experiments,
        ),
    ] = None,
    state: Annotated[str | None, typer.Option(help=f"{', '.join(STATES[:-1])}: those alone.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=0, help="The newest so many; 0: all.")] = 30,
    folder: Folder = RUNS,
) -> None:
    """List the newest runs: state, best figure, the curve of the monitored figure, what was typed."""
    from fastcli.run.overview import overviews

    if state is not None and state not in STATES:
        raise UsageError(f"there is no state {state!r}", hint=did_you_mean(state, STATES))
    runs = overviews(_experiment(folder, experiment), folder)
    chosen = [run for run in runs if state is None or run.status.seen_state == state]
    shown = chosen[: number or None]
    if console.state.json:
        console.document({"runs": [run.as_data() for run in shown], "total": len(chosen)})
        return
    if shown:
        _show_list(shown)
    if not chosen:
        of = f" that are {state}" if state else ""
        console.say(f"no runs{of} in {folder} · train one: fastcli train CONFIG")
    elif len(chosen) > len(shown):
        console.say(f"{len(shown)} of {len(chosen)} runs; -n 0 shows all")


def _experiment(folder: Path, experiment: str | None) -> Path:
    """The folder of the experiment, if one is named."""
    if experiment is None:
        return folder
    from fastcli.run.find import safe_name

    for name in (experiment.strip("/"), safe_name(experiment)):
        if (folder / name).is_dir():
            return folder / name
    known = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    raise UsageError(f"there is no experiment {experiment!r} in {folder}", hint=did_you_mean(experiment, known))


def _show_list(runs: Sequence[Overview]) -> None:
    from fastcli.cli.sparkline import sparkline
    from fastcli.cli.tables import Column, show

    columns = (
        Column("run", least=24),
        Column("state", style=state_style),
        Column("best", right=True, style="bold"),
        Column("of", order=4, least=8),
        Column("epoch", right=True, order=5),
        Column("curve", order=2, style="cyan"),
        Column("time", right=True, order=6),
        Column("note", order=3, least=12),
    )
    rows = [
        (run.name, run.status.seen_state, figure(run.best), run.monitor or "", of_epochs(run.status),
         sparkline(run.curve), duration(run.seconds), _note(run))
        for run in runs
    ]  # fmt: skip
    show(columns, rows)


def _note(run: Overview) -> str:
    """Why it failed, else what was typed."""
    smoke = ["smoke"] if run.status.smoke else []
    return run.status.error or " ".join([*smoke, *run.overrides])


@app.command(epilog=console.example("fastcli runs show latest"))
def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="EXPERIMENT/STAMP, EXPERIMENT, a path or latest.", autocompletion=complete.runs
        ),
    ] = "latest",
    folder: Folder = RUNS,
) -> None:
    """Show one run: its figures by epoch, checkpoints, what was asked and where everything is."""
    from fastcli.run.directory import Run
    from fastcli.run.overview import overview, size_of

    path = Run.open(run, folder, finished=False).path
    seen = overview(path, folder)
    if console.state.json:
        environment = Run(path).read_environment()
        console.document({**seen.as_data(), "epochs_done": seen.rows, "environment": environment})
        return
    for line in _facts(seen, size_of(path)):
        console.data(line)
    if seen.rows:
        console.data("")
        _show_epochs(seen)


def _facts(run: Overview, n_bytes: int) -> list[str]:
    status = run.status
    facts = {
        "run": run.name,
        "state": status.seen_state + (f": {status.error}" if status.error else ""),
        "model": run.model,
        "epochs": of_epochs(status),
        "best": f"{run.monitor} {figure(run.best)} in epoch {run.best_epoch}" if run.best is not None else None,
        "started": _moment(status.started),
        "ended": _moment(status.finished),
        "time": duration(run.seconds),
        "typed": " ".join(run.overrides) or None,
        "size": size(n_bytes),
        "folder": str(run.path),
    }
    return [f"{name:8} {value}" for name, value in facts.items() if value]


def _moment(text: str | None) -> str | None:
    return text[:19].replace("T", " ") if isinstance(text, str) else None


def _show_epochs(run: Overview) -> None:
    from fastcli.callbacks.table import cell
    from fastcli.cli.sparkline import sparkline
    from fastcli.cli.tables import Column
    from fastcli.cli.tables import show as show_table
    from fastcli.run.overview import NOT_CURVES

    names = list(dict.fromkeys(key for row in run.rows for key in row))
    drop = {"lr": 3, "img_per_s": 4, "wait": 5, "time": 6, "train_loss": 1}
    columns = [Column(name, right=True, order=drop.get(name, 2 if name not in ("epoch", run.monitor) else 0))
               for name in names]  # fmt: skip
    rows = [[cell(name, row.get(name)) for name in names] for row in run.rows]
    best = ["best" if row.get("epoch") == run.best_epoch else " " for row in run.rows]
    curves = [sparkline([row.get(name) for row in run.rows], 8) if name not in NOT_CURVES else " " for name in names]
    marked = [[*row, mark] for row, mark in zip(rows, best, strict=True)]
    show_table([*columns, Column("", style="bold green")], [*marked, [*curves, " "]])


@app.command(epilog=console.example("fastcli runs clean --dry-run --keep 3"))
def clean(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="These; else smoke runs and those that failed.", autocompletion=complete.runs
        ),
    ] = None,
    keep: Annotated[int | None, typer.Option(min=1, help="And all but the newest so many of each experiment.")] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="And those that ended so many days ago.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go, and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    folder: Folder = RUNS,
) -> None:
    """Delete runs: smoke runs and those that failed, or those named, after showing them and asking.

    Never a running one, and never the newest finished one of an experiment.
    """
    chosen = _chosen(names or [], keep, older_than, folder)
    total = sum(one.bytes for one in chosen)
    if not console.state.json and chosen:
        _show_deletions(chosen)
    if not chosen:
        console.say(f"nothing to delete in {folder}")
    elif dry_run:
        console.say(f"{count(len(chosen), 'run')}, {size(total)}; nothing was deleted")
    else:
        _confirm(len(chosen), total, yes)
    gone = [] if dry_run else _delete(chosen)
    if console.state.json:
        console.document(_as_data(chosen, gone))
    elif gone:
        console.say(f"deleted {count(len(gone), 'run')}, {size(sum(one.bytes for one in gone))} freed")
    if len(gone) < len(chosen) and not dry_run:
        raise typer.Exit(1)


def _chosen(names: Sequence[str], keep: int | None, days: float | None, folder: Path) -> list[Deletion]:
    from fastcli.run.cleaning import named, planned
    from fastcli.run.directory import Run
    from fastcli.run.overview import overviews

    if not names:
        return planned(overviews(folder, folder), keep=keep, days=days)
    if keep is not None or days is not None:
        raise UsageError("name runs, or say --keep and --older-than, not both")
    paths = [Run.open(name, folder, finished=False).path for name in names]
    beside = [run for parent in {path.parent for path in paths} for run in overviews(parent, folder)]
    chosen, kept = named(paths, folder, beside)
    for name, reason in kept.items():
        console.say(f"{name} stays: {reason}")
    if kept and not chosen:
        raise UsageError("none of the runs that were named may be deleted")
    return chosen


def _show_deletions(chosen: Sequence[Deletion]) -> None:
    from fastcli.cli.tables import Column
    from fastcli.cli.tables import show as show_table

    columns = (Column("run", least=24), Column("why"), Column("best", right=True, order=1),
               Column("of", order=2), Column("size", right=True))  # fmt: skip
    rows = [(one.run.name, one.why, figure(one.run.best), one.run.monitor or "", size(one.bytes)) for one in chosen]
    show_table(columns, rows)


def _confirm(n: int, total: int, yes: bool) -> None:
    if yes:
        return
    if console.state.json or not sys.stdin.isatty():
        raise UsageError("nothing was deleted: there is nobody to ask", hint="--yes deletes, --dry-run only lists")
    if not typer.confirm(f"Delete {count(n, 'run')} and free {size(total)}?", err=True):
        raise UsageError("nothing was deleted")


def _delete(chosen: Sequence[Deletion]) -> list[Deletion]:
    from fastcli.errors import FastcliError
    from fastcli.run.cleaning import delete

    gone = []
    for one in chosen:
        try:
            delete(one)
        except FastcliError as error:
            console.complain(f"error: {error}")
        else:
            gone.append(one)
    return gone


def _as_data(chosen: Sequence[Deletion], gone: Sequence[Deletion]) -> dict[str, Any]:
    listed = [{"run": one.run.name, "path": str(one.run.path), "why": one.why, "bytes": one.bytes} for one in chosen]
    return {"runs": listed, "deleted": [one.run.name for one in gone], "freed": sum(one.bytes for one in gone)}
