"""What a model's outputs say, by the kind of target."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(logits: Tensor, kind: str, n_classes: int) -> Tensor:
    """What a model's outputs say: probabilities (n, n_classes) of classes or labels, or the numbers of a regression.

    One output for two classes is the logit of the second.

    >>> probabilities(torch.zeros(1, 1), "category", 2)
    tensor([[0.5000, 0.5000]])
    """
    logits = logits.float()
    if kind == "regression":
        return logits
    if kind == "multi_category":
        return logits.sigmoid()
    if n_classes == 2 and logits.shape[1] == 1:
        return torch.cat([(-logits).sigmoid(), logits.sigmoid()], dim=1)
    return logits.softmax(dim=1)


def decide(probabilities: Tensor, kind: str, threshold: float = 0.5) -> Tensor:
    """What is predicted: the index of the likeliest class (n,), every label above the threshold, or the numbers.

    >>> decide(torch.tensor([[0.2, 0.8]]), "category"), decide(torch.tensor([[0.2, 0.8]]), "multi_category")
    (tensor([1]), tensor([[False,  True]]))
    """
    if kind == "regression":
        return probabilities
    return probabilities > threshold if kind == "multi_category" else probabilities.argmax(dim=1)
