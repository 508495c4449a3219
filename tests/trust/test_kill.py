"""True signals from a parent process: `kills.py` forks and kills, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def done(*words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("kills.py")
    found = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=False, env=environment
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.parametrize("scenario", ["ema and accumulation", "mixup"])
def test_a_killed_training_ends_as_if_it_had_not_been(scenario):
    assert done(scenario, "9", "-9") == ""


def test_a_terminated_training_is_saved_and_ends_as_if_it_had_not_been():
    assert done("bf16", "15", "143") == ""


def test_200_kills_during_saves_leave_a_good_checkpoint_each_time():
    assert done("saves") == "200 kills during saves\n"
