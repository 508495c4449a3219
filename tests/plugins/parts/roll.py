"""A transform with kernels of its own for images and masks: both are moved by the same draw."""

from dataclasses import dataclass

import torch

from fastcli.registry import item_transforms
from fastcli.transforms.transform import ItemTransform
from fastcli.types import Image, Mask, dispatched, register_kernel


@dispatched
def rolled(element, pixels):
    """The element moved to the right, what leaves it coming back on the left."""


@register_kernel(rolled, Image)
def rolled_image(image, pixels):
    return image.as_subclass(torch.Tensor).roll(pixels, -1).as_subclass(type(image))


@register_kernel(rolled, Mask)
def rolled_mask(mask, pixels):
    return mask.as_subclass(torch.Tensor).roll(pixels, -1).as_subclass(type(mask))


@item_transforms(name="roll")
@dataclass(frozen=True)
class Roll(ItemTransform):
    """Moves pictures sideways by up to `most` pixels; what leaves on one side comes back on the other."""

    most: int = 4
    random = True

    def draw(self, n, generator):
        return torch.randint(-self.most, self.most + 1, (n,), generator=generator)

    def finish(self, element, row):
        return element if row is None else rolled(element, int(row))
