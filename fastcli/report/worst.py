"""Pictures of the items with the largest losses, with what was predicted and what was right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcli.report.style import INK, VALID, save
from fastcli.show.grid import Part, Sample, aspect_of, cells, draw_sample
from fastcli.show.kernels import in_words, write_title
from fastcli.types import Category, Image, Label, MultiCategory

WIDTH = 2.1
"""Of one picture in inches."""


def plot_worst(
    samples: Sequence[Sample],
    predicted: Sequence[Part],
    losses: Sequence[float],
    probabilities: Sequence[float | None],
    path: Path | str | None = None,
    *,
    rows: int | None = None,
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """A figure of samples, the target last, each under its loss and what was predicted, orange where that is wrong.

    What is drawn (masks, points) is drawn twice, the target on the left. With `path` it is written there.
    """
    n, labels = len(samples), all(isinstance(element, Label) for element, _ in predicted)
    if rows is None and columns is None:
        columns = math.ceil(math.sqrt(n)) if labels else 2 * math.ceil(math.sqrt(n / 2))
    figure, grid = cells(n if labels else 2 * n, aspect_of(samples), rows=rows, columns=columns, figsize=figsize,
                         width=WIDTH, lines=3 if labels else 1, hidden=path is not None)  # fmt: skip
    shown = list(zip(samples, predicted, losses, probabilities, strict=True))[: len(grid) // (1 if labels else 2)]
    for i, (sample, guess, loss, probability) in enumerate(shown):
        if labels:
            _draw_labelled(grid[i], sample, guess, loss, probability)
        else:
            draw_sample(grid[2 * i], sample, f"target, loss {loss:.3g}")
            draw_sample(grid[2 * i + 1], [*sample[:-1], guess], "predicted")
    if path is not None:
        save(figure, Path(path))
    return figure


def _draw_labelled(axes: Any, sample: Sample, guess: Part, loss: float, probability: float | None) -> None:
    draw_sample(axes, [part for part in sample if isinstance(part[0], Image)])
    actual, said = in_words(sample[-1][1]), in_words(guess[1])
    wrong = isinstance(guess[0], Category | MultiCategory) and said != actual  # numbers are never quite equal
    sure = "" if probability is None else f", {probability:.0%} sure"
    for line in (f"loss {loss:.3g}{sure}", said, f"is {actual}"):
        write_title(axes, line, VALID if wrong else INK)
