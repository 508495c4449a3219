"""What a learning-rate search suggests, by fastai's names: functions of the curve, or of its rates and losses."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastcli.learner import lr_find

__all__ = ["SuggestionMethod", "minimum", "slide", "steep", "valley"]


def valley(lrs: Any, losses: Any, num_it: int = 0) -> float:
    """The rate in the middle of the longest descent."""
    return lr_find.valley(np.asarray(lrs), np.asarray(losses))


def slide(
    lrs: Any, losses: Any, num_it: int = 0, lr_diff: int = 15, thresh: float = 0.005, adjust_value: float = 1.0
) -> float:
    """The rate where, sliding back from the end, the slope stops changing."""
    return lr_find.slide(np.asarray(lrs), np.asarray(losses), lr_diff, thresh) * adjust_value


def minimum(lrs: Any, losses: Any, num_it: int = 0) -> float:
    """A tenth of the rate where the loss is lowest."""
    return lr_find.minimum(np.asarray(lrs), np.asarray(losses))


def steep(lrs: Any, losses: Any, num_it: int = 0) -> float:
    """The rate where the loss falls fastest."""
    return lr_find.steep(np.asarray(lrs), np.asarray(losses))


SuggestionMethod = SimpleNamespace(Valley=valley, Slide=slide, Minimum=minimum, Steep=steep)


def suggested(search: lr_find.LRFind, functions: Sequence[Callable[..., Any]], steps: int) -> Any:
    """A named tuple of what each function suggests, in their order.

    A function of one's own gets rates and losses, without the first tenth of the steps and the last five.
    """
    skip, found = steps // 10, []
    lrs, losses = np.array(search.lrs[skip:-5]), np.array(search.smoothed[skip:-5])
    kept = int(np.argmin(np.isfinite(losses))) if not np.isfinite(losses).all() else len(losses)
    for function in functions:
        made = function(lrs[:kept], losses[:kept], steps)
        found.append(made[0] if isinstance(made, tuple) else made)
    names = [getattr(function, "__name__", f"suggestion_{i}") for i, function in enumerate(functions)]
    return namedtuple("SuggestedLRs", names)(*found)
