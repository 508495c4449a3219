"""`fastcli data pixels`: the numbers that a picture is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastcli.cli import console

if TYPE_CHECKING:
    from fastcli.survey.pixels import Greys


def pixels(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    rows: Annotated[str | None, typer.Option(help="Rows from the top, such as 7:20; else all, or the middle.")] = None,
    cols: Annotated[str | None, typer.Option(help="Columns from the left, such as 7:20.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="HTML page to write instead.")] = None,
) -> None:
    """Show the grey values of a picture as a grid, each number on its own grey: 0 is black and 255 is white."""
    from fastcli.run.files import atomic_write, make_directory
    from fastcli.survey import pixels as grid

    greys = grid.greys_of(image)
    down, across = grid.span(rows, greys.shape[0], "rows"), grid.span(cols, greys.shape[1], "cols")
    values = grid.part(greys, down, across)
    if output is not None:
        make_directory(output.parent)
        atomic_write(output, grid.page(values, down, across, image.name))
        console.say(f"wrote {output}")
    elif not console.state.json:
        console.data(_drawn(values, down, across))
    if console.state.json:
        console.document({"size": [greys.shape[1], greys.shape[0]], "rows": [down.start, down.stop],
                          "cols": [across.start, across.stop], "values": values.tolist()})  # fmt: skip
    console.say(f"{image}: {greys.shape[1]} x {greys.shape[0]} pixels, grey; rows {down.start}:{down.stop}, "
                f"columns {across.start}:{across.stop}")  # fmt: skip


def _drawn(values: Greys, down: range, across: range) -> str:
    """The grid, in colour where stdout is a terminal that shows it."""
    from fastcli.cli.tables import coloured
    from fastcli.survey import pixels as grid

    if not coloured():
        return grid.in_words(values, down, across)
    true_colour = os.environ.get("COLORTERM") in ("truecolor", "24bit")
    return grid.in_colour(values, down, across, true_colour=true_colour)
