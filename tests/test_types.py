import pytest
import torch

from fastcli.types import Category, Image, ImageBW, Label, dispatched, register_kernel, typed


@dispatched
def shrink(element):
    """Half of `element`."""


@register_kernel(shrink, Image)
def _(image):
    return image[..., ::2, ::2]


@register_kernel(shrink, Label)
def _(label):
    return label


def test_dispatch_walks_the_bases():
    assert shrink(typed(torch.zeros(1, 4, 4), ImageBW)).shape == (1, 2, 2)
    assert shrink(typed(torch.tensor(3), Category)) == 3


def test_a_type_without_a_kernel_is_an_error():
    with pytest.raises(TypeError, match="shrink has no kernel for Tensor; it has kernels for Image, Label"):
        shrink(torch.zeros(4, 4))


def test_a_users_type_joins_from_outside():
    class Depth(Image):
        pass

    register_kernel(shrink, Depth)(lambda depth: depth * 0)
    assert shrink(typed(torch.ones(1, 2, 2), Depth)).sum() == 0
