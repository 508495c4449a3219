"""fastai's layers by their names: for models of one's own on a body and a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastcli.errors import ConfigError
from fastcli.models import layers
from fastcli.models.head import mlp_head
from fastcli.models.hooks import num_features
from fastcli.models.layers import SelfAttention, SigmoidRange

__all__ = ["AdaptiveConcatPool2d", "ConvLayer", "Flatten", "Lambda", "LinBnDrop", "Module", "SelfAttention",
           "SigmoidRange", "create_body", "create_head", "num_features_model", "params", "sigmoid_range",
           "trainable_params"]  # fmt: skip

num_features_model = num_features


class Module(nn.Module):
    """A module whose own `__init__` need not call that of its base."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A module that is ready for its parts."""
        made = super().__new__(cls)
        nn.Module.__init__(made)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing, so that an `__init__` that does call it loses no parts."""


class AdaptiveConcatPool2d(nn.Module):
    """The maximum and then the mean of every channel, as maps: (n, c, h, w) to (n, 2c, 1, 1)."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        if size != 1:
            raise ConfigError(f"AdaptiveConcatPool2d pools to one place, not {size}")
        self.pool = layers.AdaptiveConcatPool2d()

    def forward(self, maps: Tensor) -> Tensor:
        """Pool `maps`."""
        pooled: Tensor = self.pool(maps)
        return pooled[..., None, None]


class Flatten(nn.Flatten):
    """All but the batch in one dimension."""


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, func: Callable[..., Any]) -> None:
        super().__init__()
        self.func = func

    def forward(self, *inputs: Any) -> Any:
        """What the function gives."""
        return self.func(*inputs)


def ConvLayer(  # noqa: N802
    ni: int, nf: int, ks: int = 3, stride: int = 1, padding: int | None = None, bias: bool | None = None,
    norm: bool = True, act_cls: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:  # fmt: skip
    """A convolution, a batch norm and an activation; the convolution has a bias where there is no norm."""
    with_bias = not norm if bias is None else bias
    convolution = nn.Conv2d(ni, nf, ks, stride, (ks - 1) // 2 if padding is None else padding, bias=with_bias)
    nn.init.kaiming_normal_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    parts: list[nn.Module] = [convolution, *([layers.batch_norm(nf)] if norm else [])]
    return nn.Sequential(*parts, *([] if act_cls is None else [act_cls()]))


def LinBnDrop(  # noqa: N802
    n_in: int, n_out: int, bn: bool = True, p: float = 0.0, act: nn.Module | None = None, lin_first: bool = False
) -> nn.Sequential:
    """A batch norm, dropout and a linear layer, or the linear layer first."""
    before = [layers.batch_norm(n_out if lin_first else n_in, dimensions=1)] if bn else []
    before += [nn.Dropout(p)] if p else []
    linear = [nn.Linear(n_in, n_out, bias=not bn), *([] if act is None else [act])]
    return nn.Sequential(*(linear + before if lin_first else before + linear))


def sigmoid_range(x: Tensor, low: float, high: float) -> Tensor:
    """Numbers squeezed into (low, high)."""
    return torch.sigmoid(x) * (high - low) + low


def create_head(
    nf: int, n_out: int, lin_ftrs: Sequence[int] | None = None, ps: Any = 0.5, pool: bool = True,
    concat_pool: bool = True, first_bn: bool = True, bn_final: bool = False, lin_first: bool = False,
    y_range: tuple[float, float] | None = None,
) -> nn.Sequential:  # fmt: skip
    """The usual head for maps of `nf` channels, which pooling twice doubles: (n, nf, h, w) to (n, n_out).

    Without `pool` it is for maps that need none. As in fastai `nf` are those of the body, not doubled.
    """
    features = 2 * nf if pool and concat_pool else nf
    hidden = 512 if lin_ftrs is None else list(lin_ftrs)
    head = mlp_head(features, n_out, hidden=hidden, dropout=ps, first_norm=first_bn, final_norm=bn_final,
                    linear_first=lin_first, output_range=y_range)  # fmt: skip
    pooling = [AdaptiveConcatPool2d() if concat_pool else nn.AdaptiveAvgPool2d(1)] if pool else []
    return nn.Sequential(*pooling, Flatten(), *head)


def create_body(model: Any, cut: int | Callable[[nn.Module], nn.Module] | None = None, **options: Any) -> nn.Module:
    """A model without its pooling and what comes after: the children before `cut`, or before the last that pools.

    Of an architecture (`resnet34`) the model is made first, with these `options`. Raises ConfigError where there is
    nothing to cut.
    """
    model = model if isinstance(model, nn.Module) else model(**options)
    if callable(cut):
        return cut(model)
    children = list(model.children())
    if cut is None:
        pooling = [i for i, child in enumerate(children) if any(map(_pools, child.modules()))]
        if not pooling:
            raise ConfigError(f"no layer of {type(model).__name__} pools", hint="give create_body a cut")
        cut = pooling[-1]
    return nn.Sequential(*children[:cut])


def params(m: nn.Module) -> list[nn.Parameter]:
    """All parameters of a module."""
    return list(m.parameters())


def trainable_params(m: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module that are trained."""
    return [parameter for parameter in m.parameters() if parameter.requires_grad]


def _pools(module: nn.Module) -> bool:
    return type(module).__name__.endswith(("Pool1d", "Pool2d", "Pool3d"))
