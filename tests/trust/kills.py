"""Run by `test_kill.py`: a parent that forks trainings, kills them by true signals, and compares what comes of them."""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from test_replay import Training, equal, summary

from fastcli.callbacks.stop import StopOnSignal
from fastcli.errors import Stopped
from fastcli.events import Callback
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.files import sweep_temporaries

MOMENTS = {
    "before the first step": ("before_batch", lambda learner: learner.training and learner.global_step == 0),
    "in the frozen phase": ("after_loss", lambda learner: learner.training and learner.iteration == 2),
    "at the change of phase": ("before_fit", lambda learner: len(learner.done) == 1),
    "within an epoch": ("after_backward", lambda learner: len(learner.done) == 1 and learner.batch_index == 1),
    "at the last step of an epoch": ("after_batch", lambda learner: learner.training and learner.batch_index == 4),
    "during a validation": ("after_predict", lambda learner: not learner.training and learner.global_epoch == 1),
    "after the last epoch": ("after_fit", lambda learner: len(learner.done) == 1),
}


class Pause(Callback):
    """Tells the parent that a moment has come, and waits until it has sent its signal."""

    def __init__(self, moment, told, waits):
        event, self.when = MOMENTS[moment]
        self.told, self.waits = told, waits
        setattr(self, event, self.hear)

    def hear(self, learner):
        if self.told is not None and self.when(learner):
            os.write(self.told, b"now")
            os.read(self.waits, 1)
            self.told = None


def child(act):
    """The id of a process that does `act(told, waits)` and ends; it tells by one pipe and waits at another."""
    (ready, told), (waits, go_on) = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        try:
            act(told, waits)
        except Stopped as stopped:
            os._exit(stopped.exit_code)
        finally:
            os._exit(0)
    os.close(told), os.close(waits)
    return process, ready, go_on


def train(folder, scenario, moment, told, waits):
    training = Training(folder, scenario)
    callbacks, stop = training.callbacks, StopOnSignal()
    training.callbacks = lambda: [*callbacks(), stop]
    with stop.listening():
        training.run(Pause(moment, told, waits))


def killed(folder, scenario, moment, number):
    """The exit status of a training to which `number` was sent at `moment`, and that was resumed in another process."""
    process, ready, go_on = child(lambda told, waits: train(folder, scenario, moment, told, waits))
    assert os.read(ready, 3) == b"now", f"{moment} did not come"
    os.kill(process, number)
    os.write(go_on, b"x")
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(ready), os.close(go_on)
    return status


def trainings(folder, scenario, number, code):
    expected = summary(Training(folder / "whole", scenario).run(Callback()))
    for moment in MOMENTS:
        place = folder / moment.replace(" ", "-")
        status = killed(place, scenario, moment, number)
        if not (status == code or (status == 0 and moment == "after the last epoch")):
            print(f"{scenario}, {moment}: ended with {status}")
        if not equal(summary(Training(place, scenario).run(Callback())), expected):
            print(f"{scenario}, {moment}: another result")


def saves(folder, kills):
    """Kill a process that saves all the time, at moments of chance."""
    numbers = random.Random(0)
    Checkpoints(folder).save_last({"weight": torch.full((64,), -1.0)}, {"epoch": -1})

    def save(told, waits):
        store = Checkpoints(folder)
        os.write(told, b"now")
        for epoch in range(1_000_000):
            store.save_last({"weight": torch.full((64,), float(epoch))}, {"epoch": epoch})

    for _ in range(kills):
        process, ready, go_on = child(save)
        os.read(ready, 3)
        time.sleep(numbers.random() * 0.02)
        os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.close(ready), os.close(go_on)
        if status != -signal.SIGKILL:
            print(f"a process that saves ended by itself, with {status}")
        loaded = Checkpoints(folder).load("last")
        if not (loaded.tensors["weight"] == loaded.meta["epoch"]).all():
            print(f"{loaded.name} has the weights of another epoch")
        sweep_temporaries(folder)
    print(f"{kills} kills during saves")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1] == "saves":
            saves(Path(folder), 200)
        else:
            trainings(Path(folder), sys.argv[1], *map(int, sys.argv[2:]))
