"""`fastcli lr-find`: the learning-rate curve of a configuration, and what it suggests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.errors import UsageError, did_you_mean

SUGGESTIONS = ("valley", "slide", "minimum", "steep")
"""Names of the readings in `fastcli.learner.lr_find`, which needs torch; a test holds the two together."""

if TYPE_CHECKING:
    from fastcli.learner.lr_find import LRFind


def lr_find(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG] [KEY=VALUE]...",
            help="The YAML and overrides; without one, the newest run's.",
            autocompletion=complete.configs_or_overrides,
        ),
    ] = None,
    start: Annotated[float, typer.Option(help="First learning rate.")] = 1e-7,
    end: Annotated[float, typer.Option(help="Last learning rate.")] = 10.0,
    steps: Annotated[int, typer.Option(min=20, help="Batches from first to last.")] = 100,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for lr_find.png and lr_find.csv.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the suggestion into the YAML as train.lr.")] = False,
    suggestion: Annotated[str, typer.Option(help="The one to apply: valley, slide, minimum or steep.")] = "valley",
    device: Annotated[str | None, typer.Option(help="Instead of runtime.device.")] = None,
) -> None:
    """Show how the loss changes as the learning rate rises, and suggest four rates."""
    from fastcli.cli.training import build_or_explain, find_config

    if suggestion not in SUGGESTIONS:
        raise UsageError(f"there is no suggestion {suggestion!r}", hint=did_you_mean(suggestion, SUGGESTIONS))
    loaded = find_config(words or [], {"runtime.device": device})
    experiment = build_or_explain(loaded)
    console.say(f"lr-find · {loaded.name} · up to {steps} batches of {experiment.config.data.batch_size} …")
    found = experiment.lr_find(start_lr=start, end_lr=end, steps=steps)
    folder = output or Path(experiment.config.experiment.output) / loaded.name
    _write(found, folder)
    _show(found, folder)
    if apply:
        from fastcli.config.edit import set_value

        rate = float(f"{found.suggestions[suggestion]:.2e}")
        set_value(loaded.path, "train.lr", rate)
        console.say(f"wrote train.lr: {rate:.2e} ({suggestion}) into {loaded.path}")


def _write(found: LRFind, folder: Path) -> None:
    from fastcli.report.plots import plot_lr_find
    from fastcli.run.files import atomic_write, make_directory

    make_directory(folder)
    rows = zip(found.lrs, found.losses, found.smoothed, strict=True)
    table = "".join(f"{lr:.6e},{loss:.6f},{smooth:.6f}\n" for lr, loss, smooth in rows)
    atomic_write(folder / "lr_find.csv", "lr,loss,smoothed\n" + table)
    plot_lr_find(found.lrs, found.losses, found.smoothed, found.suggestions, folder / "lr_find.png")


def _show(found: LRFind, folder: Path) -> None:
    plot, table = folder / "lr_find.png", folder / "lr_find.csv"
    if console.state.json:
        shown: dict[str, Any] = {"suggestions": found.suggestions, "steps": len(found.lrs)}
        console.document(shown | {"plot": str(plot), "curve": str(table)})
        return
    for name, rate in found.suggestions.items():
        console.data(f"{name:8} {rate:.2e}")
    console.say(f"{plot} · {table}")
