import torch
from torch import nn

from fastcli.models.head import mlp_head


def test_the_layers_are_those_of_fastai_in_their_order():
    head = mlp_head(1024, 10)
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["BatchNorm1d", "Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert [head[1].p, head[5].p] == [0.25, 0.5]
    assert [(layer.in_features, layer.out_features, layer.bias) for layer in (head[2], head[6])] == [
        (1024, 512, None),
        (512, 10, None),
    ]


def test_norms_start_at_one_with_a_bias_of_a_thousandth():
    norms = [layer for layer in mlp_head(8, 2) if isinstance(layer, nn.BatchNorm1d)]
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)
    assert all(torch.equal(norm.bias, torch.full_like(norm.bias, 1e-3)) for norm in norms)


def test_linear_layers_start_with_the_spread_that_keeps_a_relu_alive():
    torch.manual_seed(0)
    first = mlp_head(1024, 10)[2]
    assert abs(first.weight.std().item() - (2 / 1024) ** 0.5) < 1e-3


def test_width_and_dropout_can_be_chosen():
    head = mlp_head(8, 2, hidden=16, dropout=0.2)
    assert (head[2].out_features, head[1].p, head[5].p) == (16, 0.1, 0.2)
