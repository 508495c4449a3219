"""Kills trainings at random, resumes them, and compares what they come to with one that nobody interrupted.

    python benchmarks/killer.py

A small network is fine-tuned (a frozen phase, then all of it) on pictures drawn here, with an average of the weights,
accumulation, mixup and augmentation. Each training is started by `fastcli train … --run-dir X --if-exists resume` in a
process of its own, which gets SIGKILL, SIGTERM or SIGINT after a random time, and is started by the same command again,
until it ends by itself. Then weights, optimizer, average, best checkpoint and history must be equal to the last bit.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from side_by_side import arguments, settled, table

CONFIG = """
experiment: {name: killed}
data:
  source: pictures
  batch_transforms: [{name: aug_transforms, max_rotate: 5.0}]
  batch_size: 8
model: {name: test_resnet, pretrained: false}
metrics: [accuracy]
callbacks: [{name: ema, decay: 0.9}, {name: accumulate, items: 16}, mixup]
train: {recipe: fine_tune, epochs: 4, freeze_epochs: 2, lr: 0.01}
runtime: {precision: fp32, channels_last: false, compile: false}
"""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_KILLS = 4
"""Of one training."""
ENDS = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15}, signal.SIGINT: {130, -2}}
"""How a process may end after a signal, unless it had ended before."""


def main():
    parser = arguments(__doc__, rounds=100, quick_rounds=5, peers=False)
    given = settled(parser)
    if not hasattr(os, "fork"):
        raise SystemExit("this benchmark forks, and there is no fork here")
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        os.environ["FASTCLI_HOME"] = str(Path(scratch) / "home")
        prepare()
        seconds = whole()
        kills, differences, trainings = kill(given.rounds, seconds, random.Random(0))
    table(["trainings", "kills", "of them SIGKILL", "SIGTERM", "SIGINT"],
          [[trainings, sum(kills.values()), *(kills[number] for number in ENDS)]])  # fmt: skip
    for words in differences:
        print(words)
    reached = "MISSES" if differences else "reaches"
    print(f"{sum(kills.values())} kills survived, {len(differences)} differences found, {reached} none")
    return bool(differences)


def prepare():
    """Draw the pictures, and import here what every training needs: a fork has it at once."""
    import numpy as np
    import torch
    from PIL import Image

    for name in ("fastcli.cli", "fastcli.experiment", "matplotlib.pyplot"):
        importlib.import_module(name)
    torch.set_num_threads(1)
    numbers = np.random.default_rng(0)
    for k, name in enumerate(("across", "down")):
        (Path("pictures") / name).mkdir(parents=True)
        for i in range(30):
            stripes = (np.indices((32, 32))[k] // 4) % 2 * 150 + numbers.integers(0, 90, (32, 32))
            Image.fromarray(stripes.astype("uint8")).convert("RGB").save(f"pictures/{name}/{i}.png")
    Path("killed.yaml").write_text(CONFIG)


def start(folder, *overrides):
    """The id of a process that trains into `folder`, or goes on with what is there."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Path(f"{folder}.log").open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                from fastcli.cli import run

                code = run(
                    ["train", "killed.yaml", *overrides, "--run-dir", folder, "--if-exists", "resume", "--plain"]
                )
        finally:
            os._exit(code)
    return child


def ended(child):
    """The exit code of a process, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole():
    """Train without interruption, twice; the seconds of the faster one."""
    took = []
    for _ in range(2):
        started = time.perf_counter()
        if ended(start("whole")):
            raise SystemExit(Path("whole.log").read_text()[-3000:])
        took.append(time.perf_counter() - started)
        if len(took) == 1:
            Path("whole").rename("expected")
    differences = compared("whole")
    if differences:
        raise SystemExit(f"without a kill two trainings differ: {differences}")
    return min(took)


def kill(wanted, seconds, numbers):
    """Kill until there were so many kills; how many by signal, what differed, and how many trainings there were."""
    kills, differences, trainings = Counter(), [], 0
    while sum(kills.values()) < wanted:
        folder, trainings = f"run-{trainings}", trainings + 1
        saves = f"checkpoint.every_minutes={numbers.choice([0, 0.001, 15])}"
        for attempt in range(MOST_KILLS + 1):
            child, number = start(folder, saves), numbers.choice(SIGNALS)
            if attempt < MOST_KILLS and sum(kills.values()) < wanted:
                time.sleep(seconds * numbers.random() * 0.9)
                os.kill(child, number)
            code = ended(child)
            if code == 0:
                break
            kills[number] += 1
            if code not in ENDS[number]:
                differences.append(f"{folder} ended with {code}: {Path(f'{folder}.log').read_text()[-500:]}")
                break
        differences += [f"{folder}: {what}" for what in compared(folder)]
    return kills, differences, trainings


def compared(folder):
    """What is not equal in a run and in the one that nobody interrupted."""
    from fastcli.run.checkpoint import Checkpoints

    found = []
    for name in ("last", "best"):
        first, second = (Checkpoints(Path(place) / "checkpoints").load(name) for place in ("expected", folder))
        parts = ("counters", "optimizer", "callbacks", "fits", "chosen", "frozen") if name == "last" else ()
        alike = first.warning == second.warning is None and equal(first.tensors, second.tensors)
        alike = alike and all(equal(settled_state(first, part), settled_state(second, part)) for part in parts)
        found += [] if alike else [name]
    return found + ([] if rows("expected") == rows(folder) else ["history"])


def settled_state(loaded, part):
    """A part of a state, without the times that the recorder keeps of the last epoch."""
    value = loaded.state.get(part)
    if part != "callbacks":
        return value
    return [[name, number, {k: v for k, v in state.items() if k != "row"}] for name, number, state in value]


def equal(first, second):
    """Whether two nested values are the same, to the last bit."""
    import torch

    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second


def rows(folder):
    """The history of a run, without what time changes."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("time", "img_per_s", "wait")} for line in lines]


if __name__ == "__main__":
    sys.exit(main())
