"""Asking a trained learner: predictions of a split or of one item, test-time augmentation, pictures of results.

All of it is the learner's own validation, with its callbacks (precision, layout, averaged weights, dropout of a Monte
Carlo) but for those that record one or end it early; what it gives is kept as it comes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastcli.callbacks.epochs import ShortEpoch
from fastcli.callbacks.record import Recorder
from fastcli.callbacks.save import GatherPredictions
from fastcli.data.loader import Loader
from fastcli.data.plan import BatchPlan
from fastcli.data.seeding import generator
from fastcli.errors import ConfigError, DataError
from fastcli.events import Callback, CancelBatch
from fastcli.learner.answers import Answers, answers_of, item_losses
from fastcli.learner.gather import Rows
from fastcli.learner.opened import opened
from fastcli.show import show_results as draw_results
from fastcli.types import BoundingBoxes, KeyPoints, Mask

__all__ = ["Predictions", "in_order", "items_of", "pass_over", "predict", "predictions", "show_results", "tta"]

UNHEARD = (Recorder, GatherPredictions, ShortEpoch)
"""Callbacks that record a validation, or end it early."""


class Predictions(NamedTuple):
    """What a learner says of items, in their order, on the CPU; None for what was not asked for or is not known."""

    scores: Any
    """Probabilities of classes or labels, or numbers, float32 (n, …); a tuple for a model of several outputs."""
    targets: Any
    """As a batch has them, (n, …); None where the loader has no targets."""
    decisions: Any = None
    """In the form of the targets."""
    losses: Tensor | None = None
    """Of every item, (n,)."""
    inputs: Any = None
    """As the model got them; a tuple for several."""
    items: tuple[int, ...] | None = None
    """The loader's numbers of the items, without those whose picture cannot be opened."""


def predictions(
    learner: Any,
    loader: Any = None,
    *,
    activate: bool = True,
    with_scores: bool = True,
    with_inputs: bool = False,
    with_losses: bool = False,
    decide: bool = False,
) -> Predictions:
    """What the learner says of the items of `loader`, or else of the validation split, in one pass.

    Training's loader is read in the order of its items and without random views. Without `activate` the scores are
    the model's outputs; without `with_scores` they are not kept, which large masks are glad of. Raises DataError for a
    loader without items.
    """
    loader = in_order(learner.valid_loader if loader is None else loader)
    return _pass(learner, loader, activate, {"scores": with_scores, "inputs": with_inputs, "losses": with_losses,
                                             "decisions": decide, "targets": True})  # fmt: skip


def tta(
    learner: Any, loader: Any = None, *, n: int = 4, beta: float | None = 0.25, use_max: bool = False
) -> tuple[Any, Any]:
    """Scores and targets of `loader`'s items, or else of the validation split, over `n` random views and the plain one.

    The scores are (1 − beta) · mean of the views + beta · plain; with `use_max` the largest of all; with `beta` None
    both, as (views, plain). Pictures are decoded once where their store keeps them. Raises ConfigError where the
    loader makes no random views, or where the target would have to be turned back with each.
    """
    encoder = answers_of(learner).encoder
    if encoder is not None and issubclass(encoder.element, KeyPoints | Mask | BoundingBoxes):
        raise ConfigError("masks, points and boxes cannot be averaged over turned views", hint="use predictions")
    loader = in_order(learner.valid_loader if loader is None else loader)
    if not isinstance(loader, Loader) or n < 1:
        message = f"{type(loader).__name__} makes no random views" if n > 0 else f"tta needs a view at least, not {n}"
        raise ConfigError(message, hint="tta needs the loaders of a data block, and n of 1 or more")
    views: Any = None
    for view in range(n):
        scores = _pass(learner, _random_view(loader, view), True, {"scores": True}).scores
        if isinstance(scores, tuple):
            raise ConfigError("the scores of a model with several outputs are not averaged", hint="use predictions")
        views = scores if views is None else torch.maximum(views, scores) if use_max else views + scores
    plain = predictions(learner, loader)
    if use_max:
        return torch.maximum(views, plain.scores), plain.targets
    mean = views / n
    return (mean, plain.scores) if beta is None else torch.lerp(mean, plain.scores, beta), plain.targets


def predict(learner: Any, item: Any) -> tuple[Any, Any, Any]:
    """The decoded value, the encoded decision and the scores for one item: a file, a Pillow image, an array, a tensor.

    It goes through the pipeline of validation; several inputs are a tuple. Arrays are (height, width, channels),
    tensors (channels, height, width), bytes or from 0 to 1. Loaders of plain tensors take what they gave the model.
    """
    inputs = _inputs_of(learner, item)
    given = _pass(learner, [inputs], True, {"scores": True, "decisions": True})
    scores, decision = _first(given.scores), _first(given.decisions)
    if not getattr(learner.loaders, "encoders", None):
        return decision.item() if decision.numel() == 1 else decision, decision, scores
    sample = learner.loaders.samples((*inputs, *_tuple(given.decisions)), 1)[0]
    decoded = tuple(value for _, value in sample[learner.n_inputs :])
    return decoded if len(decoded) > 1 else decoded[0], decision, scores


def show_results(
    learner: Any,
    loader: Any = None,
    max_n: int = 9,
    shuffle: bool = True,
    *,
    figsize: tuple[float, float] | None = None,
    path: Path | None = None,
) -> Any:
    """A figure of items of `loader`, or else of the validation split, with their targets and what is predicted.

    With `shuffle` they are drawn from torch's global generator, else they are the first. Raises ConfigError where the
    loaders do not say what their tensors are.
    """
    loaders = learner.loaders
    if not hasattr(loaders, "samples"):
        hint = "show_results needs the loaders of a data block"
        raise ConfigError(f"{type(loaders).__name__} does not say how its tensors are shown", hint=hint)
    loader = in_order(learner.valid_loader if loader is None else loader)
    chosen = copy.copy(loader)
    order = torch.randperm(len(loader.indices)) if shuffle else torch.arange(len(loader.indices))
    chosen.indices = loader.indices[order[:max_n]]
    given = predictions(learner, chosen, with_inputs=True, with_scores=False, decide=True)
    inputs, targets, decisions = (_tuple(part) for part in (given.inputs, given.targets, given.decisions))
    predicted = loaders.samples((*inputs, *decisions), max_n)
    if given.targets is None:
        raise ConfigError(
            "the loader has no targets to show", hint="show what is predicted with predictions or predict"
        )
    samples = loaders.samples((*inputs, *targets), max_n)
    return draw_results(samples, [sample[-1] for sample in predicted], max_n=max_n, figsize=figsize, path=path)


def in_order(loader: Any) -> Any:
    """`loader` with its items in their order, all of them, and without random views; others than ours as they are.

    Raises ConfigError for None, which a learner without validation has.
    """
    if loader is None:
        raise ConfigError("there is nothing to validate on", hint="give a loader: learner.train_loader, …")
    if not isinstance(loader, BatchPlan):
        return loader
    ordered = copy.copy(loader)
    ordered.shuffle = ordered.drop_last = ordered.join_single = False
    ordered.weights = ordered.per_epoch = None
    if isinstance(ordered, Loader):
        ordered.train = ordered.augment = False
    return ordered


def pass_over(learner: Any, loader: Any, gather: Callback) -> None:
    """Run one validation over `loader` for `gather`, without the callbacks that record one or end it early."""
    with torch.inference_mode():
        learner.pass_over(_Plain(loader), [*(c for c in learner.callbacks if not isinstance(c, UNHEARD)), gather])


def items_of(loader: Any) -> tuple[int, ...] | None:
    """The numbers of the items that a loader gave, in its order; None for loaders that are not ours."""
    if not isinstance(loader, BatchPlan):
        return None
    bad = set().union(*(element.bad for element in getattr(loader, "elements", ())))
    return tuple(i for batch in loader.plan(loader.epoch) for i in batch.items if i not in bad)


def _random_view(loader: Any, number: int) -> Any:
    view = copy.copy(loader)
    view.augment = True
    view.set_epoch(number)
    return view


class _Gather(Callback):
    """Keeps what was asked for and ends the batch after the prediction."""

    order = 1000

    def __init__(self, answers: Answers, activate: bool, wanted: dict[str, bool], n: int | None) -> None:
        self.answers, self.activate = answers, activate
        self.kept = {name: Rows(n) for name, asked in wanted.items() if asked}

    def after_predict(self, learner: Any) -> None:
        prediction, found = learner.prediction, {"inputs": learner.inputs, "targets": learner.targets}
        if not self.kept.keys().isdisjoint(("scores", "decisions")):
            scores = self.answers.scores(prediction)
            found["scores"] = scores if self.activate else prediction
            found["decisions"] = self.answers.decide(scores) if "decisions" in self.kept else None
        if "losses" in self.kept and not _missing(learner.targets):
            found["losses"] = item_losses(learner.loss_fn, prediction, learner.targets)
        for name, rows in self.kept.items():
            if not _missing(found.get(name)):
                rows.add(found[name])
        raise CancelBatch


def _pass(learner: Any, loader: Any, activate: bool, wanted: dict[str, bool]) -> Predictions:
    """One validation over `loader`, which ends every batch when it is predicted."""
    n = getattr(loader, "n", None) or (len(loader.dataset) if hasattr(loader, "dataset") else None)
    gather = _Gather(answers_of(learner), activate, wanted, n)
    pass_over(learner, loader, gather)
    if all(rows.empty for rows in gather.kept.values()):
        raise DataError("there are no items to predict")
    found = {name: rows.value() for name, rows in gather.kept.items()}
    return Predictions(**{"scores": None, "targets": None, **found}, items=items_of(loader))


class _Plain:
    """A loader whose batches are tuples, made outside of inference mode: they may be kept and trained on later."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Sequence[Tensor]]:
        with torch.inference_mode(False), torch.no_grad():
            batches = iter(self.loader)
        while True:
            with torch.inference_mode(False), torch.no_grad():
                batch = next(batches, None)
            if batch is None:
                return
            yield (batch,) if isinstance(batch, Tensor) else batch


def _inputs_of(learner: Any, item: Any) -> tuple[Tensor, ...]:
    """What the model gets for one item, (1, …) each."""
    encoders = getattr(learner.loaders, "encoders", None)
    parts = item if isinstance(item, tuple) else (item,)
    if not encoders:
        return tuple(torch.as_tensor(part)[None] for part in parts)
    if len(parts) != learner.n_inputs:
        raise ConfigError(f"{len(parts)} inputs were given, the model takes {learner.n_inputs}")
    loader = learner.valid_loader
    batch = []
    for part, encoder in zip(parts, encoders, strict=False):
        element = loader.items.finish(loader.items.prepare(opened(part, encoder)), None)
        batch.append(element[None].to(loader.device).as_subclass(type(element)))
    seen: tuple[Tensor, ...] = loader.batches(batch, generator(0), train=False)
    return seen


def _missing(part: Any) -> bool:
    return part is None or (isinstance(part, tuple) and not part)


def _first(part: Any) -> Any:
    return tuple(each[0] for each in part) if isinstance(part, tuple) else part[0]


def _tuple(part: Any) -> tuple[Any, ...]:
    return part if isinstance(part, tuple) else (part,)
