"""`fastcli train`: a YAML file in, a trained model in a run directory out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.cli.config import ConfigFile, Overrides
from fastcli.errors import ConfigError

if TYPE_CHECKING:
    from fastcli.config.load import LoadedConfig
    from fastcli.training import Experiment

SMOKE_BATCHES = 2


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="Instead of experiment.name.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Exactly this directory, new or empty, for the run.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build all, try one step, print the plan, write nothing.")
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="One epoch of two batches, all else real: for CI.")] = False,
    seed: Annotated[int | None, typer.Option(help="Instead of experiment.seed.", min=0)] = None,
    device: Annotated[str | None, typer.Option(help="Instead of runtime.device: cpu, cuda, cuda:0, mps.")] = None,
) -> None:
    """Train the model that CONFIG describes; any key can be set with KEY=VALUE."""
    from fastcli.cli.training import build_or_explain, load_with
    from fastcli.run.directory import refuse_used

    given = {"experiment.name": name, "experiment.seed": seed, "runtime.device": device}
    loaded = load_with(config, overrides or (), given)
    if run_dir is not None:
        refuse_used(run_dir)
    experiment = build_or_explain(loaded, max_batches=SMOKE_BATCHES if smoke else None)
    if dry_run:
        _show_plan(loaded, experiment)
    else:
        _train(loaded, experiment, run_dir, overrides or (), smoke=smoke)


def _train(loaded: LoadedConfig, experiment: Experiment, run_dir: Path | None, overrides: Any, *, smoke: bool) -> None:
    from fastcli.cli.screen import Reporter
    from fastcli.cli.training import given_text
    from fastcli.config.dump import dump
    from fastcli.run.directory import Run

    config = experiment.config
    run = Run.create(Path(config.experiment.output), loaded.name, config.model.name, directory=run_dir)
    run.write_config(given_text(loaded), dump(config), overrides)
    run.update_status(smoke=smoke)
    reporter = Reporter(experiment, run, loaded.name)
    reporter.begin()
    try:
        experiment.train(run, reporter.callbacks())
    except ConfigError as error:  # a recipe may find out only then
        raise loaded.explain(error) from None
    reporter.end()


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
