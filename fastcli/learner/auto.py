"""The recipe `auto`: what the data, the model and the device suggest, with every choice told and kept.

First the head learns on features of the frozen body, which are computed once (a linear probe, seconds). Then as much
of the body is trained at a small rate as the time allows and the data calls for: it does where the head still errs.
The best state by the validation loss is kept, so that a step that does not help costs time, not accuracy (linear probe,
then fine-tune: Kumar et al. 2022, arXiv:2202.10054).
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from fastcli.errors import ConfigError
from fastcli.events import Callback, CancelFit, CancelTrain
from fastcli.learner.features import cached_features, views_that_fit
from fastcli.learner.recipes import fit_one_cycle
from fastcli.registry import recipes

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Body = Literal["none", "late", "all"]
HEAD_STEPS = 200
"""Steps after which a head on fixed features has converged, whatever the size of the data."""
ROWS = 3
"""Epochs that these steps are shown as."""
ENOUGH_PICTURES = 1000
"""Of less training pictures several random views are taken, until there are as many, at most `MOST_VIEWS`."""
MOST_VIEWS = 4
GOOD_ENOUGH = 0.02
"""The share of errors below which a body is not trained for longer than `PATIENCE_SECONDS`."""
PATIENCE_SECONDS = 10.0
BODY_STEPS = 60
"""Steps of the body that small data gets, as far as they take no longer than `PATIENCE_SECONDS`."""
MOST_EPOCHS = 5
PATIENCE = 2
"""Epochs of the body without a better validation loss, after which it is left."""
COST: dict[Body, float] = {"all": 3.2, "late": 2.0, "none": 1.0}
"""What an epoch costs that trains this part of the body, in passes forward: a backward pass costs about two."""
clock = time.monotonic


class KeepBest(Callback):
    """Keeps the trained weights of the epoch with the least validation loss, on the CPU, and its share of errors."""

    order = 75

    def __init__(self) -> None:
        self.loss, self.weights = math.inf, dict[str, Tensor]()
        self.error: float | None = None
        """Of the best epoch, one wrong picture more than there are counted; None where targets are not classes."""
        self.patience, self.waited = math.inf, 0
        self._wrong: list[Tensor] = []
        self.seconds: float | None = None
        """What a pass of the body over the training data takes; kept for a training that is resumed after it."""

    def before_validate(self, learner: Any) -> None:
        """Count anew."""
        self._wrong = []

    def after_predict(self, learner: Any) -> None:
        """Note which of a validation batch are wrong, without waiting for the device."""
        if not learner.training and learner.target_info is not None and learner.target_info.kind == "category":
            self._wrong.append(learner.prediction.detach().argmax(1) != learner.targets)

    def after_epoch(self, learner: Any) -> None:
        """Keep this epoch if it is the best so far; end the fit where patience is over."""
        if not learner.epoch_done:
            return
        self.waited += 1
        if learner.scores["valid_loss"] < self.loss:
            self.loss, self.waited = learner.scores["valid_loss"], 0
            self.weights = {name: value.detach().cpu().clone() for name, value in learner.model.state_dict().items()}
            wrong = torch.cat(self._wrong) if self._wrong else None
            self.error = None if wrong is None else (int(wrong.sum()) + 1) / (len(wrong) + 2)
        if self.waited >= self.patience:
            raise CancelFit

    def state_dict(self) -> dict[str, Any]:
        """The best loss and its weights, and how long a pass of the body took."""
        return {"loss": self.loss, "weights": dict(self.weights), "seconds": self.seconds,
                "error": self.error, "waited": self.waited}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.loss, self.weights, self.seconds = state["loss"], dict(state["weights"]), state["seconds"]
        self.error, self.waited = state["error"], state["waited"]

    def restore(self, learner: Any) -> None:
        """Give the learner the best weights back."""
        if self.weights:
            learner.model.load_state_dict(self.weights)


class Deadline(Callback):
    """Ends the training part of an epoch, and then the fit, when its `seconds` are over; there is always one epoch."""

    order = 76

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began = seconds, clock()

    @property
    def left(self) -> float:
        """Seconds; less than none when it is over."""
        return self.seconds - (clock() - self.began)

    def after_batch(self, learner: Any) -> None:
        """End the training of this epoch; its validation follows."""
        if learner.training and self.left <= 0:
            raise CancelTrain

    def before_epoch(self, learner: Any) -> None:
        """Begin no further epoch."""
        if learner.epoch and self.left <= 0:
            raise CancelFit

    def state_dict(self) -> dict[str, Any]:
        """How long it has been."""
        return {"spent": clock() - self.began}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.began = clock() - state["spent"]


@recipes
def auto(
    learner: Any,
    /,
    minutes: Positive | None = None,
    lr: Positive = 4e-3,
    views: Count | None = None,
    head_passes: Annotated[int, Field(ge=1)] | None = None,
    body: Body | None = None,
    body_epochs: Count | None = None,
) -> None:
    """Trains the head on features that are computed once, then as much of the body as data and `minutes` call for.

    What is null is chosen from the data, the model and the device, told, and kept in config.resolved.yaml: how many
    random views of each picture the frozen body sees (`views`: more of few pictures, 0 to keep no features), how often
    the head goes through the data (`head_passes`), how much of the body is trained (`none`, its `late` layers or `all`)
    and for how many epochs. Without `minutes` the body is trained if that takes ten seconds or less, or if the head
    errs on 2 % of the validation pictures or more, or if errors cannot be counted. The best state is kept.
    """
    if learner.valid_loader is None:
        raise ConfigError("train.recipe: auto needs validation data to choose by", hint="choose another recipe",
                          key="train.recipe")  # fmt: skip
    best, deadline = KeepBest(), Deadline(math.inf if minutes is None else 60 * minutes)
    learner.callbacks += [best, deadline]
    try:
        _train_head(learner, best, deadline, lr, views, head_passes)
        _choose_body(learner, best, deadline, body, body_epochs)
        _train_body(learner, best, lr)
    finally:
        learner.callbacks.remove(best)
        learner.callbacks.remove(deadline)
    best.restore(learner)


def _train_head(
    learner: Any, best: KeepBest, deadline: Deadline, lr: float, views: int | None, passes: int | None
) -> None:
    """Train the head, and note what a pass of the body over the training data takes."""
    learner.freeze()
    views = _choose_views(learner, views)
    passes = passes or max(views + ROWS, round(HEAD_STEPS / max(1, len(learner.train_loader))))
    first, rest = max(1, views), max(ROWS, passes - views) if views else 0
    told = f"the head goes {first + rest} times through the data{', on features' if views else ''}"
    rest = learner.choose("head_passes", first + rest, told) - first
    began = clock()
    with cached_features(learner, views) if views else nullcontext() as loader:
        fit_one_cycle(learner, first, lr, pct_start=0.99)
        best.seconds = best.seconds or (clock() - began) / first
        if rest and deadline.left <= 0:
            learner.choose("head_passes", first, "the minutes were over before the head had converged")
        elif rest and loader is not None:
            loader.passes = rest // ROWS
            fit_one_cycle(learner, ROWS, lr, div=1.0, pct_start=0.01)


def _choose_views(learner: Any, views: int | None) -> int:
    """Note how many views of each picture are computed: one where all would be alike, or as many as memory holds."""
    if getattr(learner.model, "weights", True) is None:
        learner.notes.append(
            "the body is not pretrained, so that its features are random: fit_one_cycle would train it"
        )
    loader, fitting = learner.train_loader, views_that_fit(learner)
    if views is None:
        random = bool(loader.items.random or loader.batches.transforms)
        views = max(1, min(MOST_VIEWS, ENOUGH_PICTURES // max(1, loader.n))) if random else 1
    note = f"{views} random views of each picture" if views > 1 else ""
    if fitting < views:
        note = f"memory holds the features of {fitting or 'no'} views of each picture, not of {views}"
    chosen: int = learner.choose("views", min(views, fitting), note)
    return chosen


def _choose_body(learner: Any, best: KeepBest, deadline: Deadline, body: Body | None, epochs: int | None) -> None:
    """Note how much of the body is trained, for how long, and why."""
    cost = {part: (best.seconds or 0.0) * times for part, times in COST.items()}
    limited, good = deadline.seconds < math.inf, best.error is not None and best.error < GOOD_ENOUGH
    room = deadline.left if limited else PATIENCE_SECONDS if good else math.inf
    parts: list[Body] = ["all", "late"] if len(learner.layer_groups) > 2 else ["all"]
    part: Body = next((each for each in parts if cost[each] <= room), "none") if body is None else body
    if epochs is None:
        wanted = MOST_EPOCHS if limited else math.ceil(BODY_STEPS / max(1, len(learner.train_loader)))
        affordable = (room if limited else PATIENCE_SECONDS) / max(cost[part], 1e-9)
        epochs = max(1, int(min(MOST_EPOCHS, wanted, affordable)))
    epochs = 0 if part == "none" else epochs
    told = f"at most {epochs} epochs of the body ({part})" if epochs else "the body stays as it was pretrained"
    told += f": an epoch of all of it takes about {cost['all']:.0f} s"
    told += "" if best.error is None else f", and the head errs on about {best.error:.1%}"
    learner.choose("body", part, told)
    learner.choose("body_epochs", epochs)


def _train_body(learner: Any, best: KeepBest, lr: float) -> None:
    body, epochs = learner.chosen["body"], learner.chosen["body_epochs"]
    if not epochs:
        return
    best.restore(learner)
    learner.freeze_to(0 if body == "all" else 1, norms="freeze")
    best.patience, best.waited = PATIENCE, 0
    fit_one_cycle(learner, epochs, (lr / 400, lr / 4), div=5.0, pct_start=0.3)
