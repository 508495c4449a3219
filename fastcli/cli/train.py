"""`fastcli train`: a YAML file in, a trained model in a run directory out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastcli.cli import console
from fastcli.cli.config import ConfigFile, Overrides
from fastcli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.config.load import LoadedConfig
    from fastcli.run.directory import Run
    from fastcli.training import Experiment

SMOKE_BATCHES = 2


class IfExists(StrEnum):
    """What to do with a run that is there."""

    error = "error"
    resume = "resume"


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="Instead of experiment.name.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Exactly this directory, new or empty, for the run.")] = None,
    if_exists: Annotated[
        IfExists,
        typer.Option(help="What to do where --run-dir has a run of this configuration: stop, or go on with it."),
    ] = IfExists.error,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build all, try one step, print the plan, write nothing.")
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="One epoch of two batches, all else real: for CI.")] = False,
    seed: Annotated[int | None, typer.Option(help="Instead of experiment.seed.", min=0)] = None,
    device: Annotated[str | None, typer.Option(help="Instead of runtime.device: cpu, cuda, cuda:0, mps.")] = None,
) -> None:
    """Train the model that CONFIG describes; any key can be set with KEY=VALUE."""
    from fastcli.cli.training import build_or_explain, load_with
    from fastcli.run.find import refuse_used

    given = {"experiment.name": name, "experiment.seed": seed, "runtime.device": device}
    loaded = load_with(config, overrides or (), given)
    if if_exists is IfExists.resume:
        if run_dir is None:
            raise UsageError("--if-exists resume needs --run-dir, to know which run")
        if _goes_on(loaded, run_dir, smoke=smoke):
            return
    elif run_dir is not None:
        refuse_used(run_dir)
    experiment = build_or_explain(loaded, max_batches=SMOKE_BATCHES if smoke else None)
    if dry_run:
        _show_plan(loaded, experiment)
    else:
        from fastcli.cli.training import given_text
        from fastcli.run.directory import Run

        text = given_text(loaded)  # before the new run is made, which `latest` in its path may mean from then on
        output, model = Path(experiment.config.experiment.output), experiment.config.model.name
        begun_anew = if_exists is IfExists.resume
        run = Run.create(output, loaded.name, model, directory=run_dir, again=begun_anew)
        with run.held():
            train_new(loaded, text, experiment, run, overrides or (), smoke=smoke)


def _goes_on(loaded: LoadedConfig, run_dir: Path, *, smoke: bool) -> bool:
    """Whether `run_dir` has a run, which is gone on with then. Raises ConfigError where it is another."""
    from fastcli.cli.resume import go_on
    from fastcli.cli.training import load_with
    from fastcli.run.directory import Run
    from fastcli.run.find import refuse_used
    from fastcli.run.lineage import differences

    run = Run(run_dir)
    if not run.config.is_file():
        refuse_used(run_dir, but_begun=True)
        return False
    kept = load_with(run.config, (), {}).config.model_dump()
    given = {key: value for key, value in loaded.tree.items() if not (smoke and key == "train")}
    if other := differences(given, kept, given_only=True):
        raise ConfigError(f"{run.shown} is of another configuration: it differs in {', '.join(other)}",
                          hint="choose another --run-dir, or go on with it as it is: fastcli resume")  # fmt: skip
    go_on(run)
    return True


def train_new(
    loaded: LoadedConfig, text: str, experiment: Experiment, run: Run, overrides: Sequence[str], *, smoke: bool = False
) -> None:
    """Train from the start in a new run, and show it; `text` is the YAML as it was written."""
    from fastcli.cli.training import train_and_show
    from fastcli.config.dump import dump

    run.write_config(text, dump(experiment.config), overrides)
    run.update_status(smoke=smoke)
    train_and_show(loaded, experiment, run, loaded.name)


def _show_plan(loaded: LoadedConfig, experiment: Experiment) -> None:
    """One forward and backward pass, then what a training would do."""
    from fastcli.cli.screen import Reporter
    from fastcli.config.dump import dump
    from fastcli.run.directory import NullRun

    seconds = experiment.try_step()
    Reporter(experiment, NullRun(), loaded.name).begin()
    if console.state.json:
        console.document({"config": experiment.config.model_dump(), "seconds_per_step": seconds})
        return
    console.data(dump(experiment.config).rstrip("\n"))
    steps = experiment.total_steps
    console.say(f"{steps:,} steps of about {seconds:.2f} s: some {steps * seconds:,.0f} s of training; nothing written")
