"""Recipes: how a training is run, as functions of a learner. Formulae and defaults are fastai's.

Where a recipe takes `lr`, one number is for every layer group and a pair (low, high) is spread geometrically from
the first layer group to the last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from fastcli.callbacks.schedule import Schedule, Scheduler
from fastcli.errors import ConfigError
from fastcli.learner.features import cached_features
from fastcli.optim.groups import spread
from fastcli.optim.schedules import combined_cosine, constant, flat_cosine, one_cycle, restarts, warmup_cosine
from fastcli.registry import recipes

Positive = Annotated[float, Field(gt=0)]
Rate = Positive | tuple[Positive, Positive]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Momenta = tuple[float, float, float]
MOMENTA: Momenta = (0.95, 0.85, 0.95)


def per_layer(
    learner: Any, lr: Rate | slice | Sequence[float], schedule: Callable[[float], Schedule]
) -> list[Schedule]:
    """One schedule per layer group, each for that group's peak rate."""
    rates = slice(*lr) if isinstance(lr, tuple) and len(lr) == 2 else lr
    return [schedule(rate) for rate in spread(rates, len(learner.layer_groups))]


@recipes
def fit(learner: Any, /, epochs: Count = 1, lr: Rate = 1e-3) -> None:
    """Trains at a constant learning rate."""
    learner.fit(epochs, callbacks=[Scheduler({"lr": per_layer(learner, lr, constant)})])


@recipes
def fit_one_cycle(
    learner: Any,
    /,
    epochs: Count = 1,
    lr: Rate = 1e-3,
    div: Positive = 25.0,
    div_final: Positive = 1e5,
    pct_start: Share = 0.25,
    momentum: Momenta = MOMENTA,
) -> None:
    """Trains with one cycle: lr rises from lr/div to lr, then falls to lr/div_final, both along cosines (Smith, 2018).

    Momentum runs the other way, from the first value to the second and on to the third, if the optimizer has one.
    """
    shape = partial(one_cycle, div=div, div_final=div_final, pct_start=pct_start)
    schedules: dict[str, Schedule | list[Schedule]] = {"lr": per_layer(learner, lr, shape)}
    schedules["momentum"] = combined_cosine(pct_start, *momentum)
    learner.fit(epochs, callbacks=[Scheduler(schedules, optional=["momentum"])])


@recipes
def fine_tune(
    learner: Any,
    /,
    epochs: Count = 1,
    freeze_epochs: Annotated[int, Field(ge=0)] = 1,
    lr: Positive = 2e-3,
    lr_mult: Positive = 100.0,
    pct_start: Share = 0.3,
    div: Positive = 5.0,
    momentum: Momenta = MOMENTA,
    freeze_bn: bool = True,
    cache_features: Annotated[int, Field(ge=0)] = 0,
) -> None:
    """Trains the head of a pretrained model for `freeze_epochs`, then all of it for `epochs` at half the rate.

    In the second phase the first layer group gets the rate divided by `lr_mult`. With `freeze_bn` the body's batch
    norms stay as they were pretrained, so the frozen body needs no backward pass, and small batches do not spoil
    their statistics; without, they train in both phases, as in fastai. With `cache_features` the frozen body sees so
    many random views of each picture and no more: later epochs take its features from memory.
    """
    if cache_features and not freeze_bn:
        raise ConfigError("features cannot be kept of a body whose batch norms train", hint="use freeze_bn: true",
                          key="train.cache_features")  # fmt: skip
    if freeze_epochs:
        learner.freeze(norms="follow" if freeze_bn else "train")
        rate: Any = lr if freeze_bn else slice(lr)
        with cached_features(learner, cache_features) if cache_features else contextlib.nullcontext():
            fit_one_cycle(learner, freeze_epochs, rate, pct_start=0.99, momentum=momentum)
    learner.unfreeze(norms="freeze" if freeze_bn else "follow")
    lr /= 2
    fit_one_cycle(learner, epochs, (lr / lr_mult, lr), div=div, pct_start=pct_start, momentum=momentum)


@recipes
def fit_flat_cos(
    learner: Any, /, epochs: Count = 1, lr: Rate = 1e-3, div_final: Positive = 1e5, pct_start: Share = 0.75
) -> None:
    """Trains at a flat learning rate, then lets it fall along a cosine to lr/div_final."""
    shape = partial(flat_cosine, div_final=div_final, pct_start=pct_start)
    learner.fit(epochs, callbacks=[Scheduler({"lr": per_layer(learner, lr, shape)})])


@recipes
def fit_cosine(
    learner: Any,
    /,
    epochs: Count = 1,
    lr: Rate = 1e-3,
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    div: Positive = 100.0,
    div_final: Positive = 1e5,
) -> None:
    """Trains with a rate that rises from lr/div in a line during the share `warmup`, then falls along a cosine."""
    shape = partial(warmup_cosine, warmup=warmup, div=div, div_final=div_final)
    learner.fit(epochs, callbacks=[Scheduler({"lr": per_layer(learner, lr, shape)})])


@recipes
def fit_sgdr(learner: Any, /, cycles: Count = 1, cycle_len: Count = 1, lr: Rate = 1e-3, cycle_mult: Count = 2) -> None:
    """Trains in `cycles` cosine cycles with warm restarts, each `cycle_mult` times as long (arXiv:1608.03983)."""
    lengths = [cycle_len * cycle_mult**k for k in range(cycles)]
    shape = partial(restarts, lengths=lengths)
    learner.fit(sum(lengths), callbacks=[Scheduler({"lr": per_layer(learner, lr, shape)})])
