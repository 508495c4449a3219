"""`fastcli show-batch`: what a model will see, as a picture, before anything is trained."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastcli.cli import console
from fastcli.cli.config import ConfigFile, Overrides
from fastcli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from fastcli.config.load import LoadedConfig
    from fastcli.data.loaders import DataLoaders
    from fastcli.report.batch import How, Shown

MOST = 400


class Split(StrEnum):
    """The splits of a configuration."""

    train = "train"
    valid = "valid"


def show_batch(
    config: ConfigFile,
    overrides: Overrides = None,
    split: Annotated[Split, typer.Option(help="Whose pictures; those of valid have no random views.")] = Split.train,
    raw: Annotated[bool, typer.Option("--raw", help="As they are in their files, before any transform.")] = False,
    augmented: Annotated[bool, typer.Option("--augmented", help="After all transforms, in their colours.")] = False,
    normalised: Annotated[
        bool, typer.Option("--normalised", "--normalized", help="As the numbers that the model gets: 0 is grey.")
    ] = False,
    item: Annotated[int | None, typer.Option(min=0, help="One picture of the split, by number, in many views.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=MOST, help="Pictures, or views of one.")] = 16,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="PNG to write; else in runs/.")] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Also show it here, in kitty, iTerm2, …")] = False,
) -> None:
    """Show pictures of a configuration with their labels, as the model will see them; augmented, unless told."""
    from fastcli.cli.training import load_with

    how = _how(raw, augmented, normalised)
    if inline:
        _check_inline()
    given = {"runtime.device": "cpu", "data.cache": "off", "data.normalize": None if how == "normalised" else "none"}
    loaded = load_with(config, overrides or (), given)
    loaders = _loaders(loaded)
    from fastcli.report.batch import look
    from fastcli.run.files import make_directory

    shown = look(loaders, split.value, how, count=count, item=item)
    name = split.value if how == "augmented" else f"{split.value}_{how}"
    path = output or Path(loaded.config.experiment.output) / loaded.name / f"batch_{name}.png"
    make_directory(path.parent)
    shown.draw(path)
    _tell(shown, path, split.value, how)
    if inline:
        _show_inline(path)


def _how(raw: bool, augmented: bool, normalised: bool) -> How:
    """The one that was chosen. Raises UsageError for several."""
    if raw + augmented + normalised > 1:
        raise UsageError("--raw, --augmented and --normalised are three ways to look", hint="give one of them")
    return "raw" if raw else "normalised" if normalised else "augmented"


def _loaders(loaded: LoadedConfig) -> DataLoaders:
    from fastcli.cli.downloads import show_progress
    from fastcli.data.download import resolve_source

    with show_progress() as progress:
        resolve_source(loaded.config.data.source, progress=progress)
    from fastcli.experiment_data import loaders_of

    try:
        return loaders_of(loaded.config)
    except ConfigError as error:
        raise loaded.explain(error) from None


def _tell(shown: Shown, path: Path, split: str, how: str) -> None:
    if console.state.json:
        about = {"picture": str(path), "split": split, "how": how, "items": shown.names, "numbers": shown.numbers}
        console.document(about)
        return
    if shown.numbers is not None:
        words = ", ".join(f"{name} {value:.3f}" for name, value in shown.numbers.items())
        console.say(f"the model's numbers: {words}; grey is 0, black -3 or less, white 3 or more")
    if len(set(shown.names)) == 1:
        console.say(shown.names[0])
    console.data(str(path))


def _check_inline() -> None:
    """Raise UsageError where no picture can be shown."""
    from fastcli.cli.inline import CAPABLE, protocol

    if not sys.stdout.isatty() or console.state.json or protocol(os.environ) is None:
        raise UsageError("this is no terminal that shows pictures", hint=f"{CAPABLE} do, outside of tmux and screen")


def _show_inline(path: Path) -> None:
    from fastcli.cli.inline import escapes, protocol

    how = protocol(os.environ)
    if how is not None:
        console.data(escapes(path.read_bytes(), how))
