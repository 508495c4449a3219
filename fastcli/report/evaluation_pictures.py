"""The pictures of a report that are not thumbnails: where a model looks, and what lies on pictures (masks, points)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import PIL.Image as Pillow
from torch import Tensor

from fastcli.data.plan import Batch
from fastcli.learner.inference import items_of
from fastcli.report.grad_cam import grad_cam
from fastcli.report.interpret import Interpretation
from fastcli.report.thumbnails import address_of, as_address, heated
from fastcli.run.files import encoded
from fastcli.show.kernels import picture

DRAWN = 12
DRAWN_WIDTH = 1400
"""Pixels."""
SIDE = 168
Maps = list[dict[str, Any]]


def maps_of(found: Interpretation, learner: Any, indices: Sequence[int]) -> tuple[Maps, str | None]:
    """Where the model looks in these items, for the predicted and the true class; or why that cannot be said."""
    loader, items = learner.valid_loader, items_of(learner.valid_loader)
    if found.target.kind != "category" or items is None or learner.n_inputs != 1:
        return [], None
    inputs = loader.load(Batch(0, 0, tuple(items[i] for i in indices)))[0]
    said, true = found.decisions[list(indices)], found.targets.reshape(-1)[list(indices)]
    heats = [grad_cam(learner.model, inputs, classes) for classes in (said, true)]
    if heats[0] is None or heats[1] is None:
        return [], "This model makes no map of features from which Grad-CAM could tell where it looks."
    shown = loader.batches.decode(inputs).cpu()
    return [_row(found, i, picture(shown[k]), heats[0][k], heats[1][k]) for k, i in enumerate(indices)], None


def _row(found: Interpretation, index: int, pixels: Any, of_said: Tensor, of_true: Tensor) -> dict[str, Any]:
    said, true = found.classes[int(found.decisions[index])], found.classes[int(found.targets[index])]
    drawn = [(pixels, "the picture"), (heated(pixels, of_said), f"what spoke for {said}")]
    if said != true:
        drawn.append((heated(pixels, of_true), f"what spoke for {true}"))
    sure = "" if found.scores is None else f" {found.scores[index].max().item():.0%}"
    name = found.names[index] if found.names else str(index)
    return {"name": printable(name), "said": f"{said}{sure}, is {true}",
            "pictures": [[address_of(shown, SIDE), words] for shown, words in drawn]}  # fmt: skip


def drawn_worst(found: Interpretation) -> dict[str, str]:
    """The items with the largest losses as one picture, with what lies on them."""
    written = io.BytesIO()
    figure = found.plot_top_losses(DRAWN)
    figure.savefig(written, format="png")
    drawn = Pillow.open(written).convert("RGB")
    drawn.thumbnail((DRAWN_WIDTH, 4 * DRAWN_WIDTH))
    words = f"The {min(DRAWN, len(found))} items of which the model was most wrong."
    return {"picture": as_address(drawn, "JPEG", quality=82), "words": words}


def printable(text: str) -> str:
    """The text with a mark in place of what is no UTF-8."""
    return encoded(text).decode("utf-8", "replace")
