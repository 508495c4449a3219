import json

import pytest
import torch
from torch import nn

from fastcli.callbacks.activations import ActivationStats
from fastcli.events import Callback
from fastcli.learner.learner import Learner


class Net(nn.Module):
    """Keeps what its layers gave in training."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.seen = nn.Linear(4, 6), nn.Linear(6, 2), []

    def forward(self, x):
        first = self.first(x)
        last = self.last(first.relu())
        if self.training:
            self.seen.append((first.detach(), last.detach()))
        return last


def make(callbacks):
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * 4
    batches = list(zip(x.split(4), (x[:, 0] > 0).long().split(4), strict=True))
    torch.manual_seed(0)
    return Learner((batches, batches), Net(), nn.CrossEntropyLoss(), callbacks=callbacks)


def test_figures_are_those_of_the_outputs_of_every_nth_batch():
    stats = ActivationStats(every=3, histogram=True)
    learner = make([stats])
    learner.fit(2)
    learner.fit(1)
    assert stats.iterations == [0, 3, 6, 9, 12]
    assert list(stats.stats) == ["first", "last"]
    for i, name in enumerate(stats.stats):
        outputs = [learner.model.seen[k][i] for k in stats.iterations]
        lists = stats.stats[name]
        assert lists["mean"] == pytest.approx([o.mean().item() for o in outputs], rel=1e-5)
        assert lists["std"] == pytest.approx([o.std().item() for o in outputs], rel=1e-5)
        assert lists["near_zero"] == pytest.approx([(o.abs() <= 0.05).float().mean().item() for o in outputs])
        assert lists["histogram"] == [o.histc(40, 0, 10).tolist() for o in outputs]
    assert all(type(value) is float for value in stats.stats["first"]["mean"])


def test_nothing_is_left_on_the_model_even_after_an_error():
    class Fail(Callback):
        def after_predict(self, learner):
            assert learner.model.first._forward_hooks
            raise ValueError("boom")

    stats = ActivationStats(every=1)
    learner = make([stats, Fail()])
    with pytest.raises(ValueError, match="boom"):
        learner.fit(1)
    assert not any(module._forward_hooks for module in learner.model.modules())
    learner.callbacks.pop()
    learner.fit(1)
    assert not any(module._forward_hooks for module in learner.model.modules())


def test_training_is_not_changed():
    first, second = make([ActivationStats(every=1, histogram=True)]), make([])
    first.fit(1)
    second.fit(1)
    assert torch.equal(first.model.last.weight, second.model.last.weight)


def test_they_are_written_and_go_on(tmp_path):
    stats = ActivationStats(every=5, file="seen/activations.json")
    learner = make([stats])
    learner.directory = tmp_path
    learner.fit(1)
    written = json.loads((tmp_path / "seen" / "activations.json").read_text())
    assert written == {"iterations": [0], "layers": stats.stats}
    again = ActivationStats(every=5)
    again.load_state_dict(stats.state_dict())
    make([again]).fit(1)
    assert again.iterations == [0, 5]
