"""`fastcli config explain` and `config diff`: what a key means, and in which values two configurations differ."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.cli.run_words import RUNS, Folder
from fastcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.config.explain import Explanation, Parameter, Part


def explain(
    key: Annotated[
        str,
        typer.Argument(metavar="KEY", help="data.batch_size, optimizer.lr, callbacks, …", autocompletion=complete.keys),
    ],
) -> None:
    """Say what a key of the YAML means: type, default, allowed values, what stands below it."""
    from fastcli.config.explain import explain as explained
    from fastcli.config.shapes import Shapes

    found = explained(Shapes.shipped(), key)
    if console.state.json:
        console.document(asdict(found))
    else:
        _show(found)


def _show(found: Explanation) -> None:
    console.data(found.key)
    console.data(found.about)
    console.data("")
    for word, value in {"allowed": found.allowed, "default": found.default}.items():
        if value:
            console.data(f"{word:8} {value}")
    parameter = found.key.rpartition(".")[2]
    if found.keys:
        console.data("")
        _show_keys(found.keys)
    elif found.choices and all(any(p.name == parameter for p in one.parameters) for one in found.choices):
        console.data("")
        _show_owners(found.choices, parameter)
    elif found.choices:
        console.data("")
        _show_choices(found.choices)


def _show_keys(keys: Sequence[Parameter]) -> None:
    from fastcli.cli.tables import Column, show

    columns = (Column("key", style="bold"), Column("default", least=8), Column("allowed", order=2, least=12),
               Column("what", order=1, least=20))  # fmt: skip
    show(columns, [(one.name, one.shown_default, one.allowed, one.about) for one in keys])


def _show_owners(owners: Sequence[Part], name: str) -> None:
    from fastcli.cli.tables import Column, show

    columns = (Column("of", style="bold"), Column("default", least=8), Column("allowed", least=12))
    found = [(one, next(p for p in one.parameters if p.name == name)) for one in owners]
    show(columns, [(one.name, p.shown_default, p.allowed) for one, p in found])


def _show_choices(choices: Sequence[Part]) -> None:
    from fastcli.cli.tables import Column, show

    columns = (Column("choice", style="bold"), Column("what", least=20))
    show(columns, [(one.name, one.about) for one in choices])


def diff(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A YAML file or a run.", autocompletion=complete.configs_or_runs)
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.", autocompletion=complete.configs_or_runs)],
    folder: Folder = RUNS,
) -> None:
    """Show the values in which two configurations or runs differ, defaults included."""
    from fastcli.config.differences import MISSING, differences
    from fastcli.report.compare import shown

    names = (first, second)
    found = differences([_values(name, folder) for name in names])
    if console.state.json:
        by_name = {
            key: {side: value for side, value in zip("AB", values, strict=True) if value is not MISSING}
            for key, values in found.items()
        }
        console.document({"A": first, "B": second, "differences": by_name})
        return
    if not found:
        console.say(f"{first} and {second} have the same values")
        return
    from fastcli.cli.tables import Column, show

    columns = [Column("key", style="bold"), *(Column(name, least=12) for name in names)]
    show(columns, [(key, *map(shown, values)) for key, values in found.items()])


def _values(name: str, folder: Path) -> dict[str, Any]:
    """Every value of the configuration that `name` means: a file, or else a run."""
    from fastcli.config.differences import values_of_file, values_of_run

    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return values_of_file(path, console.trust())
    from fastcli.run.directory import Run

    run = Run.open(name, folder, finished=False)
    if not run.config.is_file():
        raise UsageError(f"{run.shown} has no config.resolved.yaml")
    return values_of_run(run.config)
