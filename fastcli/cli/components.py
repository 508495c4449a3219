"""`fastcli components`: every piece that a configuration can name, with its parameters."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.config.explain import Part


def components(
    kind_or_name: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]", help="optimizer, loss, callback, …; or a name.", autocompletion=complete.components
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Of this kind.", show_default=False, autocompletion=complete.components),
    ] = None,
) -> None:
    """List the pieces that a configuration can name, those of one kind, or show one in full."""
    from fastcli.config.explain import parts
    from fastcli.config.shapes import Shapes

    every = parts(Shapes.shipped())
    found, in_full = _found(every, kind_or_name, name)
    if console.state.json:
        console.document({"components": [_as_data(part) for part in found]})
    elif in_full:
        for i, part in enumerate(found):
            console.data("" if i else f"{part.kind.replace('_', ' ')} {part.name}")
            _show_in_full(part, heading=bool(i))
    else:
        _show_list(found, kind_or_name is None)


def _found(every: Sequence[Part], kind_or_name: str | None, name: str | None) -> tuple[list[Part], bool]:
    """The components that were asked for, and whether they were asked for by name."""
    if kind_or_name is None:
        return list(every), False
    kind = _kind(kind_or_name, {part.kind for part in every})
    chosen = [part for part in every if part.kind == kind]
    if kind is not None and name is None:
        return chosen, False
    if name is not None and kind is None:
        raise UsageError(f"there is no kind {kind_or_name!r}", hint=did_you_mean(kind_or_name, {p.kind for p in every}))
    word = name or kind_or_name
    named = [part for part in (chosen or every) if part.name == word]
    if not named:
        known = {part.name for part in (chosen or every)} | (set() if name else {part.kind for part in every})
        what = f"{kind} {word!r}" if kind else f"component {word!r}"
        raise UsageError(f"there is no {what}", hint=did_you_mean(word, known, limit=12))
    return named, True


def _kind(word: str, kinds: set[str]) -> str | None:
    """The kind that a word means: in the singular or plural, or by its place in the YAML.

    >>> _kind("losses", {"loss"}), _kind("data.batch_transforms", {"batch_transform"}), _kind("adam", {"loss"})
    ('loss', 'batch_transform', None)
    """
    word = word.lower().removeprefix("data.").replace("-", "_").replace(" ", "_")
    word = {"train": "recipe"}.get(word, word)
    return next((form for form in (word, word.removesuffix("s"), word.removesuffix("es")) if form in kinds), None)


def _show_list(found: Sequence[Part], with_kind: bool) -> None:
    from fastcli.cli.tables import Column, show

    kinds = [Column("kind", style="dim")] if with_kind else []
    columns = [*kinds, Column("name", style="bold"), Column("signature", order=1, least=24),
               Column("what", least=20)]  # fmt: skip
    show(columns, [[*([part.kind] if with_kind else []), part.name, part.signature, part.about] for part in found])
    first = found[0].name if found else "adam"
    console.say(f"{len(found)} components; one in full: fastcli components {first}")


def _show_in_full(part: Part, *, heading: bool) -> None:
    from fastcli.cli.tables import Column, show
    from fastcli.registry import REGISTRIES

    if heading:
        console.data(f"{part.kind.replace('_', ' ')} {part.name}")
    console.data(part.about)
    console.data("")
    if part.parameters:
        show(
            [Column("parameter", style="bold"), Column("default", least=8), Column("allowed", least=16)],
            [(one.name, one.shown_default, one.allowed) for one in part.parameters],
        )
        console.data("")
    given = ", ".join(REGISTRIES[part.kind].given) if part.kind in REGISTRIES else ""
    console.data(f"in YAML  {part.example}")
    if given:
        console.data(f"in Python  {part.name}({given}, …)")


def _as_data(part: Part) -> dict[str, Any]:
    return {**asdict(part), "signature": part.signature}
