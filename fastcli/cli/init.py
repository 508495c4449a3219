"""`fastcli init`: a folder of pictures in, a commented configuration out that trains as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.errors import UsageError

if TYPE_CHECKING:
    from fastcli.survey.layout import Layout
    from fastcli.survey.samples import Samples
    from fastcli.survey.sizes import Sizes

EXAMPLE = console.example("fastcli init path/to/photos -o photos.yaml")


def init(
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="A folder, CSV, archive, URL or known data set.")
    ] = ".",
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="The file to write; '-' is stdout. Else FOLDER.yaml here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    kind: Annotated[
        str | None, typer.Option("--as", help="Where several arrangements fit: masks, folders, table or names.")
    ] = None,
) -> None:
    """Look at a folder of pictures and write a commented YAML file that trains as it is.

    Understood are a folder per class, these below train and valid, a CSV or TSV beside the pictures, names that begin
    with the class (cat_1.jpg), and pictures with masks.
    """
    from fastcli.cli.downloads import show_progress
    from fastcli.data.download import resolve_source
    from fastcli.survey.recognise import recognise
    from fastcli.survey.samples import find_samples
    from fastcli.survey.sizes import sizes_of

    target = None if output == "-" else _target(folder, output)
    if target is not None and target.exists() and not force:
        raise UsageError(f"{target} is there already", hint="give another name with -o, or --force")
    with show_progress() as progress:
        source = resolve_source(folder, progress=progress)
    layout = recognise(source.path, kind)
    samples = find_samples(source, items=layout.items, label=layout.label, split=layout.split, target=layout.target)
    if samples.problems:
        raise UsageError(f"{folder}: {samples.problems[0]}", hint="mend the data, or write the configuration by hand")
    _write(layout, samples, sizes_of([sample.path for sample in samples.all]), folder, target)


def _target(folder: str, output: str | None) -> Path:
    """The file to write: as asked for, or named after the data."""
    import re

    if output is not None:
        return Path(output)
    name = Path(re.split(r"[?#]", folder)[0]).expanduser().absolute().name
    stem = re.sub(r"\.(yaml|csv|tsv|tgz|zip|tar(\.\w+)?)$", "", name).lstrip(".") or "data"
    return Path(f"{stem if Path(folder).exists() else stem.lower()}.yaml")


def _write(layout: Layout, samples: Samples, sizes: Sizes | None, given: str, target: Path | None) -> None:
    from fastcli.config import draft
    from fastcli.run.files import atomic_write, make_directory

    source = _source(given, target or Path("stdout.yaml"))
    name = str(target) if target is not None else "FILE"
    text = draft.draft(layout, samples, sizes, source, name, _schema())
    if target is None:
        console.data(text.rstrip("\n"))
        return
    make_directory(target.parent)
    atomic_write(target, text)
    for line in draft.lines_about(layout, samples, sizes):
        console.say(line)
    console.say(f"wrote {target}")
    for i, line in enumerate(draft.next_commands(name)):
        console.say(f"{'next: ' if i == 0 else '      '}{line}")
    if console.state.json:
        console.document(_facts(layout, samples, sizes, target))


def _source(given: str, target: Path) -> str:
    """The data as the file names it: a folder relative to it, all else as it was given."""
    from fastcli.config.draft import relative_source

    path = Path(given).expanduser()
    return relative_source(path, target) if path.exists() else given


def _schema() -> str:
    """Where an editor finds the schema: in the package."""
    import fastcli.config

    return (Path(fastcli.config.__path__[0]) / "schema.json").as_posix()


def _facts(layout: Layout, samples: Samples, sizes: Sizes | None, target: Path) -> dict[str, Any]:
    return {
        "file": str(target),
        "layout": layout.kind,
        "target": layout.target,
        "classes": {name: samples.counts()[name] for name in samples.classes},
        "train": samples.size("train"),
        "valid": samples.size("valid"),
        "sizes": None if sizes is None else {key: getattr(sizes, key) for key in ("median", "smallest", "largest")},
        "remarks": list(layout.remarks),
    }
