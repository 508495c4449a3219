from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.callbacks.mix import CutMix, MixUp
from fastcli.callbacks.smoothing import LabelSmoothing
from fastcli.data.loaders import DataLoaders
from fastcli.data.tensors import DataLoader
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.inference import predictions
from fastcli.learner.learner import Learner
from fastcli.losses import CrossEntropy
from fastcli.optim.algorithms import sgd
from fastcli.types import TargetInfo

LOSS = CrossEntropy(3)


class Watch(Callback):
    """Keeps what went into the model and came out of it."""

    orders = {"before_batch": 90, "after_loss": 90}

    def __init__(self):
        self.train, self.valid = [], []

    def after_loss(self, learner):
        seen = self.train if learner.training else self.valid
        seen.append(SimpleNamespace(inputs=learner.inputs[0], prediction=learner.prediction.detach(),
                                    targets=learner.targets, loss=learner.loss.detach()))  # fmt: skip


def images(n=12):
    random = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, 8, 8, generator=random), torch.arange(n) % 3


def make(callbacks, *, x=None, y=None, loss=LOSS, n_out=3, model=None, batch=6, seed=0):
    given = images()
    x, y = given[0] if x is None else x, given[1] if y is None else y
    torch.manual_seed(0)
    model = model or nn.Sequential(nn.Flatten(), nn.Linear(192, n_out))
    batches = list(zip(x.split(batch), y.split(batch), strict=True))
    return Learner((batches, batches), model, loss, lambda p: sgd(p, lr=0.01), callbacks=callbacks, seed=seed)


def shares(own, mixed):
    """λ and the partner of each sample, found by trying all pairs."""
    found = []
    for i in range(len(own)):
        best = (float("inf"), 1.0, i)
        for j in range(len(own)):
            direction = own[i] - own[j]
            share = ((mixed[i] - own[j]) * direction).sum() / direction.square().sum() if i != j else torch.tensor(1.0)
            error = (own[j] + share * direction - mixed[i]).abs().max().item()
            best = min(best, (error, share.item(), j))
        found.append(best)
    assert max(error for error, _, _ in found) < 1e-5
    return torch.tensor([s for _, s, _ in found]), torch.tensor([j for _, _, j in found])


def test_mixup_trains_on_weighted_means_and_the_loss_of_both_targets():
    x, y = images()
    watch = Watch()
    make([MixUp(), watch]).fit(1)
    for k, seen in enumerate(watch.train):
        own, targets = x[6 * k : 6 * k + 6], y[6 * k : 6 * k + 6]
        share, partner = shares(own, seen.inputs)
        assert (share >= 0.5 - 1e-5).all()
        assert len(set(share.tolist())) > 1
        assert torch.equal(seen.targets, targets)
        one_hot = F.one_hot(targets, 3).float()
        soft = share[:, None] * one_hot + (1 - share[:, None]) * one_hot[partner]
        torch.testing.assert_close(seen.loss, F.cross_entropy(seen.prediction, soft), atol=1e-5, rtol=1e-5)


def test_validation_is_as_without():
    watch = Watch()
    learner = make([MixUp(), watch])
    learner.fit(1)
    x, y = images()
    assert torch.equal(torch.cat([seen.inputs for seen in watch.valid]), x)
    assert torch.equal(torch.cat([seen.targets for seen in watch.valid]), y)
    assert learner.history[0]["valid_loss"] == pytest.approx(
        F.cross_entropy(predictions(learner, activate=False).scores, y).item()
    )


def test_the_data_itself_is_not_written_to():
    # fastai's CutMix writes into the batch it was given.
    for mix in (MixUp(), CutMix()):
        x, y = images()
        make([mix], x=x, y=y).fit(1)
        assert torch.equal(x, images()[0])
        assert torch.equal(y, images()[1])


@pytest.mark.parametrize("mix", [MixUp, CutMix])
def test_draws_follow_from_seed_epoch_and_batch(mix):
    def drawn(seed):
        watch = Watch()
        make([mix(), watch], seed=seed).fit(2)
        return [seen.inputs for seen in watch.train]

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[2])


def test_shares_are_drawn_from_beta():
    random = np.random.default_rng(0)
    share = MixUp(0.4).draw(random, 20000, images()[0])
    uniform = CutMix(1.0)
    kept = uniform.draw(random, 20000, torch.zeros(1, 3, 64, 64))
    # The mean of max(λ, 1 − λ) with λ from Beta(0.4, 0.4), by numerical integration: 0.8427.
    assert share.mean().item() == pytest.approx(0.8427, abs=0.005)
    assert uniform._cut[0].mean().item() == pytest.approx(0.5, abs=0.01)
    assert (kept.double() >= uniform._cut[0] - 0.03).all()


@pytest.mark.parametrize(
    "loss",
    [nn.CrossEntropyLoss(), F.cross_entropy, lambda p, t: F.cross_entropy(p, t)],
    ids=["module", "function", "own"],
)
def test_other_losses_are_mixed_too(loss):
    x, y = images()
    watch = Watch()
    make([MixUp(), watch], loss=loss).fit(1)
    for k, seen in enumerate(watch.train):
        share, partner = shares(x[6 * k : 6 * k + 6], seen.inputs)
        targets = y[6 * k : 6 * k + 6]
        own, other = (F.cross_entropy(seen.prediction, t, reduction="none") for t in (targets, targets[partner]))
        torch.testing.assert_close(seen.loss, (share * own + (1 - share) * other).mean(), atol=1e-5, rtol=1e-5)
    # A loss that knows batches only has one λ for all.
    moved = share[share < 0.99999]
    assert (moved.max() - moved.min() < 1e-5) == (getattr(loss, "__name__", "") == "<lambda>")


def test_targets_that_are_numbers_are_mixed_themselves():
    x, _ = images()
    y = torch.rand(12, 2, generator=torch.Generator().manual_seed(1))
    watch = Watch()
    make([MixUp(), watch], y=y, loss=nn.MSELoss(), n_out=2).fit(1)
    share, partner = shares(x[:6], watch.train[0].inputs)
    mixed = share[:, None] * y[:6] + (1 - share[:, None]) * y[:6][partner]
    torch.testing.assert_close(watch.train[0].targets, mixed, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(watch.train[0].loss, F.mse_loss(watch.train[0].prediction, mixed))
    assert torch.equal(watch.valid[0].targets, y[:6])


def test_cutmix_counts_each_target_by_its_area():
    y = torch.arange(12) % 3
    flat = torch.arange(12.0).reshape(12, 1, 1, 1).expand(12, 3, 8, 8).contiguous()  # the pixel says which image
    watch = Watch()
    make([CutMix(), watch], x=flat).fit(1)
    boxes = set()
    for k, seen in enumerate(watch.train):
        planes, losses = seen.inputs[:, 0], []
        for i, plane in enumerate(planes):
            counts = {int(value): int((plane == value).sum()) for value in plane.unique()}
            assert len(counts) <= 2
            boxes.add(counts.get(6 * k + i, 0))
            item = F.cross_entropy(seen.prediction[i].expand(len(counts), 3), y[list(counts)], reduction="none")
            losses.append((item * torch.tensor(list(counts.values()))).sum() / 64)
        torch.testing.assert_close(seen.loss, torch.stack(losses).mean(), atol=1e-5, rtol=1e-5)
    assert len(boxes) > 3  # a box for each sample


def test_masks_follow_cutmix():
    numbers = torch.arange(12.0).reshape(12, 1, 1, 1).expand(12, 3, 8, 8).contiguous()
    masks = (numbers[:, 0] % 3).long()
    watch = Watch()
    make([CutMix(), watch], x=numbers, y=masks, model=nn.Conv2d(3, 3, 1), loss=nn.CrossEntropyLoss()).fit(1)
    for seen in watch.train:
        assert torch.equal(seen.targets, (seen.inputs[:, 0] % 3).long())
        torch.testing.assert_close(seen.loss, F.cross_entropy(seen.prediction, seen.targets))
    assert any(len(plane.unique()) == 2 for seen in watch.train for plane in seen.inputs[:, 0])


def test_mixup_of_masks_mixes_the_losses_of_the_pixels():
    x, _ = images()
    masks = torch.randint(0, 3, (12, 8, 8), generator=torch.Generator().manual_seed(1))
    watch = Watch()
    make([MixUp(), watch], y=masks, model=nn.Conv2d(3, 3, 1), loss=nn.CrossEntropyLoss()).fit(1)
    seen = watch.train[0]
    share, partner = shares(x[:6], seen.inputs)
    own, other = (F.cross_entropy(seen.prediction, m, reduction="none") for m in (masks[:6], masks[:6][partner]))
    share = share[:, None, None]
    torch.testing.assert_close(seen.loss, (share * own + (1 - share) * other).mean(), atol=1e-5, rtol=1e-5)


def test_smoothed_targets_are_mixed_as_well():
    x, y = images()
    watch = Watch()
    make([MixUp(), LabelSmoothing(0.2), watch]).fit(1)
    share, partner = shares(x[:6], watch.train[0].inputs)
    own, other = (
        F.cross_entropy(watch.train[0].prediction, t, reduction="none", label_smoothing=0.2)
        for t in (y[:6], y[:6][partner])
    )
    torch.testing.assert_close(watch.train[0].loss, (share * own + (1 - share) * other).mean(), atol=1e-5, rtol=1e-5)


def test_what_cannot_be_mixed_is_told():
    with pytest.raises(ConfigError, match="one callback alone"):
        make([MixUp(), CutMix()]).fit(1)
    with pytest.raises(ConfigError, match="cutmix needs images"):
        make([CutMix()], x=torch.rand(12, 192)).fit(1)
    learner = make([CutMix()])
    learner.loaders = SimpleNamespace(target=TargetInfo("points", 4))
    with pytest.raises(ConfigError, match="cutmix does not fit a points target"):
        learner.fit(1)


def test_loaders_that_know_no_target_are_mixed():
    """They once were answered that they do not say what their target is."""
    x, y = torch.randn(8, 3, 6, 6), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    loader = DataLoader(list(zip(x, y, strict=True)), 4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 3))
    learner = Learner(DataLoaders(loader, loader), model, LOSS, callbacks=[MixUp()])
    learner.fit(1)
    assert learner.target_info is None
    assert len(learner.history) == 1
