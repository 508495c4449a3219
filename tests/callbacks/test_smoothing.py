import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.callbacks.smoothing import LabelSmoothing, smoothed
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.losses import Combined, CrossEntropy, Dice, Focal


class Watch(Callback):
    def __init__(self):
        self.train, self.valid = [], []

    def after_loss(self, learner):
        seen = self.train if learner.training else self.valid
        seen.append((learner.prediction.detach(), learner.targets, learner.loss.detach()))


def make(callbacks, loss):
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (torch.arange(12) % 3).split(4), strict=True))
    torch.manual_seed(0)
    return Learner((batches, batches), nn.Linear(4, 3), loss, callbacks=callbacks)


@pytest.mark.parametrize("loss", [CrossEntropy(3), nn.CrossEntropyLoss(), F.cross_entropy])
def test_training_has_the_smoothed_loss_and_validation_the_plain_one(loss):
    watch = Watch()
    learner = make([LabelSmoothing(0.2), watch], loss)
    learner.fit(1)
    for prediction, targets, value in watch.train:
        log = prediction.log_softmax(1)
        # fastai's formula: eps / c · (−Σ log p) + (1 − eps) · nll
        expected = (0.2 / 3 * -log.sum(1) + 0.8 * F.nll_loss(log, targets, reduction="none")).mean()
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)
    for prediction, targets, value in watch.valid:
        torch.testing.assert_close(value, F.cross_entropy(prediction, targets))
    assert learner.loss_fn is loss


def test_the_given_loss_comes_back_after_an_error():
    class Fail(Callback):
        def after_loss(self, learner):
            raise ValueError("boom")

    loss = CrossEntropy(3)
    learner = make([LabelSmoothing(), Fail()], loss)
    with pytest.raises(ValueError, match="boom"):
        learner.fit(1)
    assert learner.loss_fn is loss
    assert loss.label_smoothing == 0


def test_a_sum_of_losses_is_smoothed_where_it_can_be():
    loss = Combined([CrossEntropy(3), Dice(3)])
    prediction = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(2, 4, 4, dtype=torch.int64)
    expected = F.cross_entropy(prediction, targets, label_smoothing=0.1) + Dice(3)(prediction, targets)
    torch.testing.assert_close(smoothed(loss, 0.1)(prediction, targets), expected)


@pytest.mark.parametrize("loss", [Focal(3), nn.MSELoss(), F.mse_loss])
def test_another_loss_is_told(loss):
    with pytest.raises(ConfigError, match="label_smoothing does not fit the loss"):
        make([LabelSmoothing()], loss).fit(1)
