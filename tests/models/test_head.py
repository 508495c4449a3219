import pytest
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.models.head import mlp_head
from fastcli.models.layers import SigmoidRange


def outline(head):
    """What fastai 2.8.12's create_head printed, less its pooling: kinds and numbers, layer by layer."""
    lines = {
        nn.Linear: lambda it: (it.in_features, it.out_features, it.bias is not None),
        nn.BatchNorm1d: lambda it: (it.num_features, it.momentum, round(it.bias[0].item(), 6)),
        nn.Dropout: lambda it: (it.p,),
        nn.ReLU: lambda it: (),
        SigmoidRange: lambda it: (it.low, it.high),
    }
    return [(type(layer).__name__, *lines[type(layer)](layer)) for layer in head]


def norm(n):
    return ("BatchNorm1d", n, 0.1, 0.001)


DEFAULT = [norm(256), ("Dropout", 0.25), ("Linear", 256, 512, False), ("ReLU",),
           norm(512), ("Dropout", 0.5), ("Linear", 512, 5, False)]  # fmt: skip
FASTAI = [
    ({}, DEFAULT),
    ({"hidden": [64, 32]}, [norm(256), ("Dropout", 0.25), ("Linear", 256, 64, False), ("ReLU",),
                            norm(64), ("Dropout", 0.25), ("Linear", 64, 32, False), ("ReLU",),
                            norm(32), ("Dropout", 0.5), ("Linear", 32, 5, False)]),
    ({"first_norm": False, "final_norm": True}, [("Dropout", 0.25), ("Linear", 256, 512, True), ("ReLU",),
                                                 norm(512), ("Dropout", 0.5), ("Linear", 512, 5, False),
                                                 ("BatchNorm1d", 5, 0.01, 0.0)]),
    ({"linear_first": True}, [("Dropout", 0.25), ("Linear", 256, 512, False), ("ReLU",), norm(512),
                              ("Dropout", 0.5), ("Linear", 512, 5, True)]),
    ({"hidden": [], "dropout": 0.3}, [norm(256), ("Dropout", 0.3), ("Linear", 256, 5, False)]),
    ({"output_range": (0, 5)}, [*DEFAULT, ("SigmoidRange", 0, 5)]),
    ({"linear_first": True, "hidden": [64, 32], "first_norm": False},
     [("Dropout", 0.25), ("Linear", 256, 64, True), ("ReLU",), ("Dropout", 0.25), ("Linear", 64, 32, False), ("ReLU",),
      norm(32), ("Dropout", 0.5), ("Linear", 32, 5, True)]),
    ({"dropout": [0.1, 0.2]}, [norm(256), ("Dropout", 0.1), ("Linear", 256, 512, False), ("ReLU",),
                               norm(512), ("Dropout", 0.2), ("Linear", 512, 5, False)]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "wanted"), FASTAI, ids=[", ".join(options) or "default" for options, _ in FASTAI])
def test_the_layers_are_those_of_fastai_in_their_order(options, wanted):
    assert outline(mlp_head(256, 5, **options)) == wanted


def test_norms_start_at_one_with_a_bias_of_a_thousandth():
    norms = [layer for layer in mlp_head(8, 2) if isinstance(layer, nn.BatchNorm1d)]
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)
    assert all(torch.equal(norm.bias, torch.full_like(norm.bias, 1e-3)) for norm in norms)


def test_linear_layers_start_with_the_spread_that_keeps_a_relu_alive_and_no_bias():
    torch.manual_seed(0)
    for options in ({}, {"linear_first": True}, {"first_norm": False}):
        linears = [layer for layer in mlp_head(1024, 10, **options) if isinstance(layer, nn.Linear)]
        assert abs(linears[0].weight.std().item() - (2 / 1024) ** 0.5) < 1e-3
        assert abs(linears[1].weight.std().item() - (2 / 512) ** 0.5) < 3e-3
        assert all(not linear.bias.any() for linear in linears if linear.bias is not None)


def test_width_and_dropout_can_be_chosen():
    head = mlp_head(8, 2, hidden=16, dropout=0.2)
    assert (head[2].out_features, head[1].p, head[5].p) == (16, 0.1, 0.2)


def test_a_range_holds_the_outputs_and_their_gradients_reach_every_layer():
    torch.manual_seed(0)
    head = mlp_head(8, 2, output_range=(-1, 3))
    outputs = head(torch.randn(16, 8) * 50)
    outputs.sum().backward()
    assert -1 <= outputs.min() < outputs.max() <= 3
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_dropouts_that_fastai_would_drop_with_their_layers_are_counted():
    with pytest.raises(ConfigError, match="1 dropouts for 2 linear layers") as caught:
        mlp_head(8, 2, dropout=[0.5])
    assert caught.value.key == "model.dropout"
