"""Losses of masks against torch's and fastai's numbers; pixels that are ignored, and sums of losses."""

import pytest
import torch
import torch.nn.functional as F

from fastcli.errors import ConfigError
from fastcli.losses import Combined, CrossEntropy, Dice
from fastcli.registry import losses
from fastcli.types import TargetInfo

THREE = TargetInfo("category", 3, ("cat", "dog", "owl"), (10, 20, 30))
LABELS = TargetInfo("multi_category", 3, ("cat", "dog", "owl"))
NUMBERS = TargetInfo("regression", 2)
MASK = TargetInfo("mask", 3, ("sky", "sea", "void"))
TWO_AREAS = TargetInfo("mask", 2, ("sky", "sea"))
OF_PIXELS = ("cross_entropy", "focal", "dice", "dice_cross_entropy", "dice_focal")


@pytest.fixture
def drawn():
    """Logits (2, 3, 4, 5) and a mask (2, 4, 5) that fastai can be given too."""
    logits = torch.sin(torch.arange(120, dtype=torch.float64) * 1.7).reshape(2, 3, 4, 5).float() * 2
    return logits, (torch.arange(40) * 7 % 11 % 3).reshape(2, 4, 5)


FASTAI = [  # what fastai 2.8.12 gives for `drawn`
    ("cross_entropy", {}, 1.8917754888534546),
    ("cross_entropy", {"ignore_index": 2}, 1.8975480794906616),
    ("cross_entropy", {"class_weights": [1, 2, 3]}, 1.8647031784057617),
    ("focal", {}, 1.5247284173965454),
    ("focal", {"gamma": 0.7}, 1.7285101413726807),
    ("dice", {}, 0.7059106826782227),
    ("dice", {"squared": True}, 0.6425328254699707),
    ("dice", {"smooth": 1.0}, 0.655658483505249),
]


@pytest.mark.parametrize(("name", "options", "wanted"), FASTAI)
def test_losses_of_masks_are_fastais(drawn, name, options, wanted):
    assert losses.build(name, MASK, **options)(*drawn).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", OF_PIXELS)
def test_losses_of_masks_give_the_loss_of_each_item_by_itself(drawn, name):
    loss, (logits, targets) = losses.build(name, MASK), drawn
    each = torch.stack([loss(logits[i : i + 1], targets[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(loss.per_item(logits, targets), each)
    torch.testing.assert_close(loss(logits, targets), each.mean())


@pytest.mark.parametrize("name", OF_PIXELS)
@pytest.mark.parametrize("ignored", [2, "void", 255])
def test_ignored_pixels_do_not_count(drawn, name, ignored):
    loss, (logits, targets) = losses.build(name, MASK, ignore_index=ignored), drawn
    targets = targets.where(targets != 2, MASK.index_of(ignored))
    void = (targets == MASK.index_of(ignored)).unsqueeze(1)
    other = logits + void * torch.randn(logits.shape)
    torch.testing.assert_close(loss(other, targets), loss(logits, targets))
    torch.testing.assert_close(loss.per_item(other, targets), loss.per_item(logits, targets))
    assert not torch.equal(loss(logits, targets), losses.build(name, MASK)(logits, targets.clamp_max(2)))


@pytest.mark.parametrize("weights", [None, [1, 2, 3]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_without_a_class_is_torchs(drawn, weights, smoothing):
    options = {"label_smoothing": smoothing, "ignore_index": 2}
    loss = losses.build("cross_entropy", MASK, class_weights=weights, **options)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    torch.testing.assert_close(loss(*drawn), F.cross_entropy(*drawn, weight=weight, **options))


@pytest.mark.parametrize("name", OF_PIXELS)
def test_a_batch_of_nothing_but_ignored_pixels_trains_nothing(drawn, name):
    """Torch's cross entropy is NaN there, which would end the training."""
    loss = losses.build(name, MASK, ignore_index=255)
    logits, targets = drawn[0].requires_grad_(), torch.full((2, 4, 5), 255)
    assert loss.per_item(logits, targets).tolist() == [0, 0]
    loss(logits, targets).backward()
    assert logits.grad.abs().sum() == 0


def test_dice_of_a_perfect_mask_is_nothing_and_of_a_wrong_one_is_all(drawn):
    targets = drawn[1]
    sure = 100.0 * F.one_hot(targets, 3).permute(0, 3, 1, 2)
    loss = losses.build("dice", MASK)
    assert loss(sure, targets).item() == pytest.approx(0, abs=1e-6)
    assert loss(sure.roll(1, dims=1), targets).item() == pytest.approx(1, abs=1e-6)


def test_dice_of_mixed_masks_takes_shares(drawn):
    logits, targets = drawn
    loss, shares = losses.build("dice", MASK), F.one_hot(targets, 3).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(loss.per_item(logits, shares), loss.per_item(logits, targets))


def test_the_ignored_class_is_not_one_of_those_that_dice_averages(drawn):
    targets = drawn[1]
    sure = 100.0 * F.one_hot(targets, 3).permute(0, 3, 1, 2)
    assert losses.build("dice", MASK, ignore_index="void")(sure, targets).item() == pytest.approx(0, abs=1e-6)


def test_combined_losses_are_the_sum_of_their_parts(drawn):
    plain = {name: losses.build(name, MASK)(*drawn) for name in ("cross_entropy", "focal", "dice")}
    both = losses.build("dice_cross_entropy", MASK, dice_weight=0.5)
    torch.testing.assert_close(both(*drawn), plain["cross_entropy"] + 0.5 * plain["dice"])
    torch.testing.assert_close(losses.build("dice_focal", MASK)(*drawn), plain["focal"] + plain["dice"])
    assert both.n_out == 3


def test_losses_are_combined_by_hand(drawn):
    both = Combined([Dice(3), CrossEntropy(3)], [2.0, 1.0])
    torch.testing.assert_close(both(*drawn), 2 * Dice(3)(*drawn) + CrossEntropy(3)(*drawn))
    with pytest.raises(ConfigError, match="losses of 2 and 3 outputs cannot be combined"):
        Combined([Dice(3), CrossEntropy(2)])
    with pytest.raises(ConfigError, match="1 weights for 2 losses"):
        Combined([Dice(3), CrossEntropy(3)], [1.0])


def test_binary_cross_entropy_of_a_mask_of_two_classes_needs_one_output():
    loss = losses.build("binary_cross_entropy", TWO_AREAS, pos_weight=2)
    logits, targets = torch.randn(2, 1, 4, 5), torch.randint(2, (2, 4, 5))
    wanted = F.binary_cross_entropy_with_logits(logits[:, 0], targets.float(), pos_weight=torch.tensor(2.0))
    assert loss.n_out == 1
    torch.testing.assert_close(loss(logits, targets), wanted)
    ignoring = losses.build("binary_cross_entropy", TWO_AREAS, ignore_index=255)
    targets[:, :2] = 255
    torch.testing.assert_close(
        ignoring(logits, targets), F.binary_cross_entropy_with_logits(logits[:, 0, 2:], targets[:, 2:].float())
    )


def test_only_pixels_can_be_ignored():
    for name, target in (("cross_entropy", THREE), ("focal", THREE), ("binary_cross_entropy", LABELS)):
        with pytest.raises(ConfigError, match=f"{name}: ignore_index is for masks"):
            losses.build(name, target, ignore_index=1)
    with pytest.raises(ConfigError, match="did you mean 'void'"):
        losses.build("dice", MASK, ignore_index="viod")


@pytest.mark.parametrize(
    ("name", "target", "wanted"),
    [
        ("cross_entropy", MASK, "CrossEntropy(label_smoothing=0.0, ignore_index=2)"),
        ("binary_cross_entropy", TWO_AREAS, "BinaryCrossEntropy(n_out=1, ignore_index=1)"),
        ("dice", MASK, "Dice(smooth=1e-06, ignore_index=2)"),
    ],
)
def test_a_loss_says_what_it_is(name, target, wanted):
    assert repr(losses.build(name, target, ignore_index=target.classes[-1])) == wanted
    assert repr(losses.build("huber", NUMBERS)) == "Elementwise(huber_error, n_out=2, delta=1.0)"
