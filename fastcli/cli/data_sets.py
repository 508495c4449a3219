"""`fastcli data list` and `data get`: the data sets that are known by name, and how they come here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.errors import UsageError

if TYPE_CHECKING:
    from fastcli.data.catalog import KnownDataset


def list_known(
    word: Annotated[str, typer.Argument(metavar="[WORD]", help="Only those whose name or words have it.")] = "",
) -> None:
    """List the data sets that can be named as data.source, how large they are, and which are here already."""
    from fastcli.cli import tables
    from fastcli.data.catalog import KNOWN

    found = [known for known in KNOWN.values() if word.lower() in f"{known.name} {known.description}".lower()]
    if not found:
        raise UsageError(f"no known data set has {word!r} in its name or description", hint="fastcli data list")
    if console.state.json:
        console.document([_facts(known) for known in found])
        return
    columns = [tables.Column("name"), tables.Column("download", right=True), tables.Column("here"),
               tables.Column("what it is", least=20)]  # fmt: skip
    tables.show(columns, [[known.name, _size(known), _place(known), known.description] for known in found])


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A known data set, or the URL of an archive.")],
    force: Annotated[bool, typer.Option("--force", help="Download and extract it anew.")] = False,
) -> None:
    """Download and extract a data set, and print the folder it is in; what is here already is not fetched again.

    An interrupted download goes on where it stopped. Size and checksum are checked.
    """
    from fastcli.cli.downloads import show_progress
    from fastcli.data.catalog import KNOWN, find_known
    from fastcli.data.download import URL, untar_data
    from fastcli.errors import did_you_mean

    known = find_known(name)
    if known is None and not URL.match(name):
        raise UsageError(f"no known data set {name!r}", hint=did_you_mean(name, KNOWN))
    with show_progress(f"getting {name}") as progress:
        folder = untar_data(name, force=force, progress=progress)
    if console.state.json:
        console.document({"name": known.name if known else None, "path": str(folder)})
        return
    console.data(str(folder))
    console.say(f"next: fastcli init {known.name if known else name}")


def _size(known: KnownDataset) -> str:
    """The size of the archive in words."""
    from fastcli.cli.run_words import size

    if known.bundled:
        return "ships"
    return "?" if known.size is None else size(known.size)


def _place(known: KnownDataset) -> str:
    return "yes" if _is_here(known) else ""


def _is_here(known: KnownDataset) -> bool:
    from fastcli.data.archive import is_complete
    from fastcli.data.download import folder_of

    return is_complete(folder_of(known))


def _facts(known: KnownDataset) -> dict[str, Any]:
    from fastcli.data.download import folder_of

    return {
        "name": known.name,
        "description": known.description,
        "url": known.url,
        "bytes": known.size,
        "here": _is_here(known),
        "path": str(folder_of(known)),
    }
