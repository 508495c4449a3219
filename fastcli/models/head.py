"""Heads: what stands on a body's pooled features."""

from __future__ import annotations

from torch import nn


def mlp_head(n_features: int, n_out: int, *, hidden: int = 512, dropout: float = 0.5) -> nn.Sequential:
    """The head that fastai puts after its pooling: twice batch norm, dropout and linear, with a ReLU between.

    The linears need no bias since a norm precedes each; half the dropout stands before the first.
    """
    head = nn.Sequential(
        _batch_norm(n_features),
        nn.Dropout(dropout / 2),
        nn.Linear(n_features, hidden, bias=False),
        nn.ReLU(inplace=True),
        _batch_norm(hidden),
        nn.Dropout(dropout),
        nn.Linear(hidden, n_out, bias=False),
    )
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return head


def _batch_norm(n_features: int) -> nn.BatchNorm1d:
    """A norm that starts with fastai's bias of 0.001."""
    norm = nn.BatchNorm1d(n_features)
    nn.init.constant_(norm.bias, 1e-3)
    return norm
