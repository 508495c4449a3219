"""The recipe `auto`: what the data, the model and the device suggest, with every choice told and kept.

First the head learns on features of the frozen body, which are computed once (a linear probe, seconds). Then as much
of the body is trained at a small rate as the time allows, and the best state by the validation loss is kept: a step
that does not help costs time, not accuracy (linear probe, then fine-tune: Kumar et al. 2022, arXiv:2202.10054).
"""

from __future__ import annotations

import math
import time
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.features import cached_features
from fastcli.learner.recipes import fit_one_cycle
from fastcli.registry import recipes

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Body = Literal["none", "late", "all"]
HEAD_STEPS = 200
"""Steps after which a head on fixed features has converged, whatever the size of the data."""
ROWS = 3
"""Epochs that these steps are shown as."""
PATIENCE_SECONDS = 10.0
"""What an epoch of the body may take where no time is given."""
MOST_EPOCHS = 5
COST: dict[Body, float] = {"all": 3.2, "late": 2.0, "none": 1.0}
"""What an epoch costs that trains this part of the body, in passes forward: a backward pass costs about two."""


class KeepBest(Callback):
    """Keeps the trained weights of the epoch with the least validation loss, on the CPU."""

    order = 75

    def __init__(self) -> None:
        self.loss, self.weights = math.inf, dict[str, Tensor]()
        self.seconds: float | None = None
        """What a pass of the body over the training data takes; kept for a training that is resumed after it."""

    def after_epoch(self, learner: Any) -> None:
        """Keep this epoch if it is the best so far."""
        if learner.epoch_done and learner.scores["valid_loss"] < self.loss:
            self.loss = learner.scores["valid_loss"]
            self.weights = {name: value.detach().cpu().clone() for name, value in learner.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """The best loss and its weights, and how long a pass of the body took."""
        return {"loss": self.loss, "weights": dict(self.weights), "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.loss, self.weights, self.seconds = state["loss"], dict(state["weights"]), state["seconds"]

    def restore(self, learner: Any) -> None:
        """Give the learner the best weights back."""
        if self.weights:
            learner.model.load_state_dict(self.weights)


@recipes
def auto(
    learner: Any,
    /,
    minutes: Positive | None = None,
    lr: Positive = 4e-3,
    views: Annotated[int, Field(ge=1)] = 1,
    head_passes: Annotated[int, Field(ge=1)] | None = None,
    body: Body | None = None,
    body_epochs: Count | None = None,
) -> None:
    """Trains the head on features that are computed once, then as much of the body as `minutes` allow.

    What is null is chosen from the data, the model and the device, told, and kept in config.resolved.yaml: how often
    the head goes through the data (`head_passes`), how much of the body is trained (`none`, its `late` layers or `all`)
    and for how many epochs. Without `minutes` the body is trained if an epoch of it takes ten seconds or less. Of each
    picture `views` random views are seen by the frozen body. The best state is kept.
    """
    if learner.valid_loader is None:
        raise ConfigError("train.recipe: auto needs validation data to choose by", hint="choose another recipe")
    started, best = time.monotonic(), KeepBest()
    learner.callbacks.append(best)
    seconds = _train_head(learner, best, lr, views, head_passes)
    left = math.inf if minutes is None else 60 * minutes - (time.monotonic() - started)
    _choose_body(learner, body, body_epochs, left, seconds, limited=minutes is not None)
    _train_body(learner, best, lr)
    best.restore(learner)
    learner.callbacks.remove(best)


def _train_head(learner: Any, best: KeepBest, lr: float, views: int, passes: int | None) -> float:
    """Train the head; returns the seconds of one pass of the body over the training data."""
    learner.freeze()
    steps = max(1, len(learner.train_loader))
    passes = passes or max(views + ROWS, round(HEAD_STEPS / steps))
    rest = max(ROWS, passes - views)
    learner.choose("head_passes", views + rest, f"the head goes {views + rest} times through the data, on features")
    with cached_features(learner, views) as loader:
        began = time.monotonic()
        fit_one_cycle(learner, views, lr, pct_start=0.99)
        best.seconds = (time.monotonic() - began) / views
        loader.passes = rest // ROWS
        fit_one_cycle(learner, ROWS, lr, div=1.0, pct_start=0.01)
    return best.seconds


def _choose_body(
    learner: Any, body: Body | None, epochs: int | None, left: float, forward: float, *, limited: bool
) -> None:
    """Note how much of the body is trained, for how long, and why. `left` and `forward` are seconds."""
    cost = {part: forward * times for part, times in COST.items()}
    parts: list[Body] = ["all", "late"] if len(learner.layer_groups) > 2 else ["all"]
    room = left if limited else PATIENCE_SECONDS
    part: Body = next((each for each in parts if cost[each] <= room), "none") if body is None else body
    if epochs is None:
        epochs = max(1, min(MOST_EPOCHS, int(left / cost[part]))) if limited else 1
    epochs = 0 if part == "none" else epochs
    told = f"{epochs} epochs of the body ({part})" if epochs else "the body stays as it was pretrained"
    learner.choose("body", part, f"{told}: an epoch of all of it takes about {cost['all']:.0f} s")
    learner.choose("body_epochs", epochs)


def _train_body(learner: Any, best: KeepBest, lr: float) -> None:
    body, epochs = learner.chosen["body"], learner.chosen["body_epochs"]
    if not epochs:
        return
    best.restore(learner)
    learner.freeze_to(0 if body == "all" else 1, norms="freeze")
    fit_one_cycle(learner, epochs, (lr / 400, lr / 4), div=5.0, pct_start=0.3)
