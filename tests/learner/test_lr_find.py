import math

import numpy as np
import pytest
import torch
from torch import nn

from fastcli.callbacks.schedule import HyperparameterSchedule
from fastcli.errors import FastcliError
from fastcli.events import Callback
from fastcli.learner.learner import Learner
from fastcli.learner.lr_find import longest_descent, lr_find, minimum, slide, steep, suggest, valley
from fastcli.optim.algorithms import sgd


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


STEP = np.arange(100)
LRS = np.geomspace(1e-7, 10, 100)
PLACE = np.log10(LRS)


def rise(x):
    return 1 / (1 + np.exp(-x))


# Curves by formula, and what fastai 2.8.12 suggests for them: valley, slide, minimum, steep.
CURVES = {
    "bowl": 2.3 - 1.8 * rise((PLACE + 3) * 2) + 4 * rise((PLACE - 0.4) * 3),
    "waves": 2.3 - 1.8 * rise((PLACE + 3) * 2) + 4 * rise((PLACE - 0.3) * 3) + 0.08 * np.sin(STEP**2 * 0.37),
    "falling": 3 - 0.25 * (PLACE + 7) + 0.01 * np.cos(STEP * 1.3),
    "two steps": 4 - rise((PLACE + 5) * 6) - 2 * rise((PLACE + 1.5) * 5) + 9 * rise((PLACE - 0.6) * 8)
    + 0.03 * np.sin(STEP * 2.1),
    "falls at once": 2 * np.exp(-STEP / 12) + 3 * rise((PLACE + 1) * 4),
}  # fmt: skip
FASTAI = {
    "bowl": [0.0001707353, 0.0002983647, 0.006579332, 0.0009111628],
    "waves": [0.003351603, 0.03125716, 0.007924829, 0.0004328761],
    "falling": [0.001321941, 0.2420128, 0.3944206, 0.2009233],
    "two steps": [0.005857021, 0.0002477076, 0.05094138, 0.02595024],
    "falls at once": [3.199267e-05, 6.428073e-07, 0.0002782559, 6.428073e-07],
}


@pytest.mark.parametrize("name", CURVES)
def test_slide_minimum_and_steep_are_fastais(name):
    found = suggest(LRS, CURVES[name], skip=10)
    assert [found[reading] for reading in ("slide", "minimum", "steep")] == pytest.approx(FASTAI[name][1:], rel=1e-5)


def test_valley_is_fastais_where_fastais_start_does_no_harm():
    assert suggest(LRS, CURVES["bowl"], skip=10)["valley"] == pytest.approx(FASTAI["bowl"][0], rel=1e-5)


def test_valley_starts_where_the_descent_starts_which_fastai_puts_at_minus_1():
    """fastai's start is the end less the length: one too early, or anywhere where the descent has gaps."""
    curve = CURVES["falls at once"][10:-5]
    start, end = longest_descent(curve)
    assert (start, end) == (0, 45)
    assert end - (end - start + 1) == -1
    assert valley(LRS[10:-5], curve) == pytest.approx(LRS[10 + 15 + 7])
    assert FASTAI["falls at once"][0] == pytest.approx(LRS[10 - 1 + 15 + 7], rel=1e-5)
    with_gaps = CURVES["waves"][10:-5]
    start, end = longest_descent(with_gaps)
    assert (start, end) == (1, 63)
    assert valley(LRS[10:-5], with_gaps) == pytest.approx(LRS[10 + 1 + 20 + 10])
    assert suggest(LRS, CURVES["waves"], skip=10)["valley"] < FASTAI["waves"][0] / 10  # fastai: past the middle


def test_a_short_curve_has_a_slide_where_fastais_breaks_off_with_an_error():
    assert slide(LRS[:10], CURVES["bowl"][:10]) == LRS[0]


def test_a_whole_search_is_fastais():
    """Both train one linear layer on the same 8 batches with SGD and momentum, from 1e-4 to 100 in 60 steps."""
    step = torch.arange(64.0)
    x = torch.stack([torch.sin(step * 0.7), torch.cos(step * 1.3)], 1)
    y = 2 * x[:, :1] - x[:, 1:] + 0.1 * torch.sin(step * 5)[:, None]
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.3, -0.2]]))
        model.bias.fill_(0.1)
    batches = list(zip(x.split(8), y.split(8), strict=True))
    learner = Learner((batches, batches), model, nn.functional.mse_loss, lambda params: sgd(params, momentum=0.9))
    found = lr_find(learner, start_lr=1e-4, end_lr=100, steps=60)
    assert len(found.lrs) == 48  # it diverges
    lrs = [0.0001, 0.0005012, 0.0025119, 0.0125893, 0.0630957, 0.3162278, 1.5848932]
    losses = [2.067691, 1.712826, 1.679552, 1.482476, 1.110474, 1.154245, 1.165878]
    assert found.lrs[::7] == pytest.approx(lrs, rel=1e-5, abs=1e-7)
    assert found.smoothed[::7] == pytest.approx(losses, rel=1e-5)
    assert found.smoothed[-1] == pytest.approx(37.66754, rel=1e-4)
    suggested = {"slide": 0.000398107, "minimum": 0.00630957, "steep": 0.000794328}
    assert {name: found.suggestions[name] for name in suggested} == pytest.approx(suggested, rel=1e-5)


def test_schedules_and_what_writes_are_not_heard_in_a_search():
    class Writes(Callback):
        in_search = False

        def before_fit(self, learner):
            raise AssertionError

    learner = make()
    callbacks = [Writes(), HyperparameterSchedule("lr", "linear", 1, 2)]
    learner.callbacks += callbacks
    assert lr_find(learner, steps=30).lrs[0] == pytest.approx(1e-7)
    assert learner.callbacks[-2:] == callbacks


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
