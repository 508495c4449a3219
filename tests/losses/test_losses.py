"""Losses against torch's, fastai's formulae and each other; what does not fit is refused."""

import pytest
import torch
import torch.nn.functional as F

from fastcli.errors import ConfigError
from fastcli.losses import Focal, default_loss, loss_per_item
from fastcli.registry import losses
from fastcli.types import TargetInfo

THREE = TargetInfo("category", 3, ("cat", "dog", "owl"), (10, 20, 30))
TWO = TargetInfo("category", 2, ("3", "7"), (5, 5))
LABELS = TargetInfo("multi_category", 3, ("cat", "dog", "owl"))
NUMBERS = TargetInfo("regression", 2)
MASK = TargetInfo("mask", 3, ("sky", "sea", "void"))
POINTS = TargetInfo("points", 4)


@pytest.fixture
def logits():
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 2, 2, 1, 0, 2, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
def test_cross_entropy_is_torchs(logits, targets, smoothing, weights):
    loss = losses.build("cross_entropy", THREE, label_smoothing=smoothing, class_weights=weights)
    weight = None if weights is None else torch.tensor(weights)
    options = {"weight": weight, "label_smoothing": smoothing}
    assert loss.n_out == 3
    torch.testing.assert_close(loss(logits, targets), F.cross_entropy(logits, targets, **options))
    wanted = F.cross_entropy(logits, targets, reduction="none", **options)
    torch.testing.assert_close(loss.per_item(logits, targets), wanted)


def test_label_smoothing_is_fastais_formula(logits, targets):
    loss = losses.build("cross_entropy", THREE, label_smoothing=0.1)
    log_shares = logits.log_softmax(dim=1)
    wanted = 0.1 / 3 * -log_shares.sum(1).mean() + 0.9 * F.nll_loss(log_shares, targets)
    torch.testing.assert_close(loss(logits, targets), wanted)


def test_cross_entropy_of_mixed_targets_is_the_mixed_cross_entropy(logits, targets):
    loss = losses.build("cross_entropy", THREE, label_smoothing=0.1)
    other = targets.flip(0)
    soft = 0.3 * F.one_hot(targets, 3) + 0.7 * F.one_hot(other, 3)
    mixed = 0.3 * loss.per_item(logits, targets) + 0.7 * loss.per_item(logits, other)
    torch.testing.assert_close(loss.per_item(logits, soft), mixed)
    torch.testing.assert_close(loss(logits, soft), mixed.mean())


def test_a_picture_of_targets_gives_one_loss_per_item():
    logits, targets = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    for name in ("cross_entropy", "focal"):
        loss = losses.build(name, THREE, class_weights=[1, 2, 3])
        assert loss.per_item(logits, targets).shape == (2,)


def test_balanced_weights_make_the_mean_weight_of_the_items_one():
    weight = losses.build("cross_entropy", THREE, class_weights="balanced").weight
    torch.testing.assert_close(weight, 60 / (3 * torch.tensor([10.0, 20.0, 30.0])))
    assert (weight * torch.tensor([10, 20, 30])).sum().item() == pytest.approx(60)


def test_weights_by_name_leave_the_others_at_one():
    assert losses.build("focal", THREE, class_weights={"dog": 3}).weight.tolist() == [1, 3, 1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "class_weights has 2 values for 3 classes"),
        ({"dgo": 2}, "unknown class 'dgo' in class_weights\nhint: did you mean 'dog'?"),
        ([1, 2, -1], "'cross_entropy', parameter"),
        ("balance", "'cross_entropy', parameter"),
    ],
)
def test_wrong_class_weights_are_refused(weights, message):
    with pytest.raises(ConfigError) as error:
        losses.build("cross_entropy", THREE, class_weights=weights)
    assert message in str(error.value)


def test_balanced_needs_items_of_every_class():
    for target in (TargetInfo("category", 3, ("a", "b", "c"), (1, 0, 2)), TargetInfo("category", 3)):
        with pytest.raises(ConfigError, match="needs training items of every class"):
            losses.build("cross_entropy", target, class_weights="balanced")


@pytest.mark.parametrize("gamma", [0, 2.0, 3.5])
def test_focal_is_fastais_formula(logits, targets, gamma):
    loss = losses.build("focal", THREE, gamma=gamma)
    entropy = F.cross_entropy(logits, targets, reduction="none")
    wanted = (1 - torch.exp(-entropy)) ** gamma * entropy
    torch.testing.assert_close(loss.per_item(logits, targets), wanted)
    torch.testing.assert_close(loss(logits, targets), wanted.mean())


def test_class_weights_of_focal_do_not_bend_its_probability(logits, targets):
    """In fastai the weighted cross entropy stands for the probability too; here only the loss is weighted."""
    plain, weighted = losses.build("focal", THREE), losses.build("focal", THREE, class_weights=[1, 2, 4])
    weight = torch.tensor([1.0, 2.0, 4.0])[targets]
    torch.testing.assert_close(weighted.per_item(logits, targets), weight * plain.per_item(logits, targets))
    soft = F.one_hot(targets, 3).float()
    torch.testing.assert_close(weighted.per_item(logits, soft), weighted.per_item(logits, targets))


@pytest.mark.parametrize("pos_weight", [None, 3.0, [1.0, 2.0, 3.0]])
def test_binary_cross_entropy_of_labels_is_torchs(logits, pos_weight):
    targets = (torch.rand(8, 3) > 0.5).float()
    loss = losses.build("binary_cross_entropy", LABELS, pos_weight=pos_weight)
    weight = None if pos_weight is None else torch.tensor(pos_weight)
    assert loss.n_out == 3
    wanted = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight)
    torch.testing.assert_close(loss(logits, targets), wanted)
    assert loss.per_item(logits, targets).shape == (8,)


def test_binary_cross_entropy_tells_two_classes_apart_by_one_output():
    loss = losses.build("binary_cross_entropy", TWO, pos_weight=2)
    logits, targets = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
    assert loss.n_out == 1
    wanted = F.binary_cross_entropy_with_logits(logits[:, 0], targets.float(), pos_weight=torch.tensor(2.0))
    torch.testing.assert_close(loss(logits, targets), wanted)
    with pytest.raises(ConfigError, match="one number"):
        losses.build("binary_cross_entropy", TWO, pos_weight=[1, 2])


def test_mnist_loss_is_fastbooks():
    loss = losses.build("mnist_loss", TWO)
    logits, targets = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
    p, column = logits.sigmoid(), targets.unsqueeze(1)
    wanted = torch.where(column == 1, 1 - p, p)
    assert loss.n_out == 1
    torch.testing.assert_close(loss(logits, targets), wanted.mean())
    torch.testing.assert_close(loss(logits, column), wanted.mean())
    torch.testing.assert_close(loss.per_item(logits, targets), wanted[:, 0])


@pytest.mark.parametrize(("name", "function"), [("mean_squared", F.mse_loss), ("l1", F.l1_loss)])
def test_regression_losses_are_torchs(name, function):
    loss = losses.build(name, NUMBERS)
    predictions, targets = torch.randn(5, 2), torch.randn(5, 2)
    assert loss.n_out == 2
    torch.testing.assert_close(loss(predictions, targets), function(predictions, targets))


def test_a_column_against_a_row_does_not_broadcast():
    loss = losses.build("mean_squared", TargetInfo("regression", 1))
    assert loss(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])) == 0


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cross_entropy", THREE),
        ("focal", THREE),
        ("binary_cross_entropy", LABELS),
        ("mnist_loss", TWO),
        ("mean_squared", NUMBERS),
        ("l1", NUMBERS),
        ("huber", NUMBERS),
        ("smooth_l1", NUMBERS),
    ],
)
def test_half_precision_is_reckoned_in_full(name, target):
    loss = losses.build(name, target)
    logits = torch.randn(4, loss.n_out).bfloat16().requires_grad_()
    targets = torch.zeros(4, dtype=torch.long) if target.kind == "category" else torch.zeros(4, loss.n_out)
    assert loss(logits, targets).dtype == torch.float32
    assert torch.equal(loss(logits, targets), loss(logits.float(), targets))
    loss(logits, targets).backward()
    assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("mnist_loss", THREE, "mnist_loss tells two classes apart; there are 3"),
        ("binary_cross_entropy", THREE, "binary_cross_entropy tells two classes apart; there are 3"),
        ("mean_squared", THREE, "mean_squared does not fit a category target\nhint: it needs regression or points"),
        ("cross_entropy", LABELS, "cross_entropy does not fit a multi_category target"),
        ("binary_cross_entropy", NUMBERS, "it needs multi_category or category"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(name, target, message):
    with pytest.raises(ConfigError) as error:
        losses.build(name, target)
    assert message in str(error.value)


def test_the_default_fits_the_target():
    for target in (THREE, LABELS, NUMBERS, MASK, POINTS):
        losses.build(default_loss(target), target)
    with pytest.raises(ConfigError, match="does not fit a boxes target"):
        default_loss(TargetInfo("boxes", 2))


def test_an_encoder_proposes_its_own_default():
    assert default_loss(TargetInfo("mask", 3, loss="dice")) == "dice"
    angle = TargetInfo("angle", 1, loss="l1")
    assert losses.build(default_loss(angle), angle)(torch.tensor([[1.0]]), torch.tensor([3.0])) == 2


def test_class_weights_move_with_the_loss_and_stay_out_of_checkpoints():
    loss = losses.build("cross_entropy", THREE, class_weights=[1, 2, 3]).to("meta")
    assert loss.weight.device.type == "meta"
    assert loss.state_dict() == {}
    assert repr(losses.build("focal", THREE, class_weights=[1, 2, 3])) == (
        "Focal(gamma=2.0, class_weights=[1.0, 2.0, 3.0])"
    )


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_huber_and_smooth_l1_are_torchs(size):
    predictions, targets = torch.randn(5, 2), torch.randn(5, 2) * 3
    wanted = F.huber_loss(predictions, targets, delta=size)
    torch.testing.assert_close(losses.build("huber", NUMBERS, delta=size)(predictions, targets), wanted)
    wanted = F.smooth_l1_loss(predictions, targets, beta=size)
    torch.testing.assert_close(losses.build("smooth_l1", NUMBERS, beta=size)(predictions, targets), wanted)


@pytest.mark.parametrize("name", ["mean_squared", "l1", "huber", "smooth_l1"])
def test_losses_of_points_pair_each_coordinate(name):
    loss = losses.build(name, POINTS)
    points = torch.randn(3, 2, 2)
    assert loss.n_out == 4
    assert loss(points.flatten(1), points) == 0
    assert loss.per_item(points.flatten(1) + 1, points).shape == (3,)


def test_focal_has_a_slope_where_the_model_is_certain():
    """The slope of (1 − p)^gamma is infinite at p = 1 for gamma below 1."""
    logits = torch.tensor([[200.0, 0.0], [0.0, 1.0]], requires_grad=True)
    losses.build("focal", TWO, gamma=0.5)(logits, torch.tensor([0, 1])).backward()
    assert logits.grad.isfinite().all()


def test_fastais_loss_shared_by_all_learners():
    """In fastai the loss of a block is one object for a whole process; here each learner's weights are its own."""
    first, second = (losses.build("cross_entropy", THREE, class_weights=w) for w in ([1, 2, 3], None))
    assert first is not second
    assert second.weight is None
    assert losses.build("cross_entropy", THREE, class_weights=[1, 2, 3]) is not first


def test_class_weights_of_shares_are_summed_in_full_under_autocast():
    """A sum by einsum is one of half precision there, and was off by a thousandth."""
    loss = Focal(3, weight=torch.tensor([0.3337, 1.7771, 2.1234]))
    logits, shares = torch.randn(8, 3), torch.rand(8, 3).softmax(1)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(logits, shares)
    torch.testing.assert_close(half, loss(logits, shares), rtol=1e-6, atol=0)


def test_a_loss_of_several_outputs_has_one_number_per_item():
    def both(outputs, targets, reduction="mean"):
        return sum(F.cross_entropy(output, targets, reduction=reduction) for output in outputs)

    outputs, targets = (torch.randn(6, 3), torch.randn(6, 3)), torch.tensor([0, 1, 2, 0, 1, 2])
    losses = loss_per_item(both)(outputs, targets)
    torch.testing.assert_close(losses, both(outputs, targets, reduction="none"))
