import contextlib

import pytest
import torch

from fastcli.learner.probe import Choice
from fastcli.learner.settings import device_callbacks, gpu_settings
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


def test_callbacks_of_a_choice():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")

    def names(*given, **options):
        return [type(callback).__name__ for callback in device_callbacks(*given, **options)]

    assert names(Choice("fp32", False), cpu, compiled=False) == []
    assert names(Choice("bf16", True), cpu, compiled=False) == ["ChannelsLast", "MixedPrecision"]
    assert names(Choice("fp32", False), gpu, compiled=False) == ["StaticShapes"]
    assert device_callbacks(Choice("fp32", False), cpu, compiled=True)[0].compiled
