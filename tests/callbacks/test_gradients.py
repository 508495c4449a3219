import pytest
import torch
from torch import nn

from fastcli.callbacks.gradients import Accumulate, ClipGradients
from fastcli.callbacks.precision import MixedPrecision
from fastcli.callbacks.record import Recorder
from fastcli.events import Callback, CancelStep, CancelTrain
from fastcli.learner.learner import Learner
from fastcli.optim.algorithms import adam, sgd


def data(sizes, n=19):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, generator=random)
    y = (x.sum(1) > 0).long()
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


def make(sizes, callbacks=(), optimizer=adam):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    batches = data(sizes)
    return Learner(
        (batches, batches), model, nn.CrossEntropyLoss(), lambda p: optimizer(p, lr=0.05), callbacks=callbacks
    )


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


@pytest.mark.parametrize("optimizer", [sgd, adam])
@pytest.mark.parametrize("sizes", [[4, 4, 4, 4, 3], [5, 3, 4, 4, 3], [1, 7, 2, 5, 1, 3], [8, 8, 3]])
def test_accumulating_equals_the_large_batches(sizes, optimizer):
    small, large = make(sizes, [Accumulate(8)], optimizer), make([8, 8, 3], (), optimizer)
    small.fit(4)
    large.fit(4)
    assert small.step == large.step == 12
    assert (weights(small) - weights(large)).abs().max() < 1e-6


def test_the_record_stays_in_line():
    learner = make([4, 4, 4, 4, 3], [Accumulate(8)])
    learner.fit(2)
    recorder = learner.callback(Recorder)
    assert len(recorder.losses) == len(recorder.lrs) == len(recorder.momenta) == 10
    assert recorder.iters == [5, 10]
    assert learner.history[0]["train_loss"] == pytest.approx(
        sum(loss * n for loss, n in zip(recorder.losses[:5], [4, 4, 4, 4, 3], strict=True)) / 19, rel=1e-5
    )


def test_what_is_left_is_stepped_when_the_training_is_cut_short():
    class Cut(Callback):
        def after_batch(self, learner):
            if learner.training and learner.batch_index == 2:
                raise CancelTrain

    learner = make([4, 4, 4, 4, 3], [Accumulate(8), Cut()])
    learner.fit(1)
    assert learner.step == 2
    assert all(p.grad is None for p in learner.model.parameters())


def test_a_fit_begins_without_gradients_of_another():
    class Fail(Callback):
        def before_batch(self, learner):
            if learner.batch_index == 1:
                raise ValueError("boom")

    learner = make([4, 4, 4, 4, 3], [Accumulate(8), Fail()])
    with pytest.raises(ValueError, match="boom"):
        learner.fit(1)
    assert any(p.grad is not None for p in learner.model.parameters())
    learner.callbacks.pop()
    fresh = make([4, 4, 4, 4, 3], [Accumulate(8)])
    learner.fit(1)
    fresh.fit(1)
    assert torch.equal(weights(learner), weights(fresh))


class Norms(Callback):
    """The norm of the gradients that each step is taken with."""

    order = 50

    def __init__(self):
        self.norms = []

    def before_step(self, learner):
        gradients = [p.grad.flatten() for p in learner.model.parameters()]
        self.norms.append(torch.cat(gradients).norm().item())


def test_long_gradients_are_shortened_and_short_ones_left():
    plain, clipped = Norms(), Norms()
    make([4, 4, 4, 4, 3], [plain]).fit(1)
    limit = sorted(plain.norms)[2]
    make([4, 4, 4, 4, 3], [clipped, ClipGradients(limit)], lambda p, lr: sgd(p, lr=0.0)).fit(1)
    still = Norms()
    make([4, 4, 4, 4, 3], [still], lambda p, lr: sgd(p, lr=0.0)).fit(1)
    assert clipped.norms == pytest.approx([min(norm, limit) for norm in still.norms], rel=1e-4)
    assert any(norm < limit * 0.999 for norm in clipped.norms)
    largest = Norms()
    make([4, 4, 4, 4, 3], [ClipGradients(1e-3, float("inf")), largest]).fit(1)
    assert 1e-3 <= max(largest.norms) <= 1e-3 * 74**0.5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_accumulating_and_clipping_in_mixed_precision(precision):
    def trained(sizes, accumulate):
        norms = Norms()
        learner = make(sizes, [MixedPrecision(precision), *accumulate, ClipGradients(0.1), norms], sgd)
        learner.fit(3)
        return learner, norms.norms

    small, steps = trained([4, 4, 4, 4, 3], [Accumulate(8)])
    large, expected = trained([8, 8, 3], [])
    exact = make([8, 8, 3], [ClipGradients(0.1)], sgd)
    exact.fit(3)
    assert len(steps) == len(expected) == 9
    assert steps == pytest.approx(expected, rel=0.02)
    assert max(steps) <= 0.1001  # clipped after the scale was taken out
    close = 2e-4 if precision == "fp16" else 2e-3
    assert (weights(small) - weights(large)).abs().max() < close
    assert (weights(small) - weights(exact)).abs().max() < close


def test_a_cancelled_step_keeps_its_gradients_in_scale():
    class EveryOther(Callback):
        def before_step(self, learner):
            if learner.batch_index % 2 == 0:
                raise CancelStep

    def trained(callbacks):
        learner = make([4, 4, 4, 4], [*callbacks, EveryOther()], sgd)
        learner.fit(3)
        return learner

    def make(sizes, callbacks, optimizer):
        torch.manual_seed(0)
        batches = data(sizes, 16)
        model = nn.Linear(6, 2)
        return Learner(
            (batches, None), model, nn.CrossEntropyLoss(), lambda p: optimizer(p, lr=0.05), callbacks=callbacks
        )

    scaled, plain = trained([MixedPrecision("fp16")]), trained([])
    assert scaled.step == plain.step == 6
    assert (weights(scaled) - weights(plain)).abs().max() < 1e-3


def test_the_scaler_is_kept(resumed):
    precision = MixedPrecision("fp16")
    make([4, 4, 4, 4, 3], [precision]).fit(1)
    again = MixedPrecision("fp16")
    make([4, 4, 4, 4, 3], [again, resumed(again, precision.state_dict())]).fit(1)
    assert again.state_dict()["scaler"]["_growth_tracker"] == 10
    assert MixedPrecision("bf16").state_dict() == {}
