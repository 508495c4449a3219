"""`fastcli resume` and `train --if-exists resume`, in runs that were ended in many ways."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from fastcli import cli
from fastcli.learner.learner import Learner
from fastcli.optim.schedules import one_cycle
from fastcli.run import checkpoint as checkpoints
from fastcli.run.checkpoint import Checkpoints
from fastcli.run.directory import Run
from fastcli.run.lock import held
from fastcli.run.pair import read_tensors

CONFIG = """
experiment: {name: stripes}
data:
  source: pictures
  batch_transforms: [{name: aug_transforms, max_rotate: 5.0}]
  batch_size: 8
model: {name: test_resnet, pretrained: false}
metrics: [accuracy]
callbacks: [{name: ema, decay: 0.9}, mixup]
train: {recipe: fit_one_cycle, epochs: 2, lr: 0.01}
checkpoint: {every_minutes: 0}
runtime: {precision: fp32, channels_last: false, compile: false}
"""


class Kill(BaseException):
    """The end, that nothing catches."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a training that nobody interrupted; the pictures and the configuration are beside its run."""
    folder = tmp_path_factory.mktemp("whole")
    random = np.random.default_rng(0)
    for k, name in enumerate(("across", "down")):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(15):
            stripes = (np.indices((24, 24))[k] // 4) % 2 * 150 + random.integers(0, 90, (24, 24))
            Image.fromarray(stripes.astype("uint8")).convert("RGB").save(folder / "pictures" / name / f"{i}.png")
    (folder / "stripes.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FASTCLI_HOME", str(folder / "home"))
        assert run("train", "stripes.yaml", "--run-dir", "run") == 0
    return folder


@pytest.fixture
def work(whole, tmp_path, monkeypatch):
    """An empty folder with the same pictures and configuration."""
    (tmp_path / "pictures").symlink_to(whole / "pictures")
    (tmp_path / "stripes.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCLI_HOME", str(whole / "home"))
    return tmp_path


def run(*words):
    return cli.run([*map(str, words), "-q"] if "--json" not in words else [*map(str, words)])


def told(capsys, *words):
    """The exit code and all that was said."""
    capsys.readouterr()
    code = cli.run([*map(str, words), "--plain"])
    return code, "".join(capsys.readouterr())


def act_at(monkeypatch, step, act):
    """Do something when so many steps were taken, and leave the loop as it was then."""
    take_step, steps = Learner.take_step, [step]

    def counted(learner):
        take_step(learner)
        if learner.global_step in steps:
            steps.clear()
            act()

    monkeypatch.setattr(Learner, "take_step", counted)


def kill():
    raise Kill


def killed(monkeypatch, step, *words):
    act_at(monkeypatch, step, kill)
    with pytest.raises(Kill):
        run(*(words or ("train", "stripes.yaml", "--run-dir", "run")))


def rows(folder):
    """The rows of a run without what time changes."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert len((folder / "metrics.csv").read_text().splitlines()) == len(lines) + 1
    return [{k: v for k, v in json.loads(line).items() if k not in ("time", "img_per_s", "wait")} for line in lines]


def same(first, second):
    """Whether two runs ended alike, to the last bit."""
    states = [Checkpoints(folder / "checkpoints").load("last").state for folder in (first, second)]
    tensors = [{k: v for k, v in read_tensors(folder / "checkpoints" / "last.safetensors").items()
                if not k.startswith("state/generators")} for folder in (first, second)]  # fmt: skip
    best = [read_tensors(folder / "checkpoints" / "best.safetensors") for folder in (first, second)]
    assert states[0]["counters"] == states[1]["counters"]
    assert rows(first) == rows(second)
    for one, other in (tensors, best):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_killed_within_an_epoch_it_goes_on_with_the_next_batch(whole, work, monkeypatch, capsys):
    killed(monkeypatch, 5)  # of three steps in an epoch
    path = work / "run" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 1, "train_loss": 1}\n')  # of an epoch that was lost
    code, words = told(capsys, "resume", "run")
    assert code == 0
    assert "resumed at epoch 1, batch 1 (step 4)" in words
    assert "done in" in words
    same(whole / "run", work / "run")
    status = json.loads((work / "run" / "status.json").read_text())
    assert (status["state"], status["epoch"], status["exit_code"]) == ("finished", 2, 0)


def test_killed_before_the_first_save_it_begins_anew(whole, work, monkeypatch, capsys):
    killed(monkeypatch, 1)
    code, words = told(capsys, "resume", "run")
    assert (code, "it begins anew" in words) == (0, True)
    same(whole / "run", work / "run")


@pytest.mark.parametrize(("number", "code", "step"), [(signal.SIGTERM, 143, 2), (signal.SIGINT, 130, 6)])
def test_a_signal_saves_where_it_comes(whole, work, monkeypatch, capsys, number, code, step):
    act_at(monkeypatch, step, lambda: os.kill(os.getpid(), number))
    words = ("train", "stripes.yaml", "--run-dir", "run", "checkpoint.every_minutes=100")
    assert run(*words) == code
    status = json.loads((work / "run" / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("interrupted", code)
    assert Checkpoints(work / "run" / "checkpoints").load("last").meta["step"] == step
    assert told(capsys, "resume", "run")[1].count(f"(step {step})") == 1
    same(whole / "run", work / "run")


def test_a_signal_during_validation_does_not_wait_for_its_end(whole, work, monkeypatch, capsys):
    from fastcli.callbacks.ema import EMA

    swap = EMA._swap

    def signalled(ema):
        monkeypatch.setattr(EMA, "_swap", swap)
        os.kill(os.getpid(), signal.SIGTERM)
        swap(ema)

    act_at(monkeypatch, 2, lambda: monkeypatch.setattr(EMA, "_swap", signalled))
    assert run("train", "stripes.yaml", "--run-dir", "run") == 143
    assert "resumed at epoch 0, before its validation (step 3)" in told(capsys, "resume", "run")[1]
    same(whole / "run", work / "run")


def test_a_file_asks_for_a_save_or_a_stop(whole, work, monkeypatch, capsys):
    act_at(monkeypatch, 2, lambda: (work / "run" / "STOP").touch())
    monkeypatch.setattr("fastcli.callbacks.stop.LOOK_EVERY", 0.0)
    code, words = told(capsys, "train", "stripes.yaml", "--run-dir", "run", "checkpoint.every_minutes=100")
    assert (code, "stopped by the file STOP; the run was saved" in words) == (130, True)
    assert not (work / "run" / "STOP").exists()
    act_at(monkeypatch, 4, lambda: (work / "run" / "SAVE").touch())
    act_at(monkeypatch, 5, kill)
    with pytest.raises(Kill):
        run("resume", "run")
    assert "(step 4)" in told(capsys, "resume", "run")[1]
    same(whole / "run", work / "run")


def test_a_damaged_last_is_told_and_the_one_before_it_stands_in(whole, work, monkeypatch, capsys):
    killed(monkeypatch, 5)
    path = work / "run" / "checkpoints" / "last.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, words = told(capsys, "resume", "run")
    assert code == 0
    assert "last.safetensors is damaged or was not saved to the end: its checksum differs; using 'last-1'" in words
    assert "(step 3)" in words
    same(whole / "run", work / "run")


def test_the_same_command_twice_is_safe(whole, work, monkeypatch, capsys):
    words = ("train", "stripes.yaml", "train.lr=0.01", "--run-dir", "run", "--if-exists", "resume")
    killed(monkeypatch, 4, *words)
    assert "resumed after epoch 0 (step 3)" in told(capsys, *words)[1]
    same(whole / "run", work / "run")
    code, said = told(capsys, *words)
    assert (code, "run is finished, after 2 epochs" in said) == (0, True)
    code, said = told(capsys, *words, "data.batch_size=4", "model.name=resnet18")
    assert code == 2
    assert "run is of another configuration: it differs in" in said
    assert "model.name" in said
    assert "data.batch_size" in said
    assert told(capsys, *words[:3], "--run-dir", "run")[0] == 2  # without the option a run is never written over
    assert told(capsys, *words[:3], "--if-exists", "resume")[0] == 2


def test_a_run_that_has_no_configuration_yet_is_begun_anew_by_the_same_command(whole, work):
    Run.create(work, "stripes", "test_resnet", directory=work / "run")
    assert run("resume", "run") == 2
    assert run("train", "stripes.yaml", "--run-dir", "run", "--if-exists", "resume") == 0
    same(whole / "run", work / "run")


def test_two_writers_of_one_run_are_refused(work, monkeypatch, capsys):
    killed(monkeypatch, 4)
    with held(work / "run"):
        code, words = told(capsys, "resume", "run")
    assert code == 2
    assert f"run is being written by another process, of id {os.getpid()}" in words
    assert run("resume", "run") == 0


def test_what_may_not_change_is_told(whole, work, monkeypatch, capsys):
    killed(monkeypatch, 4)
    for override in ("model.name=resnet18", "data.split={name: stratified}", "experiment.seed=7",
                     "data.classes=[down, across]", "train.recipe=fit"):  # fmt: skip
        code, words = told(capsys, "resume", "run", override)
        assert code == 2, words
        assert "cannot change in a run that has begun" in words
        assert "--fork begins a new run from its weights" in words
    assert told(capsys, "resume", "run", "checkpoint.keep_last=1", "data.workers=1")[0] == 0
    same(whole / "run", work / "run")
    assert (work / "run" / "overrides.txt").read_text().splitlines() == ["checkpoint.keep_last=1", "data.workers=1"]


def test_a_finished_run_is_extended(whole, work, capsys):
    assert run("train", "stripes.yaml", "--run-dir", "four", "train={recipe: fit, epochs: 4, lr: 0.01}") == 0
    assert run("train", "stripes.yaml", "--run-dir", "run", "train={recipe: fit, epochs: 2, lr: 0.01}") == 0
    code, words = told(capsys, "resume", "run")
    assert (code, "is finished, after 2 epochs" in words) == (0, True)
    assert told(capsys, "resume", "run", "train.epochs=1")[0] == 2
    assert "resumed after epoch 1" in told(capsys, "resume", "run", "train.epochs=4")[1]
    same(work / "four", work / "run")


def test_of_a_rate_that_ended_the_way_on_must_be_chosen(whole, work, monkeypatch, capsys):
    for name in ("stretched", "restarted"):
        assert run("train", "stripes.yaml", "--run-dir", name) == 0
    code, words = told(capsys, "resume", "stretched", "train.epochs=3")
    assert code == 2
    assert "--schedule restart adds another cycle of 1; --schedule stretch goes on along the curve of 3" in words
    assert run("resume", "stretched", "train.epochs=3", "--schedule", "stretch") == 0
    killed(monkeypatch, 8, "resume", "restarted", "train.epochs=4", "--schedule", "restart")
    assert run("resume", "restarted") == 0
    stretched, restarted = rows(work / "stretched"), rows(work / "restarted")
    assert (len(stretched), len(restarted)) == (3, 4)
    assert stretched[:2] == restarted[:2] == rows(whole / "run")
    assert [row["lr"] for row in restarted[2:]] == [row["lr"] for row in restarted[:2]]  # the same cycle once more
    assert stretched[2]["lr"] == one_cycle(0.01, div=25, div_final=1e5, pct_start=0.25)(8 / 9)
    assert run("resume", "restarted", "train.epochs=5", "--schedule", "other") == 2
    assert run("resume", "restarted", "--schedule", "stretch") == 2


def test_a_fork_goes_on_from_the_state_and_leaves_its_parent_alone(whole, work, monkeypatch, capsys):
    killed(monkeypatch, 4)
    before = {path: path.read_bytes() for path in (work / "run").rglob("*") if path.is_file() and path.name != ".lock"}
    code, words = told(capsys, "resume", "run", "--fork", "--run-dir", "forked")
    assert (code, "goes on from the state of run" in words) == (0, True)
    same(whole / "run", work / "forked")
    assert {path: path.read_bytes() for path in before} == before
    parent = json.loads((work / "forked" / "parent.json").read_text())
    assert (parent["run"], parent["step"]) == (str(work / "run"), 3)


def test_a_fork_with_another_head_begins_from_the_weights_that_fit(work, monkeypatch, capsys):
    killed(monkeypatch, 4)
    state = Checkpoints(work / "run" / "checkpoints").load("last").tensors
    act_at(monkeypatch, 1, kill)
    with pytest.raises(Kill):
        run("resume", "run", "data.batch_size=6", "loss=focal", "--fork", "--run-dir", "forked")
    start = Checkpoints(work / "forked" / "checkpoints").load("start").tensors
    assert all(torch.equal(start[name], state[name]) for name in state)
    assert told(capsys, "resume", "forked")[0] == 0
    assert len(rows(work / "forked")) == 2
    assert run("resume", "run", "model.name=test_vit", "--fork", "--run-dir", "other") == 2


def test_changed_data_is_told(whole, work, monkeypatch, capsys):
    (work / "pictures").unlink()
    import shutil

    shutil.copytree(whole / "pictures", work / "pictures")
    killed(monkeypatch, 4)
    shutil.copy(work / "pictures" / "down" / "3.png", work / "pictures" / "down" / "0-new.png")
    code, words = told(capsys, "resume", "run")
    assert code == 0
    assert "the data has changed since the split: 1 file is new and takes no part: down/0-new.png" in words
    same(whole / "run", work / "run")
    (work / "pictures" / "down" / "3.png").rename(work / "pictures" / "across" / "30.png")
    code, words = told(capsys, "resume", "run", "checkpoint.keep_last=1")
    assert code == 3
    assert "1 of 30 files are gone: down/3.png" in words


def test_a_full_disk_during_a_save_is_told_and_costs_nothing(whole, work, monkeypatch, capsys):
    import errno

    save, n = checkpoints.place, 0

    def full(*given):
        nonlocal n
        n += 1
        if n == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*given)

    monkeypatch.setattr(checkpoints, "place", full)
    code, words = told(capsys, "train", "stripes.yaml", "--run-dir", "run")
    assert code == 1
    assert "No space left on device" in words
    assert "the disk is full: free some space" in words
    assert run("resume", "run") == 0
    same(whole / "run", work / "run")


RECIPES = {
    "features": (
        "train={recipe: fine_tune, epochs: 1, freeze_epochs: 3, lr: 0.01, cache_features: 2}",
        "data.sampler=weighted",
        "callbacks=[]",
    ),
    "auto": (
        "train={recipe: auto, views: 2, head_passes: 8, body: late, body_epochs: 2}",
        "callbacks=[{name: accumulate, items: 16}]",
    ),
    "streamed": ("data.cache=off", "data.item_transforms=[{name: random_resized_crop, size: 24}]", "data.workers=2"),
}


@pytest.mark.parametrize("overrides", RECIPES.values(), ids=RECIPES)
def test_with_every_kind_of_loader(work, monkeypatch, overrides):
    monkeypatch.setattr(Run, "draw", lambda self, name, draw: None)  # others test them, and they take longest
    model = "model={name: test_resnet, pretrained: false}"
    words = ("train", "stripes.yaml", *overrides, model, "--run-dir")
    assert run(*words, "whole") == 0
    steps = Checkpoints(work / "whole" / "checkpoints").load("last").meta["step"]
    for step in sorted({2, steps // 3, steps // 2, steps - 1}):
        killed(monkeypatch, step, *words, f"at-{step}")
        assert run("resume", f"at-{step}") == 0
        same(work / "whole", work / f"at-{step}")
