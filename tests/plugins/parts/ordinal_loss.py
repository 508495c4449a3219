"""The loss and the metric of the stars."""

import torch.nn.functional as F

from fastcli.losses import Elementwise
from fastcli.metrics import Mean
from fastcli.registry import losses, metrics


def cross_entropy_of_answers(logits, targets):
    """Binary cross entropy of every answer."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


@losses(name="stars")
def stars_loss(target, /):
    """Binary cross entropy of the four answers."""
    target.require("stars", "stars")
    return Elementwise(target.n_out, cross_entropy_of_answers)


@metrics
def stars_off(target, /):
    """By how many stars the answer is off, on average."""
    target.require("stars_off", "stars")

    def off(logits, targets):
        return ((logits > 0).sum(1) - targets.sum(1)).abs().float()

    return Mean("stars_off", off, higher_is_better=False)
