"""An evaluation as one HTML file that needs nothing else: figures, confusion to click, pictures, calibration, curves.

The page is drawn by evaluation.js from JSON in it. What comes from outside (names of files and classes) is in the JSON
alone, in which no tag can end, and becomes text nodes; a policy in the page forbids any other script, and any address.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fastcli.report.evaluation import Evaluation
from fastcli.report.evaluation_groups import Group, groups_of, in_turn
from fastcli.report.evaluation_pictures import drawn_worst, maps_of, printable
from fastcli.report.numbers import finite as finite_ones
from fastcli.report.numbers import series
from fastcli.report.thumbnails import BUDGET, thumbnails
from fastcli.run.files import atomic_write, finite
from fastcli.run.overview import NOT_CURVES

HERE = Path(__file__).parent
WORST = 24
MAPS = 12
PER_CELL = 48
"""Pictures of a cell at most."""
MOST_CLASSES, SOME_CLASSES = 120, 60
"""Of more classes than the first the matrix has only as many as the second, those with the most mistakes."""
MOST_POINTS = 2_000
MOST_ROWS = 2_000
MOST_OUTPUTS = 8
SHARES = ("precision", "recall", "f1", "dice", "jaccard")
NAMES = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1_macro": "F1, mean of the classes",
    "f1_weighted": "F1, weighted by class", "f1_micro": "F1 of all labels", "log_loss": "log loss",
    "calibration_error": "calibration error", "auroc": "AUROC", "top_5_accuracy": "among the 5 likeliest",
    "exact_match": "all labels right", "dice": "Dice", "jaccard": "Jaccard (IoU)", "r2": "R²",
    "mae": "mean error (MAE)", "rmse": "RMSE", "bias": "bias", "loss": "loss",
}  # fmt: skip
LESS = ("log_loss", "calibration_error", "mae", "rmse", "loss")


def write_page(
    evaluation: Evaluation,
    path: Path,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    best_epoch: int | None = None,
    learner: Any = None,
) -> None:
    """Write the page; `history` has a row per epoch of the training, `learner` is asked where it looks."""
    atomic_write(path, page(page_data(evaluation, history=history, best_epoch=best_epoch, learner=learner)))


def page(data: Mapping[str, Any]) -> str:
    """The HTML file that shows `data`."""
    style, script = ((HERE / f"evaluation.{kind}").read_text("utf-8") for kind in ("css", "js"))
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    return "\n".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(data['title'])}</title><style>{style}</style></head><body>",
        '<main id="page"><noscript>A script in this file draws the report. Its figures are in report.json.</noscript>',
        f'</main><script type="application/json" id="data">{in_script(data)}</script>',
        f"<script>{script}</script></body></html>\n",
    ])  # fmt: skip


def in_script(value: Any) -> str:
    """JSON that can stand in a script element: no tag, comment or entity begins in it.

    >>> in_script("</script>&\\u2028")
    '"\\\\u003c/script\\\\u003e\\\\u0026\\\\u2028"'
    """
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def page_data(
    evaluation: Evaluation, *, history: Sequence[Mapping[str, Any]], best_epoch: int | None, learner: Any
) -> dict[str, Any]:
    """What the page draws."""
    found, about = evaluation.interpretation, evaluation.about
    groups = groups_of(found)
    spatial = evaluation.kind in ("mask", "points")
    worst = [] if not found.has_pictures or spatial else found.top_losses(WORST).indices.tolist()
    maps, missing = maps_of(found, learner, worst[:MAPS]) if worst and learner is not None else ([], None)
    left = BUDGET - sum(len(address) for each in maps for address, _ in each["pictures"])
    items = _items(evaluation, groups, worst, left)
    where = " of ".join(
        filter(None, [about.get("split") and f"the {about['split']} split", str(about.get("data", ""))])
    )
    return {
        "title": printable(" on ".join(filter(None, [str(about.get("model", "")), where])) or "evaluation"),
        "about": _about(evaluation), "kind": evaluation.kind, "notes": list(evaluation.notes),
        "figures": _figures(evaluation), "groups": {key: _group(group, items) for key, group in groups.items()},
        "has_groups": bool(items) and bool(groups), "items": items,
        "confusion": _confusion(evaluation), "pairs": _pairs(evaluation),
        "worst": [i for i in worst if i in items],
        "worst_words": "The items of which the model was most wrong." if evaluation.kind == "category" else "",
        "drawn": drawn_worst(found) if found.has_pictures and not worst else None,
        "maps": maps, "maps_missing": missing, "calibration": _calibration(evaluation),
        "residuals": _residuals(evaluation), "residuals_words": _shown(len(found), MOST_POINTS, "points"),
        "per_class": _per_class(evaluation), "history": _history(history, best_epoch),
    }  # fmt: skip


def _about(evaluation: Evaluation) -> str:
    about, n = evaluation.about, len(evaluation.interpretation)
    classes = f"{about['classes']:,} classes" if about.get("classes") else ""
    views = f"each the mean of {about['views']} random views and the plain one" if about.get("views") else ""
    return " · ".join(filter(None, [f"{n:,} items", classes, str(about.get("run", "")), views]))


def _figures(evaluation: Evaluation) -> list[dict[str, str]]:
    made = []
    for name, value in evaluation.figures.items():
        note = "less is better" if name in LESS else ""
        if name == "accuracy" and evaluation.interval:
            low, high = evaluation.interval
            note = f"95 %: {low:.4f} to {high:.4f}"
        shown = "–" if value != value else f"{value:.4f}"
        made.append({"name": NAMES.get(name, name), "value": shown, "note": note})
    return made


def _items(
    evaluation: Evaluation, groups: Mapping[str, Group], worst: Sequence[int], budget: int
) -> dict[int, dict[str, Any]]:
    """The items whose pictures are in the page: the worst, then of every group in turn until the page is full."""
    found = evaluation.interpretation
    if not found.has_pictures or evaluation.kind in ("mask", "points"):
        return {}
    pictures = thumbnails(found, in_turn(groups, PER_CELL, first=worst), budget=budget)
    rows, said = evaluation.predictions, _words_of(evaluation)
    return {i: {"name": printable(rows[i]["path"]), "said": said(rows[i]), "loss": rows[i]["loss"], "picture": address}
            for i, address in pictures.items()}  # fmt: skip


def _words_of(evaluation: Evaluation) -> Any:
    if evaluation.kind == "category":
        return lambda row: f"{row['predicted']} {row.get('score', 0):.0%}, is {row['label']}"
    if evaluation.kind == "multi_category":
        return lambda row: f"{row['predicted'] or 'nothing'}, is {row['label'] or 'nothing'}"
    if evaluation.kind == "regression":

        def numbers(row: Mapping[str, Any]) -> str:
            ends = [key.removeprefix("target") for key in row if key.startswith("target")][:MOST_OUTPUTS]
            return ", ".join(f"{row[f'predicted{end}']:.4g} for {row[f'target{end}']:.4g}" for end in ends)

        return numbers
    return lambda row: f"{row['predicted']}, is {row['label']}" if "predicted" in row else ""


def _group(group: Group, items: Mapping[int, Any]) -> dict[str, Any]:
    return {"title": group.title, "total": len(group.items), "ids": [i for i in group.items if i in items]}


def _confusion(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.kind not in ("category", "mask"):
        return None
    matrix, classes = evaluation.interpretation.confusion_matrix(), evaluation.interpretation.classes
    total, right = int(matrix.sum()), int(matrix.diag().sum())
    words = f"{right:,} of {total:,} {'pixels' if evaluation.kind == 'mask' else 'items'} are right."
    shown = list(range(len(classes)))
    if len(classes) > MOST_CLASSES:
        mistakes = matrix.sum(0) + matrix.sum(1) - 2 * matrix.diag()
        shown = sorted(mistakes.topk(SOME_CLASSES).indices.tolist())
        words += (
            f" Drawn are the {SOME_CLASSES} of {len(classes):,} classes with the most mistakes; confusion.csv has all."
        )
    cells = [[i, j, count] for i in shown for j in shown if (count := int(matrix[i, j]))]
    return {"classes": classes, "shown": shown, "cells": cells, "words": words, "totals": matrix.sum(1).tolist()}


def _pairs(evaluation: Evaluation) -> list[list[int]]:
    if evaluation.kind not in ("category", "mask"):
        return []
    matrix = evaluation.interpretation.confusion_matrix()
    matrix.fill_diagonal_(0)
    worst = matrix.flatten().topk(min(15, matrix.numel()))
    n = len(matrix)
    return [[place // n, place % n, count]
            for count, place in zip(worst.values.tolist(), worst.indices.tolist(), strict=True) if count]  # fmt: skip


def _calibration(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.calibration is None:
        return None
    error, bins = evaluation.calibration
    return {"error": error, "bins": [bin._asdict() for bin in bins]}


def _residuals(evaluation: Evaluation) -> list[dict[str, Any]] | None:
    if evaluation.kind != "regression":
        return None
    found = evaluation.interpretation
    n = len(found)
    true, predicted = found.targets.reshape(n, -1), found.decisions.reshape(n, -1)
    step = max(1, n // MOST_POINTS)
    names = [printable(name) for name in found.names] or [str(i) for i in range(n)]
    outputs = min(MOST_OUTPUTS, true.shape[1])
    return [{"name": f"output {k + 1}: " if true.shape[1] > 1 else "",
             "points": [[true[i, k].item(), predicted[i, k].item(), names[i]] for i in range(0, n, step)]}
            for k in range(outputs)]  # fmt: skip


def _shown(n: int, most: int, what: str) -> str:
    return f"{most:,} of {n:,} {what} are drawn, evenly taken." if n // most > 1 else ""


def _per_class(evaluation: Evaluation) -> dict[str, Any] | None:
    rows = evaluation.per_class
    if not rows:
        return None
    opened = {"category": (), "multi_category": ("missed", "wrongly given")}.get(evaluation.kind, ())
    columns = [{"name": name, "share": name in SHARES, "opens": False} for name in rows[0]]
    columns += [{"name": name, "share": False, "opens": True} for name in opened]
    extra = _mistakes(evaluation) if opened else [[] for _ in rows]
    words = f"{MOST_ROWS:,} of {len(rows):,} are here; all are in per_class.csv." if len(rows) > MOST_ROWS else ""
    cells = [[*row.values(), *more] for row, more in zip(rows, extra, strict=True)]
    return {"columns": columns, "rows": cells[:MOST_ROWS], "words": words}


def _mistakes(evaluation: Evaluation) -> list[list[int]]:
    """How often each label was missed and wrongly given."""
    both, predicted, true = evaluation.interpretation.class_counts()
    columns = zip((true - both).tolist(), (predicted - both).tolist(), strict=True)
    return [list(pair) for pair in columns]


def _history(rows: Sequence[Mapping[str, Any]], best: int | None) -> dict[str, Any] | None:
    names = dict.fromkeys(name for row in rows for name in row if name not in NOT_CURVES)
    curves = [{"name": name, "values": series(rows, name)} for name in names if finite_ones(series(rows, name))]
    if not curves:
        return None
    words = "" if best is None else f"Orange is epoch {best}, whose model this is."
    return {
        "epochs": [row.get("epoch", i) for i, row in enumerate(rows)],
        "best": best,
        "series": curves,
        "words": words,
    }
