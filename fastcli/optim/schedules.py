"""Schedules: a hyperparameter as a function of progress, which goes from 0 to 1 during a fit.

    one_cycle(0.1)(0.25) == 0.1

Discriminative rates are one schedule per layer.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias

from fastcli.errors import ConfigError

Shape: TypeAlias = Literal["constant", "linear", "cosine", "exponential", "polynomial"]
NEAR = 1e-9
"""Progress this close to a boundary is at it: a third of a fit is not always found at 1/3."""


class Schedule:
    """Calling it with the progress gives the value; it prints as what made it."""

    def __init__(self, formula: Callable[[float], float], text: str) -> None:
        self._formula = formula
        self._text = text

    def __call__(self, progress: float) -> float:
        """The value at `progress`."""
        return self._formula(progress)

    def __repr__(self) -> str:
        return self._text


def constant(value: float) -> Schedule:
    """Always `value`.

    >>> constant(0.1)(0.7)
    0.1
    """
    return Schedule(lambda progress: value, f"constant({value:g})")


def linear(start: float, end: float) -> Schedule:
    """A straight line: start + p·(end − start).

    >>> linear(0, 10)(0.3)
    3.0
    """
    return Schedule(lambda progress: start + progress * (end - start), f"linear({start:g}, {end:g})")


def cosine(start: float, end: float) -> Schedule:
    """Half a wave: start + (1 − cos(π·p))/2·(end − start) (Loshchilov and Hutter 2017, arXiv:1608.03983).

    >>> cosine(0, 8)(0), cosine(0, 8)(1)
    (0.0, 8.0)
    """

    def formula(progress: float) -> float:
        return start + (1 - math.cos(math.pi * progress)) * (end - start) / 2

    return Schedule(formula, f"cosine({start:g}, {end:g})")


def exponential(start: float, end: float) -> Schedule:
    """A straight line on a logarithmic scale: start·(end/start)ᵖ. Raises ConfigError unless both have one sign.

    >>> round(exponential(1, 100)(0.5), 9)
    10.0
    """
    if start * end <= 0:
        raise ConfigError(f"an exponential schedule cannot go from {start:g} to {end:g}", hint="both must be above 0")
    return Schedule(lambda progress: start * (end / start) ** progress, f"exponential({start:g}, {end:g})")


def polynomial(start: float, end: float, power: float) -> Schedule:
    """A power of the progress: start + p^power·(end − start).

    >>> polynomial(0, 10, 2)(0.5)
    2.5
    """
    text = f"polynomial({start:g}, {end:g}, {power:g})"
    return Schedule(lambda progress: start + progress**power * (end - start), text)


def shaped(shape: Shape, start: float, end: float | None = None, power: float = 2.0) -> Schedule:
    """The schedule of this name. Raises ConfigError where `end` is missing, or given to a constant.

    >>> shaped("linear", 0, 10), shaped("constant", 3)
    (linear(0, 10), constant(3))
    """
    if (end is None) != (shape == "constant"):
        raise ConfigError(f"a {shape} schedule from {start:g} to {end}", hint="all but a constant one need an end")
    if end is None:
        return constant(start)
    if shape == "polynomial":
        return polynomial(start, end, power)
    return {"linear": linear, "cosine": cosine, "exponential": exponential}[shape](start, end)


def combine(pcts: Sequence[float], schedules: Sequence[Schedule]) -> Schedule:
    """One schedule after another, each over its share of the progress. Raises ConfigError unless shares sum to 1.

    >>> halves = combine([0.5, 0.5], [linear(0, 1), constant(1)])
    >>> halves(0.25), halves(0.75), halves
    (0.5, 1, combine([0.5, 0.5], [linear(0, 1), constant(1)]))
    """
    if len(pcts) != len(schedules) or min(pcts, default=-1) < 0 or not math.isclose(sum(pcts), 1):
        raise ConfigError(
            f"the shares {list(pcts)} do not divide a fit among {len(schedules)} schedules",
            hint="one share, from 0 to 1, for each schedule; together 1",
        )
    kept = [(pct, schedule) for pct, schedule in zip(pcts, schedules, strict=True) if pct > 0]
    starts = [0.0, *accumulate(pct for pct, _ in kept)][:-1]

    def formula(progress: float) -> float:
        index = max(bisect_right(starts, progress + NEAR) - 1, 0)
        pct, schedule = kept[index]
        return schedule(max(progress - starts[index], 0.0) / pct)

    return Schedule(formula, f"combine({list(pcts)}, {list(schedules)})")


def combined_cosine(pct: float, start: float, middle: float, end: float) -> Schedule:
    """`cosine` from `start` to `middle` during the first `pct` of the progress, then to `end`.

    >>> momentum = combined_cosine(0.25, 0.95, 0.85, 0.95)
    >>> momentum(0), momentum(0.25), momentum(1)
    (0.95, 0.85, 0.95)
    """
    schedule = combine([pct, 1 - pct], [cosine(start, middle), cosine(middle, end)])
    return Schedule(schedule, f"combined_cosine({pct:g}, {start:g}, {middle:g}, {end:g})")


def one_cycle(lr_max: float, div: float = 25.0, div_final: float = 1e5, pct_start: float = 0.25) -> Schedule:
    """From lr_max/div up to `lr_max` at `pct_start`, then down to lr_max/div_final (Smith, arXiv:1803.09820).

    >>> one_cycle(0.1)(0), one_cycle(0.1)(0.25)
    (0.004, 0.1)
    """
    schedule = combined_cosine(pct_start, lr_max / div, lr_max, lr_max / div_final)
    return Schedule(schedule, f"one_cycle({lr_max:g}, div={div:g}, div_final={div_final:g}, pct_start={pct_start:g})")


def flat_cosine(lr: float, div_final: float = 1e5, pct_start: float = 0.75) -> Schedule:
    """`lr` until `pct_start`, then a cosine down to lr/div_final.

    >>> flat_cosine(0.1)(0.5), round(flat_cosine(0.1)(1), 9)
    (0.1, 1e-06)
    """
    schedule = combine([pct_start, 1 - pct_start], [constant(lr), cosine(lr, lr / div_final)])
    return Schedule(schedule, f"flat_cosine({lr:g}, div_final={div_final:g}, pct_start={pct_start:g})")


def warmup_cosine(lr: float, warmup: float = 0.1, div: float = 100.0, div_final: float = 1e5) -> Schedule:
    """A straight line from lr/div to `lr` during the share `warmup`, then a cosine down to lr/div_final.

    >>> warmup_cosine(0.1)(0), warmup_cosine(0.1)(0.1), round(warmup_cosine(0.1)(1), 9)
    (0.001, 0.1, 1e-06)
    """
    schedule = combine([warmup, 1 - warmup], [linear(lr / div, lr), cosine(lr, lr / div_final)])
    return Schedule(schedule, f"warmup_cosine({lr:g}, warmup={warmup:g}, div={div:g}, div_final={div_final:g})")


def restarts(lr: float, lengths: Sequence[float]) -> Schedule:
    """A cosine from `lr` to 0 again and again, each as long as `lengths` say (SGDR, arXiv:1608.03983).

    >>> restarts(0.1, [1, 3])(0), restarts(0.1, [1, 3])(0.25), restarts(0.1, [1, 3])(1)
    (0.1, 0.1, 0.0)
    """
    schedule = combine([length / sum(lengths) for length in lengths], [cosine(lr, 0)] * len(lengths))
    return Schedule(schedule, f"restarts({lr:g}, {list(lengths)})")
