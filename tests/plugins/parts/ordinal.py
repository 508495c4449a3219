"""A label type: stars from 1 to 5, learnt as four questions, "more than k stars?", with a title of stars."""

import torch

from fastcli.data.blocks import Block
from fastcli.data.encoders import LabelEncoder
from fastcli.registry import targets
from fastcli.show import draw
from fastcli.types import Label, TargetInfo, register_kernel, typed


class Stars(Label):
    """The answers to the four questions: float32, (4,)."""


class EncodeStars(LabelEncoder):
    """One to five stars and back."""

    element = Stars

    def encode(self, value):
        return typed((torch.arange(1, 5) < int(value)).float(), Stars)

    def scores(self, logits):
        return logits.float().sigmoid()

    def decide(self, scores, threshold=0.5):
        return (scores > threshold).float()

    def decode(self, element):
        return f"{1 + int(element.sum())} stars"

    def info(self, values):
        return TargetInfo("stars", 4, loss="stars", metrics=("stars_off",))


@register_kernel(draw, Stars)
def draw_stars(element, axes, decoded=None):
    axes.set_title("★" * (1 + int(element.sum())))


@targets
def stars(classes, /):
    """One to five stars."""
    return Block(EncodeStars())
