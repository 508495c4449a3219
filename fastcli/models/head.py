"""Heads: what stands on a body's pooled features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from fastcli.errors import ConfigError
from fastcli.models.layers import SigmoidRange, batch_norm


def mlp_head(
    n_features: int,
    n_out: int,
    *,
    hidden: int | Sequence[int] = 512,
    dropout: float | Sequence[float] = 0.5,
    first_norm: bool = True,
    final_norm: bool = False,
    linear_first: bool = False,
    output_range: tuple[float, float] | None = None,
) -> nn.Sequential:
    """The head that fastai puts after its pooling: for every linear layer a batch norm and dropout, ReLUs between them.

    `hidden` is the width of each linear layer but the last. One `dropout` stands before the last, and half of it before
    the others; or there is one for each. A linear layer next to a norm has no bias. `linear_first` puts each norm after
    its linear layer; `output_range` squeezes the outputs into (low, high).
    Raises ConfigError where there is not one dropout for each linear layer.
    """
    widths = [n_features, *([hidden] if isinstance(hidden, int) else hidden), n_out]
    shares = _dropouts(dropout, len(widths) - 1)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        last, norm = i == len(widths) - 2, first_norm or i > 0
        normed = norm and not (linear_first and last)
        linear = [nn.Linear(before, after, bias=not normed), *([] if last else [nn.ReLU(inplace=True)])]
        norms = [batch_norm(after if linear_first else before, dimensions=1)] if normed else []
        drop = [nn.Dropout(shares[i])]
        layers += [*drop, *linear, *norms] if linear_first else [*norms, *drop, *linear]
    if final_norm:
        layers.append(nn.BatchNorm1d(n_out, momentum=0.01))
    if output_range is not None:
        layers.append(SigmoidRange(*output_range))
    return _initialised(nn.Sequential(*layers))


def _dropouts(dropout: float | Sequence[float], n: int) -> list[float]:
    if isinstance(dropout, Sequence):
        if len(dropout) != n:
            raise ConfigError(
                f"{len(dropout)} dropouts for {n} linear layers", hint=f"give one number, or {n}", key="model.dropout"
            )
        return list(dropout)
    return [dropout / 2] * (n - 1) + [dropout]


def _initialised(head: nn.Sequential) -> nn.Sequential:
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return head
