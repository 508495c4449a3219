"""A model: two convolutions and a linear layer."""

from torch import nn

from fastcli.registry import models


@models
def tiny_net(inputs, n_out, /, width: int = 8):
    """Two convolutions, the mean over all places, and one linear layer."""
    return nn.Sequential(
        nn.Conv2d(inputs.channels, width, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, n_out),
    )  # fmt: skip
