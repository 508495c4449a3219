import pytest
import torch

from fastcli.errors import ConfigError
from fastcli.types import Category, Image, ImageBW, Label, TargetInfo, dispatched, register_kernel, typed


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


def test_a_target_refuses_what_needs_another_kind_unless_it_proposes_it():
    TargetInfo("regression", 1).require("mae", "regression")
    TargetInfo("angle", 1, metrics=("mae",)).require("mae", "regression")
    TargetInfo("angle", 1, loss="l1").require("l1", "regression")
    with pytest.raises(ConfigError, match="mse does not fit a angle target"):
        TargetInfo("angle", 1, metrics=("mae",)).require("mse", "regression")


def test_a_class_is_given_by_name_or_number():
    target = TargetInfo("mask", 2, ("sky", "void"))
    assert (target.index_of("void"), target.index_of(0), target.index_of(255)) == (1, 0, 255)
    with pytest.raises(ConfigError, match="did you mean 'void'"):
        target.index_of("viod")
