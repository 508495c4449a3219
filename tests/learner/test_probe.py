import json

import pytest
import torch
from torch import nn

from fastcli.learner import probe
from fastcli.learner.probe import Choice, choose_precision
from fastcli.models.create import create_model
from fastcli.types import InputInfo

CPU = torch.device("cpu")


def make():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))
    return model, torch.randn(8, 3, 8, 8), torch.tensor([0, 1] * 4)


def choose(model, inputs, targets, **options):
    return choose_precision(model, inputs, targets, nn.CrossEntropyLoss(), device=CPU, **options)


def test_what_is_configured_is_not_tried(monkeypatch):
    monkeypatch.setattr(probe, "_Trials", None)
    assert choose(*make(), precision="bf16", channels_last=True) == Choice("bf16", True)


def test_a_small_step_stays_in_fp32():
    assert choose(*make()).precision == "fp32"


def fake_trials(monkeypatch, seconds, wrong=()):
    tried = []

    def run(self, precision, channels_last, abandon=0.0):
        tried.append((precision, channels_last))
        logits = torch.tensor([1.0, -1.0]) if precision in wrong else torch.tensor([1.0, 2.0])
        return probe._Trial(seconds[precision, channels_last], logits, torch.ones(3))

    monkeypatch.setattr(probe, "_cpu_has_bf16", lambda: True)
    monkeypatch.setattr(probe._Trials, "run", run)
    return tried


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
    monkeypatch.setattr(probe, "_Trials", None)
    again = choose(*make(), name="m", memory=memory)
    assert (again.precision, again.channels_last, again.note) == (first.precision, True, "as remembered")


@pytest.mark.parametrize(
    "damage", ["{", "[1]", "\x00", '{"KEY": 3}', '{"KEY": {"precision": "int8", "channels_last": true}}']
)
def test_a_damaged_memory_is_ignored_and_made_anew(monkeypatch, tmp_path, damage):
    memory = tmp_path / "probe.json"
    fake_trials(monkeypatch, TIMES)
    choose(*make(), name="m", memory=memory)
    key = next(iter(json.loads(memory.read_text())))
    memory.write_text(damage.replace("KEY", key))
    assert choose(*make(), name="m", memory=memory).note == "measured"
    assert json.loads(memory.read_text())[key]["precision"] == "bf16"


def test_another_model_or_size_is_tried_for_itself(monkeypatch, tmp_path):
    memory = tmp_path / "probe.json"
    fake_trials(monkeypatch, TIMES)
    model, inputs, targets = make()
    choose(model, inputs, targets, name="m", memory=memory)
    for other in ({"name": "n"}, {"name": "m", "inputs": inputs[..., :-1]}, {"name": "m", "channels_last": False}):
        found = choose(model, other.pop("inputs", inputs), targets, memory=memory, **other)
        assert found.note == "measured"
    assert len(json.loads(memory.read_text())) == 4


def test_what_is_fixed_is_kept_and_the_rest_is_tried(monkeypatch):
    tried = fake_trials(monkeypatch, TIMES)
    choice = choose(*make(), precision="fp32")
    assert (choice.precision, choice.channels_last) == ("fp32", True)
    tried.clear()
    choice = choose(*make(), channels_last=False)
    assert (choice.precision, choice.channels_last) == ("fp32", False)
    assert not any(channels_last for _, channels_last in tried)


def test_a_candidate_that_cannot_win_is_not_tried(monkeypatch):
    tried = fake_trials(monkeypatch, TIMES)
    choose(*make())
    assert ("bf16", False) not in tried


def test_a_processor_without_bf16_kernels_is_not_asked_for_them(monkeypatch):
    tried = fake_trials(monkeypatch, TIMES)
    monkeypatch.setattr(probe, "_cpu_has_bf16", lambda: False)
    assert choose(*make()).precision == "fp32"
    assert ("bf16", True) not in tried


def test_when_the_time_is_over_the_best_so_far_is_taken_and_said_so(monkeypatch):
    tried = fake_trials(monkeypatch, TIMES)
    monkeypatch.setattr(probe, "BUDGET", -1.0)
    choice = choose(*make())
    assert (choice.precision, choice.channels_last, choice.note) == ("fp32", False, "measured until -1 s were over")
    assert tried == [("fp32", False)]


def test_a_hopeless_candidate_is_given_up_after_its_first_timed_step(monkeypatch):
    trials = probe._Trials(*make(), nn.CrossEntropyLoss(), CPU)
    steps = []
    real = trials._step
    monkeypatch.setattr(trials, "_step", lambda *given: steps.append(given) or real(*given))
    trials.run("fp32", False, abandon=0.0)
    assert len(steps) == 2
    trials.run("fp32", False)
    assert len(steps) == 2 + 1 + probe.REPEATS


def test_flat_inputs_have_no_layout_to_try(monkeypatch):
    tried = fake_trials(monkeypatch, TIMES)
    choose(nn.Linear(4, 2), torch.randn(4, 4), torch.tensor([0, 1, 0, 1]))
    assert all(not channels_last for _, channels_last in tried)


@pytest.mark.skipif(not probe._cpu_has_bf16(), reason="oneDNN has no bf16 kernels on this processor")
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_the_kernels_of_this_processor_agree(name):
    torch.manual_seed(0)
    model = create_model(name, InputInfo(3, (64, 64)), 2, pretrained=False)
    trials = probe._Trials(model, torch.rand(8, 3, 64, 64), torch.tensor([0, 1] * 4), nn.CrossEntropyLoss(), CPU)
    base = trials.run("fp32", False)
    assert all(probe._agree(base, trials.run(precision, True)) for precision in ("fp32", "bf16"))


def test_numbers_that_are_not_finite_do_not_agree():
    base = probe._Trial(1.0, torch.ones(2), torch.ones(3))
    assert not probe._agree(base, probe._Trial(1.0, torch.tensor([1.0, torch.inf]), torch.ones(3)))
    assert not probe._agree(base, probe._Trial(1.0, torch.ones(2), torch.tensor([1.0, 1.0, torch.nan])))


def test_nothing_is_changed_by_the_trial(monkeypatch):
    monkeypatch.setattr(probe, "SMALL_STEP", 0.0)
    model, inputs, targets = make()
    model[1].eval()
    model[0].requires_grad_(False)
    strides = [parameter.stride() for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    choose(model, inputs, targets)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert [module.training for module in model] == [True, False, True, True, True]
    assert [parameter.requires_grad for parameter in model[0].parameters()] == [False, False]
    assert [parameter.stride() for parameter in model.parameters()] == strides
    assert all(parameter.grad is None for parameter in model.parameters())
