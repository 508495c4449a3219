"""The files of an evaluation for programs: report.json and tables as CSV; and the confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastcli.report.evaluation import Evaluation
from fastcli.run.files import atomic_write, csv_text, make_directory, write_json

MOST_DRAWN = 400
"""Classes of which confusion.png is drawn."""


def write_files(evaluation: Evaluation, folder: Path) -> list[str]:
    """Write what there is for this kind of target into `folder`; returns the names of the files."""
    make_directory(folder)
    tables: dict[str, Iterable[Sequence[Any]]] = {"predictions.csv": _rows(evaluation.predictions)}
    if evaluation.per_class:
        tables["per_class.csv"] = _rows(evaluation.per_class)
    if evaluation.kind in ("category", "mask"):
        tables |= _confusion(evaluation)
    write_json(folder / "report.json", evaluation.as_data())
    for name, rows in tables.items():
        atomic_write(folder / name, csv_text(rows))
    drawn = "confusion.csv" in tables and len(evaluation.interpretation.classes) <= MOST_DRAWN
    if drawn:
        evaluation.interpretation.plot_confusion_matrix(folder / "confusion.png")
    return ["report.json", *tables, *(["confusion.png"] if drawn else [])]


def _rows(table: Sequence[dict[str, Any]]) -> Iterable[Sequence[Any]]:
    return [list(table[0]), *(list(row.values()) for row in table)] if table else []


def _confusion(evaluation: Evaluation) -> dict[str, Iterable[Sequence[Any]]]:
    """How often each class (row) was predicted as each (column), as counts and as shares of the row."""
    matrix, names = evaluation.interpretation.confusion_matrix(), evaluation.interpretation.classes
    totals = matrix.sum(1, keepdim=True)
    shares = (matrix.double() / totals.clamp_min(1)).tolist()
    head = ["actual \\ predicted", *names]
    return {
        "confusion.csv": [head, *([name, *row] for name, row in zip(names, matrix.tolist(), strict=True))],
        "confusion_rates.csv": [
            head,
            *([name, *(f"{share:.6g}" for share in row)] for name, row in zip(names, shares, strict=True)),
        ],
    }
