"""`fastcli predict`: what a trained model says of pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastcli.deploy.predictor import Prediction, Predictor
    from fastcli.run.directory import Run

BY_SUFFIX = {".csv": "csv", ".jsonl": "jsonl", ".json": "json"}


def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] INPUT...",
            help="A run (else the newest), then files, folders, globs or '-'.",
            autocompletion=complete.runs,
        ),
    ],
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Classes shown per picture.")] = 1,
    format: Annotated[
        str | None, typer.Option(help="table, csv, jsonl or json; else by the suffix of --output.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write instead of stdout.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 64,
    tta: Annotated[int, typer.Option(min=0, help="Augmented views to average per picture.")] = 0,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="For several labels: the least score.")] = 0.5,
    masks: Annotated[Path | None, typer.Option(help="For a mask target: folder to write each mask to, as PNG.")] = None,
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

    predictor = Predictor(run, device=device, trust=console.trust())
    if predictor.warning:
        console.say(f"warning: {predictor.warning}")
    predictions = predictor.predict(paths, batch_size=batch_size, views=tta, threshold=threshold)
    if masks is not None:
        predictions = _write_masks(predictions, _for_masks(masks, predictor))
    rows = [row_of(p, predictor, top_k) for p in predictions]
    _write(FORMATS[form](rows), output)
    _report_errors(rows, on_error)


def _for_masks(folder: Path, predictor: Predictor) -> Path:
    """The folder, if there are masks to write."""
    if predictor.config.data.target.name != "mask":
        hint = "--masks is for models with data.target: mask"
        raise UsageError(f"{predictor.run.shown} does not predict masks", hint=hint)
    return folder


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


def row_of(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    """One row of the output: path, then label, score, label_2, score_2, …, or what else the target says; error."""
    from fastcli.types import Category, KeyPoints, Mask, MultiCategory, Regression

    rows = {Category: _ranked, MultiCategory: _chosen, Regression: _numbers, KeyPoints: _points, Mask: _shares}
    kind = next((rows[base] for base in predictor.encoder.element.__mro__ if base in rows), _in_words)
    return {"path": prediction.path, **kind(prediction, predictor, top_k), "error": prediction.error}


def _ranked(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    """The likeliest classes and their scores."""
    scores = [] if prediction.scores is None else prediction.scores.tolist()
    ranked = sorted(zip(predictor.classes, scores, strict=False), key=lambda pair: -pair[1])
    row: dict[str, Any] = {}
    for rank in range(min(top_k, len(predictor.classes))):
        suffix = "" if rank == 0 else f"_{rank + 1}"
        row[f"label{suffix}"], row[f"score{suffix}"] = ranked[rank] if ranked else (None, None)
    return row


def _chosen(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    """All classes above the threshold, and their scores."""
    if prediction.scores is None or prediction.decision is None:
        return {"label": None, "score": None}
    given = zip(predictor.classes, prediction.scores.tolist(), prediction.decision.tolist(), strict=True)
    chosen = [(name, score) for name, score, decision in given if decision]
    return {"label": "|".join(name for name, _ in chosen), "score": "|".join(f"{score:.4f}" for _, score in chosen)}


def _numbers(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    values = [None] * predictor.n_out if prediction.scores is None else prediction.scores.tolist()
    return {"value" if len(values) == 1 else f"value_{i + 1}": value for i, value in enumerate(values)}


def _points(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    """Each point in pixels of its picture."""
    n = predictor.n_out // 2
    points = [(None, None)] * n if prediction.decision is None else prediction.decision.tolist()
    return {f"{axis}_{i + 1}": value for i, point in enumerate(points) for axis, value in zip("xy", point, strict=True)}


def _shares(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    """Each class's share of the picture."""
    if prediction.decision is None:
        return dict.fromkeys(predictor.classes)
    codes = prediction.decision.long().flatten().bincount(minlength=len(predictor.classes))
    return dict(zip(predictor.classes, (codes / codes.sum()).tolist(), strict=True))


def _in_words(prediction: Prediction, predictor: Predictor, top_k: int) -> dict[str, Any]:
    """What the target's encoder says."""
    known = prediction.decision is not None
    return {"label": predictor.encoder.decode(prediction.decision) if known else None}


def _write_masks(predictions: Iterator[Prediction], folder: Path) -> Iterator[Prediction]:
    """The predictions, the mask of each written on the way: PNG, the codes of the classes, the picture's size."""
    from PIL import Image

    from fastcli.run.files import atomic_path

    taken: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
    for prediction in predictions:
        if prediction.decision is not None:
            name = stem = Path(prediction.path).stem
            while name in taken:
                name = f"{stem}_{len(taken)}"
            taken.add(name)
            with atomic_path(folder / f"{name}.png") as unfinished:
                Image.fromarray(prediction.decision.numpy()).save(unfinished, format="PNG")
        yield prediction


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
