import contextlib

import pytest
import torch
from torch import nn

from fastcli.learner.probe import Choice
from fastcli.learner.settings import Running, choose_running, gpu_settings
from fastcli.training import settings


def now():
    matmul = torch.backends.cuda.matmul
    return torch.get_float32_matmul_precision(), matmul.allow_tf32, torch.backends.cudnn.benchmark


def test_settings_of_a_gpu_hold_for_a_training_and_are_put_back_after_an_error():
    before = now()
    with contextlib.suppress(KeyError), gpu_settings(torch.device("cuda"), benchmark=True):
        assert now() == ("high", True, True)
        assert torch.backends.cudnn.allow_tf32
        raise KeyError
    assert now() == before == ("highest", False, False)


def test_a_cpu_keeps_its_settings():
    before = now()
    with gpu_settings(torch.device("cpu"), benchmark=True):
        assert now() == before


@pytest.mark.parametrize(("mode", "static", "timed"), [
    ("strict", True, False), ("warn", True, True), ("off", True, True), ("warn", False, False),
])  # fmt: skip
def test_algorithms_are_timed_where_shapes_stay_and_runs_may_differ(mode, static, timed):
    with settings(mode, torch.device("cuda"), static_shapes=static):
        assert now() == ("high", True, timed)
    assert not torch.are_deterministic_algorithms_enabled()


def test_callbacks_and_values_of_what_was_chosen():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")

    def names(running, device=cpu):
        return [type(callback).__name__ for callback in running.callbacks(device)]

    assert names(Running(Choice("fp32", False))) == []
    assert names(Running(Choice("bf16", True))) == ["ChannelsLast", "MixedPrecision"]
    assert names(Running(Choice("fp32", False), graph=True), gpu) == ["StaticShapes", "StepGraph"]
    assert Running(Choice("fp32", False), compiled=True).callbacks(cpu)[0].compiled
    assert Running(Choice("bf16", True), graph=True).resolved == {
        "runtime.precision": "bf16", "runtime.channels_last": True, "runtime.compile": False, "runtime.graph": True,
    }  # fmt: skip


def test_a_short_training_on_a_cpu_is_neither_compiled_nor_captured():
    model, batch = nn.Linear(3, 2), (torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))
    state = torch.get_rng_state()
    running = choose_running(model, batch, nn.CrossEntropyLoss(), name="linear", steps=10, precision="fp32")
    assert running == Running(Choice("fp32", False), notes=running.notes)
    assert torch.equal(state, torch.get_rng_state())
    assert len(running.notes) == 1
    assert running.notes[0].startswith("not compiled: ")
    told = choose_running(model, batch, nn.CrossEntropyLoss(), name="linear", graph=True, compile=False)
    assert told.notes == ("no graph of steps: cpu has none",)
