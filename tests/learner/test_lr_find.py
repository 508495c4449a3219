import math

import numpy as np
import pytest
import torch
from torch import nn

from fastcli.errors import FastcliError
from fastcli.learner.learner import Learner
from fastcli.learner.lr_find import longest_descent, lr_find, minimum, slide, steep, suggest, valley


def make():
    x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    batches = list(zip(x.split(16), y.split(16), strict=True))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 2))
    return Learner((batches, batches[:1]), model, nn.CrossEntropyLoss())


def test_everything_is_left_as_it_was():
    learner = make()
    learner.fit(1)
    before = {k: v.clone() for k, v in learner.model.state_dict().items()}
    optimizer, history = learner.optimizer, list(learner.history)
    recorded = [len(values) for values in (learner.callbacks[0].losses, learner.callbacks[0].lrs)]
    random = torch.get_rng_state()
    found = lr_find(learner)
    assert all(torch.equal(before[k], v) for k, v in learner.model.state_dict().items())
    assert learner.optimizer is optimizer
    assert learner.history == history
    assert [len(values) for values in (learner.callbacks[0].losses, learner.callbacks[0].lrs)] == recorded
    assert torch.equal(random, torch.get_rng_state())
    assert (learner.global_epoch, learner.global_step) == (1, 16)
    assert set(found.suggestions) == {"valley", "slide", "minimum", "steep"}
    assert all(1e-7 < rate < 10 for rate in found.suggestions.values())


def test_the_rate_rises_exponentially_and_divergence_ends_it():
    found = lr_find(make(), steps=50, stop_on_divergence=False)
    assert len(found.lrs) == 50
    ratios = np.diff(np.log(found.lrs))
    assert ratios == pytest.approx([math.log(10 / 1e-7) / 50] * 49)
    assert len(lr_find(make(), end_lr=1e6).lrs) < 100


def test_the_readings_are_fastais():
    lrs = np.geomspace(1e-6, 1, 80)
    losses = np.concatenate([np.full(20, 1.0), np.linspace(0.99, 0.2, 40), np.linspace(0.3, 3, 20)])
    assert minimum(lrs, losses) == pytest.approx(lrs[59] / 10)
    assert lrs[19] <= steep(lrs, losses) <= lrs[59]
    assert steep(lrs, np.where(lrs > lrs[30], losses - 0.2, losses)) == pytest.approx(lrs[30])
    start, end = longest_descent(losses)
    assert (losses[start], end) == (1.0, 59)
    assert lrs[start] < valley(lrs, losses) < lrs[end]
    assert lrs[0] <= slide(lrs, losses) <= lrs[-1]


def reference_length(losses):
    """The O(n²) textbook recurrence."""
    best = [1] * len(losses)
    for i in range(len(losses)):
        for j in range(i):
            if losses[j] > losses[i]:
                best[i] = max(best[i], best[j] + 1)
    return best


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_descent_is_the_longest(seed):
    losses = np.random.default_rng(seed).normal(size=60)
    start, end = longest_descent(losses)
    best = reference_length(losses)
    assert end == best.index(max(best))
    assert 0 <= start <= end
    assert losses[start] >= losses[end]


def test_too_short_a_curve_is_told():
    with pytest.raises(FastcliError, match="too few to suggest"):
        suggest([1e-3] * 8, [1.0] * 8)
    with pytest.raises(FastcliError, match="too few"):
        suggest(list(np.geomspace(1e-6, 1, 50)), [math.nan] * 50)
