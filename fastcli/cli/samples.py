"""The pictures that a command line means: those of a folder, a table or a known data set, or of a configuration."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fastcli.survey.samples import Samples

Given = Annotated[str, typer.Argument(metavar="SOURCE|CONFIG", help="A folder, CSV, known data set, … or a YAML file.")]


def samples_of(source: str, overrides: Sequence[str]) -> tuple[Samples, dict[str, Any]]:
    """The pictures that a configuration or a source means, and how training reads them."""
    from fastcli.cli.downloads import show_progress
    from fastcli.data.download import resolve_source
    from fastcli.survey.samples import find_samples

    if source.lower().endswith((".yaml", ".yml")):
        return _samples_of_config(source, overrides)
    if overrides:
        raise UsageError(
            f"{overrides[0]}: {source} is no YAML file, so it has no keys", hint="give one CONFIG or SOURCE"
        )
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
