"""What the commands that build an experiment share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcli.cli import console
from fastcli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastcli.config.load import LoadedConfig
    from fastcli.run.directory import Run
    from fastcli.training import Experiment


def find_config(words: Sequence[str], values: Mapping[str, Any]) -> LoadedConfig:
    """The configuration and overrides in `words`; the newest run's configuration where they name none.

    `values` are the command's own options by the key they stand for; None is not given.
    """
    name, overrides = split_words(words)
    if name is not None:
        return load_with(name, overrides, values)
    from fastcli.run.directory import Run

    run = Run.open("latest", finished=False)
    console.say(f"using the configuration of {run.shown}")
    return load_with(run.config, overrides, values)


def split_words(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The name that stands first, if one does, and the overrides.

    >>> split_words(["pets.yaml", "train.epochs=1"]), split_words(["~callbacks"])
    (('pets.yaml', ['train.epochs=1']), (None, ['~callbacks']))
    """
    if words and "=" not in words[0] and not words[0].startswith("~"):
        return words[0], words[1:]
    return None, words


def load_with(config: str | Path, overrides: Sequence[str], values: Mapping[str, Any]) -> LoadedConfig:
    """The configuration with overrides and the command's own options, of which None is not given."""
    from fastcli.config.load import load

    given = {key: value for key, value in values.items() if value is not None}
    return load(config, overrides, set_values=given, trust=console.trust())


def build_or_explain(loaded: LoadedConfig, *, max_batches: int | None = None, split: Path | None = None) -> Experiment:
    """The experiment; an error about a key is shown with its line, as the loader's errors are."""
    from fastcli.cli.downloads import show_progress
    from fastcli.data.download import resolve_source

    with show_progress() as progress:
        resolve_source(loaded.config.data.source, progress=progress)  # before torch comes: missing data is told at once
    from fastcli.experiment import build
    from fastcli.learner.allocator import keep_freed_memory

    try:
        experiment = build(loaded.config, max_batches=max_batches, split=split)
    except ConfigError as error:
        raise loaded.explain(error) from None
    if experiment.learner.device.type == "cpu":
        keep_freed_memory()  # here and not in the library: it is a setting of the whole process, and this one is ours
    return experiment


def train_and_show(
    loaded: LoadedConfig,
    experiment: Experiment,
    run: Run,
    name: str,
    *,
    state: Mapping[str, Any] | None = None,
    lines: Sequence[str] = (),
) -> None:
    """Train in `run`, from a checkpoint's `state` on if it is given, and show it as `name`; `lines` are told before."""
    from fastcli.cli.screen import Reporter

    reporter = Reporter(experiment, run, name)
    reporter.begin()
    for line in lines:
        reporter.tell(line)
    try:
        experiment.train(run, reporter.callbacks(), state=state)
    except ConfigError as error:  # a recipe may find out only then
        raise loaded.explain(error) from None
    reporter.end()


def given_text(loaded: LoadedConfig) -> str:
    """The YAML as it was written."""
    return Path(loaded.path).read_text(encoding="utf-8")
