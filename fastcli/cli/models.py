"""`fastcli models`: which pretrained models there are, how good and how costly, and which to take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcli.models.published import Cache, Published

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List pretrained models and choose one.")

SORTS = ("top1", "params", "gmacs", "size", "name")
SOURCE = "timm's results on ImageNet-1k; 'size' is the picture's, in pixels"
UNITS = {"": 1e-6, "k": 1e-3, "m": 1.0, "b": 1e3, "g": 1e3}


@app.command("list", epilog=console.example("fastcli models list --suggest --max-params 30M --license apache-2.0"))
def list_models(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATTERN]",
            help="A part of the name, or a glob.",
            show_default=False,
            autocompletion=complete.models,
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Of this family: resnet, convnext, vision_transformer, …", autocompletion=complete.families),
    ] = None,
    max_params: Annotated[str | None, typer.Option(metavar="N", help="At most so many parameters: 30M.")] = None,
    max_gmacs: Annotated[float | None, typer.Option(help="At most so many billion multiplications a picture.")] = None,
    max_size: Annotated[int | None, typer.Option(help="Measured on pictures of at most so many pixels a side.")] = None,
    min_top1: Annotated[float | None, typer.Option(help="At least so accurate, in percent.")] = None,
    license: Annotated[str | None, typer.Option(help="Of the weights; a glob: 'apache*'.")] = None,
    cached: Annotated[bool, typer.Option("--cached", help="Those whose weights are on this machine.")] = False,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="The most accurate for each cost, cheapest first.")
    ] = False,
    sort: Annotated[str, typer.Option(help=f"{', '.join(SORTS)}.")] = "top1",
    number: Annotated[int, typer.Option("-n", "--number", min=0, help="The first so many; 0: all.")] = 30,
) -> None:
    """List models with their accuracy, parameters, cost and licence; any of them can be `model.name`."""
    from fastcli.models.published import Cache, chosen, published

    _check(family, sort)
    bounds: dict[str, Any] = {"max_gmacs": max_gmacs, "max_size": max_size, "min_top1": min_top1, "license": license}
    most = millions(max_params) if max_params is not None else None
    rows = chosen(published(), pattern=pattern, family=family, max_params=most, **bounds)
    cache = Cache()
    rows = [row for row in rows if not cached or row in cache]
    by_params = most is not None and max_gmacs is None
    rows = _suggested(rows, by_params=by_params) if suggest else _ordered(rows, sort)
    shown = rows[: number or None]
    if console.state.json:
        console.document({"models": [_as_data(row, cache) for row in shown], "total": len(rows)})
    else:
        _show(shown, cache)
        _say_more(shown, rows, pattern)
        if suggest and rows:
            console.say(f"the most accurate for each number of {'parameters' if by_params else 'GMACs'}")


def _check(family: str | None, sort: str) -> None:
    from fastcli.models.published import published

    if sort not in SORTS:
        raise UsageError(f"cannot sort by {sort!r}", hint=did_you_mean(sort, SORTS))
    families = {row.family for row in published()}
    if family is not None and family not in families:
        raise UsageError(f"there is no family {family!r}", hint=did_you_mean(family, families))


def millions(text: str) -> float:
    """A number of parameters in millions.

    >>> millions("30M"), millions("1.5B"), millions("500k"), millions("25_000_000")
    (30.0, 1500.0, 0.5, 25.0)
    """
    found = re.fullmatch(r"([\d_]*\.?\d+)\s*([kmbg]?)", text.strip().lower())
    if found is None or not (found.group(2) or float(found.group(1).replace("_", "")) >= 1000):
        raise UsageError(f"--max-params: {text!r} is no number of parameters", hint="write 30M, 500k or 1.5B")
    return float(found.group(1).replace("_", "")) * UNITS[found.group(2)]


def _suggested(rows: Sequence[Published], *, by_params: bool) -> list[Published]:
    """The front of accuracy against parameters if these alone are bounded, else against GMACs."""
    from fastcli.models.published import front

    return front(rows, (lambda row: row.params) if by_params else (lambda row: row.gmacs))


def _ordered(rows: Sequence[Published], sort: str) -> list[Published]:
    from fastcli.models.published import order

    return order(rows, sort)


def _show(rows: Sequence[Published], cache: Cache) -> None:
    from fastcli.cli.tables import Column, show

    columns = (
        Column("model", least=26),
        Column("top-1", right=True, style="bold"),
        Column("top-5", right=True, order=6),
        Column("params M", right=True),
        Column("GMACs", right=True, order=1),
        Column("size", right=True, order=2),
        Column("licence", order=3, least=8),
        Column("family", order=5),
        Column("here", order=4, style="green"),
    )
    if rows:
        show(columns, [
            (row.name, _figure(row.top1), _figure(row.top5), _figure(row.params, 1), _figure(row.gmacs), str(row.size),
             row.license, row.family, "cached" if row in cache else " ")
            for row in rows
        ])  # fmt: skip


def _say_more(shown: Sequence[Published], rows: Sequence[Published], pattern: str | None) -> None:
    from fastcli.models.published import published

    if not rows:
        names = {row.architecture for row in published()}
        near = did_you_mean(pattern, names, limit=0) if pattern else ""
        hint = f" · {near}" if near.startswith("did") else ""
        console.say(f"no model is within these bounds{hint}")
    elif len(shown) < len(rows):
        console.say(f"{len(shown)} of {len(rows):,} · -n 0 shows all · {SOURCE}")
    else:
        console.say(SOURCE)


def _figure(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _as_data(row: Published, cache: Cache) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(row), "cached": row in cache}


@app.command(epilog=console.example("fastcli models info resnet50"))
def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="An architecture, or one with the tag of its weights.", autocompletion=complete.models
        ),
    ],
) -> None:
    """Show one model: its weights, what they reach at which size, what they cost, licence and how to use them."""
    from fastcli.models.published import Cache, published

    rows = [row for row in published() if name in (row.name, row.architecture)]
    if not rows:
        raise _unknown(name)
    cache = Cache()
    main = next((row for row in rows if row.default or row.name == name), rows[0])
    if console.state.json:
        console.document({"name": name, "default": main.name, "weights": [_as_data(row, cache) for row in rows]})
        return
    here = "on this machine" if main in cache else "downloaded when a training asks for it"
    params = f"{_figure(main.params, 1)} M parameters" if main.params else "parameters not published"
    for word, value in {
        "model": f"{main.architecture} ({main.family}, {params})",
        "weights": f"{main.name}, {here}",
        "from": main.weights,
        "licence": main.license,
        "use": f"model: {{name: {name}}}",
    }.items():
        console.data(f"{word:8} {value}")
    console.data("")
    _show_weights(rows, cache)


def _unknown(name: str) -> UsageError:
    from fastcli.config.shapes import Shapes
    from fastcli.models.published import published

    own = [one for one in Shapes.shipped().names("model") if one != "timm"]
    if name in own:
        return UsageError(f"{name!r} is fastcli's own model", hint=f"fastcli components {name}")
    architecture = name.partition(".")[0]
    tags = [row.name for row in published() if row.architecture == architecture]
    known = tags or {row.architecture for row in published()}
    return UsageError(f"there is no model {name!r} with pretrained weights", hint=did_you_mean(name, known, limit=12))


def _show_weights(rows: Sequence[Published], cache: Cache) -> None:
    from fastcli.cli.tables import Column, show

    columns = (
        Column("weights", least=16),
        Column("size", right=True),
        Column("top-1", right=True, style="bold"),
        Column("top-5", right=True, order=3),
        Column("GMACs", right=True, order=1),
        Column("licence", order=2, least=8),
        Column("", style="green"),
    )
    ordered = sorted(rows, key=lambda row: (-(row.top1 or 0), row.name))
    marks = [" ".join(["default"] * row.default + ["cached"] * (row in cache)) or " " for row in ordered]
    show(columns, [
        (row.name, str(row.size), _figure(row.top1), _figure(row.top5), _figure(row.gmacs), row.license, mark)
        for row, mark in zip(ordered, marks, strict=True)
    ])  # fmt: skip
