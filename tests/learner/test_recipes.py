import math

import pytest
import torch
from torch import nn

from fastcli.callbacks.record import Recorder
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fine_tune, fit, fit_cosine, fit_flat_cos, fit_one_cycle, fit_sgdr
from fastcli.optim.algorithms import sgd


class Net(nn.Module):
    """Three layer groups."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def layer_groups(self):
        return [list(part.parameters()) for part in (self.a, self.b, self.head)]

    def forward(self, x):
        return self.head(self.b(self.a(x)))


def make(n=40, **options):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    batches = list(zip(x.split(4), y.split(4), strict=True))
    return Learner((batches, batches[:1]), Net(), nn.CrossEntropyLoss(), **options)


def cosine(start, end, p):
    return start + (1 + math.cos(math.pi * (1 - p))) * (end - start) / 2


def one_cycle(p, lr, div=25, div_final=1e5, pct=0.25):
    return cosine(lr / div, lr, p / pct) if p < pct else cosine(lr, lr / div_final, (p - pct) / (1 - pct))


def test_fit_keeps_the_rate():
    learner = make()
    fit(learner, epochs=1, lr=0.1)
    assert learner.callback(Recorder).lrs == [[0.1] * 3] * 10


def test_one_cycle_is_fastais():
    learner = make()
    fit_one_cycle(learner, epochs=2, lr=0.1)
    recorder = learner.callback(Recorder)
    assert [row[-1] for row in recorder.lrs] == pytest.approx([one_cycle(i / 20, 0.1) for i in range(20)], rel=1e-5)
    momenta = [cosine(0.95, 0.85, p / 0.25) if p < 0.25 else cosine(0.85, 0.95, (p - 0.25) / 0.75)
               for p in (i / 20 for i in range(20))]  # fmt: skip
    assert recorder.momenta == pytest.approx(momenta, rel=1e-5)


def test_a_pair_of_rates_is_spread_geometrically():
    learner = make()
    fit_one_cycle(learner, epochs=1, lr=(1e-4, 1e-2))
    first, second, third = learner.callback(Recorder).lrs[3]
    assert second / first == pytest.approx(10)
    assert third / second == pytest.approx(10)


def test_fine_tune_is_fastais_with_the_body_frozen_first():
    learner, seen = make(), []
    emit = learner.emit

    def watch(event):
        if event == "before_train":
            seen.append(
                [p.requires_grad for p in (learner.model.a.weight, learner.model.b.weight, learner.model.head.weight)]
            )
        emit(event)

    learner.emit = watch
    fine_tune(learner, epochs=2, lr=2e-3)
    assert seen == [[False, False, True], [True] * 3, [True] * 3]
    rates = learner.callback(Recorder).lrs
    assert [row[-1] for row in rates[:10]] == pytest.approx([one_cycle(i / 10, 2e-3, pct=0.99) for i in range(10)])
    assert [row[-1] for row in rates[10:]] == pytest.approx(
        [one_cycle(i / 20, 1e-3, div=5.0, pct=0.3) for i in range(20)]
    )
    assert [row[0] for row in rates[10:]] == pytest.approx(
        [one_cycle(i / 20, 1e-5, div=5.0, pct=0.3) for i in range(20)]
    )
    assert len(learner.history) == 3


def test_fine_tune_without_frozen_epochs():
    learner = make()
    fine_tune(learner, epochs=1, freeze_epochs=0)
    assert len(learner.history) == 1


def test_flat_cosine_and_warm_restarts():
    learner = make()
    fit_flat_cos(learner, epochs=1, lr=0.1, pct_start=0.5)
    flat = [row[-1] for row in learner.callback(Recorder).lrs]
    assert flat[:5] == pytest.approx([0.1] * 5)
    assert flat[5:] == pytest.approx([cosine(0.1, 0.1 / 1e5, (i / 10 - 0.5) / 0.5) for i in range(5, 10)])
    learner = make()
    fit_sgdr(learner, cycles=2, cycle_len=1, lr=0.1)
    rates = [row[-1] for row in learner.callback(Recorder).lrs]
    assert len(rates) == 30
    assert rates[:10] == pytest.approx([cosine(0.1, 0, i / 10) for i in range(10)])
    assert rates[10:] == pytest.approx([cosine(0.1, 0, i / 20) for i in range(20)])


def test_sgdr_with_cycle_mult_1_has_equal_cycles_where_fastai_divides_by_zero():
    learner = make()
    fit_sgdr(learner, cycles=3, cycle_len=2, cycle_mult=1, lr=0.1)
    rates = [row[-1] for row in learner.callback(Recorder).lrs]
    assert len(rates) == 60
    assert rates == pytest.approx([cosine(0.1, 0, i / 20) for i in range(20)] * 3)


def test_warmup_then_cosine_and_each_layer_its_own_peak():
    learner = make()
    fit_cosine(learner, epochs=2, lr=(1e-3, 1e-1), warmup=0.25, div=10, div_final=1e3)
    rates = learner.callback(Recorder).lrs
    wanted = [0.01 + 0.09 * i / 5 if i < 5 else cosine(0.1, 1e-4, (i - 5) / 15) for i in range(20)]
    assert [row[-1] for row in rates] == pytest.approx(wanted)
    assert [row[0] for row in rates] == pytest.approx([rate / 100 for rate in wanted])
    assert learner.callback(Recorder).momenta == [0.9] * 20


def test_one_cycle_leaves_an_optimizer_without_momentum_without_it():
    learner = make(optimizer=sgd)
    fit_one_cycle(learner, epochs=1, lr=0.1)
    assert learner.callback(Recorder).momenta == [None] * 10
