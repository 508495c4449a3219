"""The registered optimizers against torch's, timm's and fastai's over 50 steps, one tensor unfrozen late."""

import copy

import pytest
import timm.optim
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.optim.algorithms import adam, adamw, adopt, lamb, larc, lars, lion, qhadam, radam, rmsprop, sgd
from fastcli.optim.groups import as_groups, can_fuse, parameter_groups
from fastcli.optim.lookahead import lookahead, ranger
from fastcli.registry import optimizers


def compare(ours, theirs, steps=50, late=20):
    """The largest difference after `steps` steps with the same random gradients, beside the largest number.

    The second tensor has no gradient before step `late`.
    """
    torch.manual_seed(0)
    first = [nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (5,), (2, 3, 3, 3))]
    second = copy.deepcopy(first)
    mine, yours = ours(first), theirs(second)
    for step in range(steps):
        for i, (one, other) in enumerate(zip(first, second, strict=True)):
            gradient = torch.randn_like(one)
            if i != 1 or step >= late:
                one.grad, other.grad = gradient, gradient.clone()
        mine.step()
        yours.step()
    one, other = nn.utils.parameters_to_vector(first), nn.utils.parameters_to_vector(second)
    return ((one - other).abs().max() / other.abs().max().clamp(min=1)).item()


@pytest.mark.parametrize("numbers", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sgd_is_torchs_bit_for_bit(numbers, weight_decay):
    numbers = {"lr": 0.1, "weight_decay": weight_decay, **numbers}

    def theirs(params):
        return torch.optim.SGD(params, foreach=True, **numbers)

    assert compare(lambda params: sgd(params, decoupled=False, fused=False, **numbers), theirs) == 0
    assert compare(lambda params: sgd(params, decoupled=False, fused=True, **numbers), theirs) < 1e-6


def test_sgd_decouples_its_decay_as_fastai_does():
    parameter = nn.Parameter(torch.tensor([2.0]))
    parameter.grad = torch.tensor([1.0])
    sgd([parameter], lr=0.5, weight_decay=0.1).step()
    assert parameter.item() == pytest.approx(2 * (1 - 0.5 * 0.1) - 0.5)


@pytest.mark.parametrize("make", [sgd, rmsprop])
def test_momentum_is_a_hyperparameter_only_where_it_is_above_0_as_in_fastai(make):
    layers = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    assert "momentum" not in make(layers).defaults
    assert make(layers, momentum=0.9).defaults["momentum"] == 0.9
    groups = [{"params": layers[:1], "momentum": 0.5}, {"params": layers[1:]}]
    assert [group["momentum"] for group in make(groups).param_groups] == [0.5, 0.0]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_rmsprop_is_torchs(weight_decay):
    numbers = {"lr": 0.01, "eps": 0.1, "weight_decay": weight_decay}

    def ours(params):
        return rmsprop(params, beta2=0.9, decoupled=False, **numbers)

    assert compare(ours, lambda params: torch.optim.RMSprop(params, alpha=0.9, **numbers)) < 1e-6


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("ours", [adam, adamw])
def test_adam_with_fastais_numbers_is_torchs_adamw(ours, fused, foreach):
    def theirs(params):
        return torch.optim.AdamW(params, 1e-3, (0.9, 0.99), 1e-5, 0.01, foreach=foreach)

    assert compare(lambda params: ours(params, fused=fused), theirs) < 1e-6


@pytest.mark.parametrize("fused", [False, True])
def test_adam_with_coupled_decay_is_torchs_adam(fused):
    def theirs(params):
        return torch.optim.Adam(params, 1e-3, (0.9, 0.99), 1e-5, 0.01)

    assert compare(lambda params: adam(params, decoupled=False, fused=fused), theirs) < 1e-6


def test_adam_is_fastais_published_formula():
    parameter = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer, lr, value, mean, square = adam([parameter], lr=0.1), 0.1, 1.0, 0.0, 0.0
    for step in range(1, 11):
        gradient = step * 0.3 - 1
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        value *= 1 - lr * 0.01
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        value -= lr / (1 - 0.9**step) * mean / ((square / (1 - 0.99**step)) ** 0.5 + 1e-5)
    assert parameter.item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("beta2", [0.99, 0.999])
def test_radam_is_torchs_rectified_and_not(decoupled, beta2):
    def ours(params):
        return radam(params, 1e-2, beta2=beta2, eps=1e-8, weight_decay=0.1, decoupled=decoupled)

    def theirs(params):
        return torch.optim.RAdam(params, 1e-2, (0.9, beta2), 1e-8, 0.1, decoupled_weight_decay=decoupled)

    assert compare(ours, theirs) < 1e-6


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(("max_ratio", "clip"), [(None, False), (1.0, True)])
def test_lamb_is_timms(decoupled, max_ratio, clip):
    def ours(params):
        return lamb(params, 1e-2, beta2=0.999, weight_decay=0.1, max_ratio=max_ratio, decoupled=decoupled)

    def theirs(params):
        numbers = {"betas": (0.9, 0.999), "eps": 1e-5, "weight_decay": 0.1, "max_grad_norm": None}
        return timm.optim.Lamb(params, 1e-2, **numbers, trust_clip=clip, decoupled_decay=decoupled)

    assert compare(ours, theirs, late=0) < 1e-6  # timm counts the steps of a group, not of a parameter


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("adapt_all", [False, True])
def test_lars_is_timms(nesterov, adapt_all):
    numbers = {"lr": 1.0, "momentum": 0.9, "nesterov": nesterov}

    def ours(params):
        return lars(parameter_groups([params]), weight_decay=0.1, trust=0.01, adapt_all=adapt_all, **numbers)

    def theirs(params):
        groups = parameter_groups([params])
        return timm.optim.Lars(groups, weight_decay=0.1, trust_coeff=0.01, always_adapt=adapt_all, **numbers)

    assert compare(ours, theirs) < 1e-6


def test_larc_without_momentum_is_timms_lars():
    def ours(params):
        return larc(params, 0.1, momentum=0.0, clip=False, weight_decay=0.1, decoupled=False)

    def theirs(params):
        return timm.optim.Lars(params, 0.1, trust_coeff=0.02, weight_decay=0.1)

    assert compare(ours, theirs) < 1e-6


def test_lion_is_timms():
    def theirs(params):
        return timm.optim.Lion(params, 1e-2, weight_decay=0.1)

    assert compare(lambda params: lion(params, 1e-2, weight_decay=0.1), theirs) < 1e-6


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("power", [0.25, None])
def test_adopt_is_timms(decoupled, power):
    def ours(params):
        return adopt(params, 1e-2, beta2=0.99, clip_power=power, weight_decay=0.1, decoupled=decoupled)

    def theirs(params):
        numbers = {"betas": (0.9, 0.99), "clip_exp": power, "weight_decay": 0.1}
        return timm.optim.Adopt(params, 1e-2, decoupled=decoupled, **numbers)

    assert compare(ours, theirs) < 5e-6


# What fastai 2.8.12 comes to: two float64 tensors, lr 0.05, gradients as below; the second tensor joins at step 18.
FASTAI = {
    "sgd": [0.3499303, -0.7571562, 1.2012431, 1.5267655, 1.0694782, -1.7187628, -0.3297512, 1.7418157],
    "rmsprop": [0.0204293, -1.3816475, 2.368106, 2.2947714, 0.4742161, -1.5257633, 0.0955809, 1.2146804],
    "rmsprop_momentum": [-1.5046507, -1.5568512, 3.4647247, 1.902724, 1.8449922, -3.3664716, -0.9091714, 3.3137483],
    "adam": [0.3457506, -1.0646333, 1.6566227, 2.0082429, 0.2432571, -0.4288191, 0.1880614, 0.2872876],
    "radam": [0.3922755, -1.0782965, 1.6279463, 2.0452938, 0.4084995, -0.5053074, 0.070152, 0.4145501],
    "sadam": [0.3049205, -0.8391106, 1.2674104, 1.5916396, 0.3506908, -0.4356072, 0.0583579, 0.3586611],
    "qhadam": [0.3617116, -1.1119199, 1.6956836, 2.0790403, 0.2360999, -0.47284, 0.2122868, 0.3225547],
    "qhadam2": [0.3206316, -0.8472722, 1.2817112, 1.6150566, 0.1817281, -0.3729283, 0.1930125, 0.2431775],
    "larc": [0.4897138, -1.0031879, 1.5111077, 2.0003256, 0.1014993, -0.2024718, 0.2991376, 0.052694],
    "lars": [0.38226, -0.7803243, 1.1748835, 1.5567262, 0.086448, -0.1724505, 0.2548113, 0.0448681],
    "lamb": [0.1748578, -1.0088043, 1.8704877, 1.9405009, 0.1353415, -0.2688626, 0.2778619, 0.1198248],
    "lamb_wd": [0.136094, -0.7851651, 1.4558241, 1.5103162, 0.1152842, -0.2290176, 0.2366833, 0.102067],
    "ranger": [0.4398835, -1.0309968, 1.5456166, 2.0013241, 0.2626311, -0.3529623, 0.1738156, 0.2360841],
    "lookahead": [0.6856825, -1.4461888, 1.4292954, 2.4644086, -0.1284758, -0.5965676, 0.6306669, 0.3613584],
    "larc_clipped": [0.3687895, -0.6475186, 1.1541315, 1.4292681, 0.0688501, -0.1976875, 0.2789126, 0.0638946],
}
MAKERS = {
    "sgd": lambda p, lr: sgd(p, lr, 0.9, 0.1),
    "rmsprop": rmsprop,
    "rmsprop_momentum": lambda p, lr: rmsprop(p, lr, 0.9, weight_decay=0.1),
    "adam": adam,
    "radam": radam,
    "sadam": lambda p, lr: radam(p, lr, softplus=20, weight_decay=0.1),
    "qhadam": qhadam,
    "qhadam2": lambda p, lr: qhadam(p, lr, 0.9, nu2=0.8, weight_decay=0.1),
    "larc": larc,
    "larc_clipped": lambda p, lr: larc(p, lr, 0.5, trust=3, weight_decay=0.1),
    "lars": lambda p, lr: larc(p, lr, clip=False, weight_decay=0.1),
    "lamb": lamb,
    "lamb_wd": lambda p, lr: lamb(p, lr, weight_decay=0.1),
    "ranger": ranger,
    "lookahead": lambda p, lr: lookahead(sgd(p, lr), k=3, alpha=0.25),
}


def trace(make):
    """The numbers of the two tensors after 50 steps."""
    first = nn.Parameter(torch.tensor([0.5, -1.0, 1.5, 2.0], dtype=torch.float64))
    second = nn.Parameter(torch.tensor([[0.1, -0.2, 0.3, 0.05]], dtype=torch.float64))
    optimizer = make([first, second], 0.05)
    for step in range(50):
        for i, parameter in enumerate((first, second)):
            if i == 0 or step >= 18:
                angles = torch.arange(4, dtype=torch.float64) * 1.7 + step * 0.9 + i
                parameter.grad = (angles.sin() * (1 + 0.1 * step)).view(parameter.shape)
        optimizer.step()
    return [*first.tolist(), *second[0].tolist()]


@pytest.mark.parametrize("name", MAKERS)
def test_what_fastai_has_is_fastais(name):
    assert trace(MAKERS[name]) == pytest.approx(FASTAI[name], abs=1e-5)


def test_rmsprop_honours_eps_which_fastai_ignores():
    """In fastai RMSProp(eps=0.5) gives the numbers of eps=1e-8."""
    numbers = trace(lambda params, lr: rmsprop(params, lr, eps=0.5))
    assert numbers != pytest.approx(FASTAI["rmsprop"], abs=1e-2)
    assert numbers == pytest.approx(trace(lambda params, lr: torch.optim.RMSprop(params, lr, eps=0.5)), abs=1e-9)


@pytest.mark.parametrize("make", [larc, lars, lamb])
def test_what_starts_at_zero_is_trained_which_fastais_larc_leaves_there(make):
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    make([parameter], lr=0.1).step()
    assert parameter.tolist() == pytest.approx([-0.1] * 3, rel=1e-3)


def test_fused_is_chosen_where_it_gives_the_same_numbers():
    assert [piece.__name__ for piece in adam([nn.Parameter(torch.zeros(2))]).pieces] == ["fused_adamw"]
    assert len(adam([nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))]).pieces) == 5
    assert not can_fuse(as_groups([torch.zeros(4, 4)[:, ::2]]))
    assert not can_fuse(as_groups([torch.zeros(2, device="meta")]))


def test_params_may_be_whatever_torch_takes():
    layer = nn.Linear(2, 3)
    for params in (layer.parameters(), layer.named_parameters(), [{"params": layer.parameters()}], [layer.weight]):
        assert adam(params).pieces[0].__name__ == "fused_adamw"
    assert len(as_groups([{"params": layer.weight, "lr": 0.1}])[0]["params"]) == 1
    with pytest.raises(ValueError, match="empty parameter list"):
        adam([])


def test_the_layer_of_a_group_reaches_the_optimizer():
    groups = parameter_groups([nn.Linear(2, 2), nn.Linear(2, 1)])
    assert [group["layer"] for group in adam(groups).param_groups] == [0, 0, 1, 1]
    assert [group["weight_decay"] for group in adam(groups).param_groups] == [0.01, 0.0, 0.01, 0.0]


def test_yaml_may_give_what_the_signature_says():
    build = optimizers.bind("adam", lr="2e-3")
    assert build([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] == 2e-3
    with pytest.raises(ConfigError, match="'sgd', parameter 'lr'"):
        optimizers.bind("sgd", lr=-1)
    with pytest.raises(ConfigError, match="'adam', parameter 'momentum'"):
        optimizers.bind("adam", momentum=1)
    with pytest.raises(ConfigError, match="did you mean 'weight_decay'"):
        optimizers.bind("adam", weigth_decay=0.1)
