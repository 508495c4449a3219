import pytest
import torch
from torch import nn

from fastcli.callbacks.modes import FreezeBatchNorm, McDropout
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.inference import predictions
from fastcli.learner.learner import Learner
from fastcli.optim.algorithms import sgd


def make(callbacks, dropout=0.5):
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(0)) + 2
    batches = list(zip(x.split(8), (x[:, 0] > 2).long().split(8), strict=True))
    torch.manual_seed(0)
    drop = [nn.Dropout(dropout)] if dropout is not None else []
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), *drop, nn.Linear(8, 2))
    return Learner((batches, batches), model, nn.CrossEntropyLoss(), lambda p: sgd(p, lr=0.1), callbacks=callbacks)


def test_statistics_stay_as_they_are_while_weights_train():
    learner = make([FreezeBatchNorm()])
    norm = learner.model[1]
    mean, weight = norm.running_mean.clone(), norm.weight.clone()
    learner.fit(2)
    assert torch.equal(norm.running_mean, mean)
    assert not torch.equal(norm.weight, weight)
    assert learner.model[2].training is False  # validation came last
    learner.callbacks.pop()
    learner.fit(1)
    assert not torch.equal(norm.running_mean, mean)


def test_weights_stay_too_if_asked_and_train_again_afterwards():
    learner = make([FreezeBatchNorm(weights=True)])
    norm = learner.model[1]
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    linear = learner.model[0].weight.clone()
    learner.fit(2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())
    assert not torch.equal(learner.model[0].weight, linear)
    assert norm.weight.requires_grad


class Outputs(Callback):
    orders = {"after_predict": 90}

    def __init__(self):
        self.valid = []

    def after_predict(self, learner):
        if not learner.training:
            self.valid.append(learner.prediction)


def test_outputs_are_means_of_passes_with_dropout():
    outputs, dropout = Outputs(), McDropout(400)
    learner = make([dropout, outputs])
    learner.validate()
    found = torch.cat(outputs.valid)
    learner.callbacks.remove(dropout)
    exact = predictions(learner, activate=False).scores
    assert dropout.deviations.shape == exact.shape
    assert (dropout.deviations > 0).all()
    # The last layer is linear: the mean over dropout masks is the plain output, within five standard errors.
    assert ((found - exact).abs() < 5 * dropout.deviations / 400**0.5).all()


def test_validation_repeats_and_training_is_not_changed():
    outputs = Outputs()
    learner, plain = make([McDropout(2), outputs]), make([])
    learner.fit(1)
    plain.fit(1)
    assert torch.equal(learner.model[0].weight, plain.model[0].weight)
    assert not learner.model[2].training
    outputs.valid.clear()
    first, second = learner.validate(), learner.validate()
    assert first == second
    assert first != plain.validate()


def test_a_model_without_dropout_is_told():
    with pytest.raises(ConfigError, match="needs a model with dropout"):
        make([McDropout()], dropout=None).fit(1)
