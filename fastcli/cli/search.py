"""`fastcli data search`: pictures of something from the web, into one folder."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastcli.cli import console
from fastcli.cli.samples import counting
from fastcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.survey.gather import Gathered
    from fastcli.survey.image_search import Hit

SPARE = 1.6
"""So many times the pictures that are wanted are asked for: some are gone, no pictures, or there twice."""


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help='What to look for: "grizzly bear".')],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Of the search: safe=off, region=uk-en.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.", show_default=False)] = Path(),
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1000, help="Pictures wanted.")] = 100,
    provider: Annotated[
        str, typer.Option(help="ddgs (no key), bing (SerpAPI, key in SERPAPI_API_KEY), or one of a plugin.")
    ] = "ddgs",
    plugin: Annotated[list[Path] | None, typer.Option(help="Python file that registers a provider.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Downloads at a time.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Most time for one picture.")] = 20.0,
    max_mb: Annotated[float, typer.Option(min=0.01, help="Largest file in MiB.")] = 20.0,
    min_side: Annotated[int, typer.Option(min=1, help="Least pixels of the shorter side.")] = 64,
) -> None:
    """Search the web for pictures and download them, checked, each once, into the folder of their class.

    What cannot be decoded, is too large or too small, or looks like a picture that is there is left out, with the
    reason. sources.csv in the folder says where each is from; their licences are for you to mind.
    """
    from fastcli.survey.gather import Limits, gather

    if output == Path():
        raise UsageError("missing option '-o'", hint=f"such as -o data/{_slug(query)}")
    hits = _find(query, options or (), provider, plugin or (), int(number * SPARE) + 10)
    limits = Limits(seconds, int(max_mb * 2**20), min_side)
    with counting(f"getting {query}", number) as progress:
        found = gather(hits, output, _slug(query), number, limits=limits, workers=workers, progress=progress)
    _show(found, output, query, number)
    if not found.files and not found.duplicates:
        raise DataError(f"none of the {len(hits)} pictures of {query!r} could be had", hint=_commonest(found))


def _find(query: str, options: Sequence[str], provider: str, plugins: Sequence[Path], count: int) -> list[Hit]:
    """The addresses that the provider knows. Raises ConfigError for one that does not exist, DataError for none."""
    import fastcli.survey.image_search  # noqa: F401 - registers the searches
    from fastcli.registry import image_searches

    for file in plugins:
        _import(file)
    pairs = [option.partition("=") for option in options]
    if wrong := next((key for key, equals, _ in pairs if not equals), None):
        raise UsageError(f"{wrong!r} is no KEY=VALUE", hint='put a query of several words in quotes: "grizzly bear"')
    hits: list[Hit] = image_searches.build(provider, query, count, **{key: value for key, _, value in pairs})
    if not hits:
        raise DataError(f"{provider} finds no pictures of {query!r}", hint="other words, or another --provider")
    return hits


def _import(file: Path) -> None:
    from fastcli.config.plugins import import_file

    if not file.is_file():
        raise UsageError(f"no plugin {file}")
    try:
        import_file(file.absolute())
    except Exception as error:
        raise UsageError(f"plugin {file}: {type(error).__name__}: {error}") from error


def _slug(query: str) -> str:
    """The query as the beginning of a file's name.

    >>> _slug("Grizzly bear (Ursus arctos)!"), _slug("../熊"), _slug("...")
    ('grizzly-bear-ursus-arctos', '熊', 'picture')
    """
    return re.sub(r"[\W_]+", "-", query.lower()).strip("-")[:60] or "picture"


def _commonest(found: Gathered) -> str | None:
    """The reason that most of them failed for."""
    reasons = Counter(found.failed.values()).most_common(1)
    return f"most of them: {reasons[0][0]}" if reasons else None


def _show(found: Gathered, folder: Path, query: str, wanted: int) -> None:
    from fastcli.data.fetch import shown_url
    from fastcli.survey.layout import printable

    for url, reason in found.failed.items() if console.state.verbose else ():
        console.say(f"  {printable(shown_url(url))}: {printable(reason)}")
    for url, same in found.duplicates.items() if console.state.verbose else ():
        console.say(f"  {printable(shown_url(url))}: the same as {same}")
    if console.state.json:
        console.document({"query": query, "folder": str(folder), "files": [path.name for path in found.files],
                          "sources": {file: url for file, url, _ in found.sources}, "failed": found.failed,
                          "duplicates": found.duplicates})  # fmt: skip
    else:
        console.data(f"{len(found.files)} new pictures in {folder}")
    left_out = f"{len(found.failed)} failed, {len(found.duplicates)} were there already or twice"
    console.say(f"{left_out}{'' if console.state.verbose else ' (-v says which and why)'}")
    if found.files and len(found.files) < wanted:
        console.say(f"{wanted - len(found.files)} fewer than wanted: other words find others")
    if found.files:
        console.say(f"next: look through {folder}, then fastcli init {folder.parent}")
