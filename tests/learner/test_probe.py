import json

import torch
from torch import nn

from fastcli.learner import probe
from fastcli.learner.probe import Choice, choose_precision

CPU = torch.device("cpu")


def make():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))
    return model, torch.randn(8, 3, 8, 8), torch.tensor([0, 1] * 4)


def choose(model, inputs, targets, **options):
    return choose_precision(model, inputs, targets, nn.CrossEntropyLoss(), device=CPU, **options)


def test_what_is_configured_is_not_tried(monkeypatch):
    monkeypatch.setattr(probe, "_trial", None)
    assert choose(*make(), precision="bf16", channels_last=True) == Choice("bf16", True)


def test_a_small_step_stays_in_fp32():
    assert choose(*make()).precision == "fp32"


def fake_trials(monkeypatch, seconds, wrong=()):
    def trial(model, inputs, targets, loss_fn, device, precision, channels_last):
        logits = torch.tensor([1.0, -1.0]) if precision in wrong else torch.tensor([1.0, 2.0])
        return probe._Trial(seconds[precision, channels_last], logits, torch.ones(3))

    monkeypatch.setattr(probe, "_trial", trial)


TIMES = {("fp32", False): 1.0, ("fp32", True): 0.8, ("bf16", False): 0.9, ("bf16", True): 0.25}


def test_the_fastest_right_candidate_wins(monkeypatch):
    fake_trials(monkeypatch, TIMES)
    choice = choose(*make())
    assert (choice.precision, choice.channels_last, choice.speedup) == ("bf16", True, 4.0)


def test_a_wrong_candidate_is_never_taken(monkeypatch):
    fake_trials(monkeypatch, TIMES, wrong=("bf16",))
    choice = choose(*make())
    assert (choice.precision, choice.channels_last) == ("fp32", True)


def test_a_small_gain_is_not_worth_it(monkeypatch):
    fake_trials(monkeypatch, {key: 0.95 if key != ("fp32", False) else 1.0 for key in TIMES})
    assert choose(*make()) == Choice("fp32", False, 1.0, "measured")


def test_the_winner_is_remembered_and_a_damaged_memory_is_made_anew(monkeypatch, tmp_path):
    memory = tmp_path / "home" / "probe.json"
    fake_trials(monkeypatch, TIMES)
    first = choose(*make(), name="m", memory=memory)
    monkeypatch.setattr(probe, "_trial", None)
    again = choose(*make(), name="m", memory=memory)
    assert (again.precision, again.channels_last, again.note) == (first.precision, True, "as remembered")
    memory.write_text("{")
    fake_trials(monkeypatch, TIMES)
    assert choose(*make(), name="m", memory=memory).note == "measured"
    assert len(json.loads(memory.read_text())) == 1


def test_nothing_is_changed_by_the_trial(monkeypatch):
    monkeypatch.setattr(probe, "SMALL_STEP", 0.0)
    model, inputs, targets = make()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    choose(model, inputs, targets)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
