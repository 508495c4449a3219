"""`fastcli resume`: a run goes on exactly where it stopped, is extended, or forked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastcli.config.load import LoadedConfig
    from fastcli.run.checkpoint import Loaded
    from fastcli.run.directory import Run
    from fastcli.training import Experiment

Schedule = Annotated[
    str | None,
    typer.Option(help="For more epochs of a rate that came to its end: restart (another cycle) or stretch.",
                 metavar="restart|stretch"),
]  # fmt: skip


def resume(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE …]",
            help="A run (the newest if none) and what shall be other in it.",
            autocompletion=complete.runs_or_overrides,
        ),
    ] = None,
    fork: Annotated[
        bool, typer.Option("--fork", help="Begin a new run from the state, or from the weights where all else changes.")
    ] = False,
    schedule: Schedule = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="With --fork: the directory, new or empty, of the new run.")
    ] = None,
) -> None:
    """Go on with a run that was ended early, exactly as if it had not been; or train it for longer."""
    from fastcli.cli.training import split_words
    from fastcli.run.directory import Run

    name, overrides = split_words(words or ())
    run = Run.open("latest" if name is None else name, finished=False)
    if run_dir is not None and not fork:
        raise UsageError("--run-dir is for the new run of --fork")
    if fork:
        from fastcli.cli.fork import fork_run

        fork_run(run, overrides, run_dir, schedule)
    else:
        go_on(run, overrides, schedule)


def go_on(run: Run, overrides: Sequence[str] = (), schedule: str | None = None) -> None:
    """Train on in the run, unless it is finished and `overrides` do not extend it."""
    from fastcli.run.lineage import is_free

    with run.held():
        run.sweep()
        before, loaded, changed = compared(run, overrides)
        if run.status.state == "finished" and not changed and schedule is None:
            done = len(run.metrics())
            console.say(f"{run.shown} is finished, after {done} epochs; to extend it: fastcli resume {run.shown} "
                        "train.epochs=N, to use it: fastcli predict IMAGE")  # fmt: skip
            return
        if refused := [key for key in changed if not is_free(key)]:
            raise ConfigError(f"{', '.join(refused)} cannot change in a run that has begun",
                              hint="--fork begins a new run from its weights")  # fmt: skip
        _train_on(run, before, loaded, changed, overrides, schedule)


def compared(run: Run, overrides: Sequence[str]) -> tuple[Mapping[str, Any], LoadedConfig, list[str]]:
    """The run's configuration, the one with overrides, and the keys at which they differ."""
    from fastcli.cli.training import load_with
    from fastcli.run.lineage import differences

    if not run.config.is_file():
        raise UsageError(f"{run.shown} was ended before its configuration was written, so there is nothing to go on "
                         "with", hint="train it again")  # fmt: skip
    loaded = load_with(run.config, (), {})
    before = loaded.config.model_dump()
    if overrides:
        loaded = load_with(run.config, overrides, {})
    return before, loaded, differences(before, loaded.config.model_dump())


def _train_on(
    run: Run,
    before: Mapping[str, Any],
    loaded: LoadedConfig,
    changed: Sequence[str],
    overrides: Sequence[str],
    schedule: str | None,
) -> None:
    from fastcli.cli.train import SMOKE_BATCHES
    from fastcli.cli.training import build_or_explain, train_and_show
    from fastcli.config.dump import dump
    from fastcli.learner.extend import extended, in_turn
    from fastcli.run.lineage import load_state, read_recipes, write_recipes

    found = load_state(run.checkpoints)
    done = 0 if found is None else len((found.state or {})["history"])
    recipes = extended(read_recipes(run.path), before["train"], loaded.config.model_dump(), changed, schedule, done)
    smoke = SMOKE_BATCHES if run.status.smoke else None
    experiment = build_or_explain(loaded, max_batches=smoke, split=run.split if run.split.is_file() else None)
    if recipes:
        experiment.recipe = in_turn(recipes)
        write_recipes(run.path, recipes)
    if overrides:
        run.note_overrides(overrides, dump(experiment.config))
    state = None if found is None else forget_choices(found, changed)
    if found is None:
        begin_from_parent(run, experiment)
    warning = [found.warning] if found is not None and found.warning else []
    name = experiment.config.experiment.name or run.path.parent.name
    train_and_show(loaded, experiment, run, name, state=state, lines=[*warning, where(state), *experiment.notes])


def forget_choices(found: Loaded, changed: Sequence[str]) -> Mapping[str, Any]:
    """The state without what the recipe had chosen for parameters that are now given."""
    state = dict(found.state or {})
    state["chosen"] = {name: value for name, value in state["chosen"].items() if f"train.{name}" not in changed}
    return state


def begin_from_parent(run: Run, experiment: Experiment) -> None:
    """Give the model the weights that a forked run begins from, if it is one."""
    from fastcli.models.pretrained import take_fitting
    from fastcli.run.checkpoint import Checkpoints
    from fastcli.run.lineage import START

    if (run.checkpoints / f"{START}.json").is_file():
        take_fitting(experiment.learner.model, Checkpoints(run.checkpoints).load(START).tensors)


def where(state: Mapping[str, Any] | None) -> str:
    """At what place a training goes on, in words."""
    if state is None:
        return "ended before its first save: it begins anew"
    position, rows, step = state["position"], len(state["history"]), state["counters"]["global_step"]
    if position["phase"] == "train":
        return f"resumed at epoch {rows}, batch {position['batch']} (step {step:,})"
    if position["phase"] == "validate":
        return f"resumed at epoch {rows}, before its validation (step {step:,})"
    return f"resumed after epoch {rows - 1} (step {step:,})" if rows else "resumed after a fit without an epoch"
