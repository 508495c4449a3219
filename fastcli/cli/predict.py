"""`fastcli predict`: what a trained model says of pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import console
from fastcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastcli.deploy.predictor import Prediction, Predictor
    from fastcli.run.directory import Run

BY_SUFFIX = {".csv": "csv", ".jsonl": "jsonl", ".json": "json"}


def predict(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[RUN] INPUT...", help="A run (else the newest), then files, folders, globs or '-'."),
    ],
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Classes shown per picture.")] = 1,
    format: Annotated[
        str | None, typer.Option(help="table, csv, jsonl or json; else by the suffix of --output.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write instead of stdout.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 64,
    tta: Annotated[int, typer.Option(min=0, help="Augmented views to average per picture.")] = 0,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="For several labels: the least score.")] = 0.5,
    on_error: Annotated[str, typer.Option(help="A picture that cannot be read: skip (a row) or fail.")] = "skip",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; else the training's where it is here.")] = None,
) -> None:
    """Classify pictures with a trained run."""
    _check(format, on_error)
    form = "json" if console.state.json else format or BY_SUFFIX.get((output or Path()).suffix.lower(), "table")
    named, inputs = _split(words)
    paths = list(expand(inputs))
    from fastcli.run.directory import Run

    run = named or Run.open("latest")
    if named is None:
        console.say(f"using {run.shown}")
    from fastcli.deploy.predictor import Predictor

    predictor = Predictor(run, device=device)
    if predictor.warning:
        console.say(f"warning: {predictor.warning}")
    predictions = predictor.predict(paths, batch_size=batch_size, views=tta)
    rows = [row_of(p, predictor, top_k, threshold) for p in predictions]
    _write(FORMATS[form](rows), output)
    _report_errors(rows, on_error)


def _check(format: str | None, on_error: str) -> None:
    from fastcli.errors import did_you_mean

    if format is not None and format not in FORMATS:
        raise UsageError(f"there is no format {format!r}", hint=did_you_mean(format, FORMATS))
    if on_error not in ("skip", "fail"):
        raise UsageError(f"--on-error is skip or fail, not {on_error!r}")


def _split(words: Sequence[str]) -> tuple[Run | None, list[str]]:
    """The run, if the first word is one and more follow, and the inputs."""
    from fastcli.run.directory import Run
    from fastcli.run.find import is_run

    first, rest = words[0], list(words[1:])
    if is_run(Path(first)) or first == "latest":
        if not rest:
            raise UsageError(f"{first} is a run; give pictures after it", hint="fastcli predict RUN image.jpg")
        return Run.open(first), rest
    if rest and first != "-" and not Path(first).exists() and not any(mark in first for mark in "*?["):
        return Run.open(first), rest
    return None, list(words)


def expand(inputs: Sequence[str]) -> Iterator[str]:
    """The files that the inputs mean, in order: files, folders (all pictures below), globs, and '-' for stdin's lines.

    Raises DataError for an input that is nothing of the sort.
    """
    import glob

    for given in inputs:
        if given == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        elif Path(given).is_dir():
            yield from _pictures_below(Path(given))
        elif Path(given).exists():
            yield given
        elif found := sorted(glob.glob(given, recursive=True)):  # noqa: PTH207 - a pattern may be absolute
            yield from (path for path in found if Path(path).is_file())
        else:
            raise DataError(f"no such file or folder: {given}")


def _pictures_below(folder: Path) -> Iterator[str]:
    from fastcli.data.items import image_files

    yield from (str(path) for path in image_files(folder))


def row_of(prediction: Prediction, predictor: Predictor, top_k: int, threshold: float) -> dict[str, Any]:
    """One row of the output: path, label, score, label_2, score_2, …, error."""
    row: dict[str, Any] = {"path": prediction.path}
    kind, scores = predictor.config.data.target.name, prediction.scores
    if kind == "regression":
        n = predictor.n_out
        row |= {"value" if n == 1 else f"value_{i + 1}": scores[i] if scores else None for i in range(n)}
    elif kind == "multi_category":
        chosen = [(name, s) for name, s in zip(predictor.classes, scores, strict=False) if s >= threshold]
        row |= {"label": "|".join(n for n, _ in chosen), "score": "|".join(f"{s:.4f}" for _, s in chosen)}
    else:
        ranked = sorted(zip(predictor.classes, scores, strict=False), key=lambda pair: -pair[1])
        for rank in range(min(top_k, len(predictor.classes))):
            suffix = "" if rank == 0 else f"_{rank + 1}"
            label, score = ranked[rank] if scores else (None, None)
            row |= {f"label{suffix}": label, f"score{suffix}": score}
    return row | {"error": prediction.error}


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Columns for people; the column `error` only where there is one."""
    if not rows:
        return "no pictures"
    names = [name for name in rows[0] if name != "error" or any(row["error"] for row in rows)]
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
                     for line in cells)  # fmt: skip


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Comma-separated, with a header."""
    import csv
    import io

    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().rstrip("\n")


def as_jsonl(rows: Sequence[dict[str, Any]]) -> str:
    """One JSON object a line."""
    import json

    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    """One JSON list."""
    import json

    return json.dumps(list(rows), ensure_ascii=False, indent=2)


FORMATS = {"table": as_table, "csv": as_csv, "jsonl": as_jsonl, "json": as_json}


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        console.data(text)
        return
    from fastcli.run.files import atomic_write

    atomic_write(output, text + "\n")
    console.say(f"wrote {output}")


def _report_errors(rows: Sequence[dict[str, Any]], on_error: str) -> None:
    bad = [row for row in rows if row["error"]]
    if not bad:
        return
    if on_error == "fail":
        raise DataError(f"{len(bad)} of {len(rows)} files could not be read, the first: {bad[0]['error']}")
    console.say(f"{len(bad)} of {len(rows)} files could not be read")
