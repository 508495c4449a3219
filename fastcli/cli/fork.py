"""`fastcli resume --fork`: a new run that begins from another's state, or from its weights where more has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastcli.cli import console
from fastcli.cli.resume import compared, go_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.config.load import LoadedConfig
    from fastcli.run.directory import Run


def fork_run(parent: Run, overrides: Sequence[str], run_dir: Path | None, schedule: str | None) -> None:
    """A new run: the same training from its state on, or another from its weights, as `overrides` have it."""
    from fastcli.run.lineage import is_free

    _, loaded, changed = compared(parent, overrides)
    if all(is_free(key) for key in changed):
        _same_training(parent, loaded, overrides, run_dir, schedule)
    else:
        _from_weights(parent, loaded, changed, overrides, run_dir)


def _new(parent: Run, loaded: LoadedConfig, run_dir: Path | None) -> Run:
    from fastcli.run.directory import Run

    config = loaded.config
    name = config.experiment.name or parent.path.parent.name
    return Run.create(Path(config.experiment.output), name, config.model.name, directory=run_dir)


def _same_training(
    parent: Run, loaded: LoadedConfig, overrides: Sequence[str], run_dir: Path | None, schedule: str | None
) -> None:
    from fastcli.run.lineage import copy_run, load_state, write_parent

    found = load_state(parent.checkpoints)
    run = _new(parent, loaded, run_dir)
    with run.held():
        copy_run(parent.path, run.path)
        write_parent(run.path, parent.path, found)
        run.update_status(smoke=parent.status.smoke)
        console.say(f"{run.shown} goes on from the state of {parent.shown}")
        go_on(run, overrides, schedule)


def _from_weights(
    parent: Run, loaded: LoadedConfig, changed: Sequence[str], overrides: Sequence[str], run_dir: Path | None
) -> None:
    from fastcli.cli.train import train_new
    from fastcli.cli.training import build_or_explain, given_text
    from fastcli.models.pretrained import take_fitting
    from fastcli.run.checkpoint import Checkpoints
    from fastcli.run.lineage import START, write_parent

    found = Checkpoints(parent.checkpoints).load("last")
    same_data = not any(key.startswith(("data.", "experiment.seed")) for key in changed)
    experiment = build_or_explain(loaded, split=parent.split if same_data and parent.split.is_file() else None)
    left_out = take_fitting(experiment.learner.model, found.tensors)
    text, run = given_text(loaded), _new(parent, loaded, run_dir)
    with run.held():
        write_parent(run.path, parent.path, found)
        Checkpoints(run.checkpoints).insert(START, found.tensors, found.meta, keep=1)
        anew = f"; what does not fit begins anew: {', '.join(left_out)}" if left_out else ""
        console.say(f"{run.shown} begins from the weights of {parent.shown}{anew}")
        train_new(loaded, text, experiment, run, overrides)
