"""Compiling by its costs; `backend` stands for a compiler, which would take a minute."""

import pytest
import torch
from torch import nn

from fastcli.errors import ConfigError
from fastcli.learner import compiling
from fastcli.learner.compiling import Compiled, Task, choose_compile, compiled
from fastcli.learner.probe import Choice


@pytest.fixture(autouse=True)
def backend(monkeypatch):
    """Compiles by handing back what it is given, and tells what it was given."""
    monkeypatch.setattr(compiling, "_obstacle", lambda task: "unknown" if task.steps is None else None)

    def use(function):
        monkeypatch.setattr(compiling, "BACKEND", function)

    use(lambda graph, example: graph.forward)
    yield use
    torch.compiler.reset()


def task(steps=10**6, *, dropout=0.0, measured=None, n=12, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(dropout), nn.Linear(64, 2))
    batch = (torch.randn(n, 3, 6, 6), torch.arange(n) % 2)
    choice = Choice("fp32", False, measured={"fp32": measured} if measured else {})
    return Task(model, batch, nn.CrossEntropyLoss(), choice, "resnet18", steps, **options)


def fast(monkeypatch, speedup=1.5, *, agrees=True):
    monkeypatch.setattr(compiling, "compiled", lambda task: Compiled(100.0, speedup, agrees))


def test_false_compiles_nothing_and_says_nothing(monkeypatch):
    monkeypatch.setattr(compiling, "compiled", None)
    assert choose_compile(False, task()) == (False, "")


@pytest.mark.parametrize(("steps", "words"), [
    (None, "not compiled: unknown"), (10, "not compiled: too few steps"),
    (1000, "not compiled: that would take 180 s to save 68 of 750 s"),
])  # fmt: skip
def test_a_short_training_is_not_compiled(monkeypatch, steps, words):
    monkeypatch.setattr(compiling, "compiled", None)
    chosen, note = choose_compile("auto", task(steps, measured=0.5))  # of 8 images: 0.75 s for 12
    assert not chosen
    assert note.startswith(words)


def test_a_long_training_is_compiled_where_that_is_right_and_faster(monkeypatch):
    fast(monkeypatch)
    assert choose_compile("auto", task(measured=0.5)) == (
        True, "compiled in 100 s: 1.50 times as fast as not compiled"
    )  # fmt: skip
    fast(monkeypatch, 0.9)
    assert choose_compile("auto", task(measured=0.5)) == (
        False, "not compiled: 0.90 times as fast as not compiled"
    )  # fmt: skip
    fast(monkeypatch, agrees=False)
    assert choose_compile("auto", task(measured=0.5)) == (False, "not compiled: its numbers were wrong")


def test_true_forces_it_and_says_where_numbers_are_wrong(monkeypatch):
    fast(monkeypatch, 0.9, agrees=False)
    chosen, note = choose_compile(True, task(1))
    assert chosen
    assert "NOT those of the model" in note


def test_what_was_found_counts_the_next_time(monkeypatch, tmp_path):
    memory = tmp_path / "probe.json"
    fast(monkeypatch, 3.0)
    assert choose_compile(True, task(), memory)[0]
    assert choose_compile("auto", task(800, measured=0.5), memory)[0]  # 400 of 600 s are more than 100 s
    assert not choose_compile("auto", task(800, measured=0.5, phases=4), memory)[0]
    fast(monkeypatch, agrees=False)
    choose_compile(True, task(), memory)
    assert "tried here before" in choose_compile("auto", task(measured=0.5), memory)[1]
    memory.write_text("{")
    assert choose_compile("auto", task(800, measured=0.5), memory)[1].startswith("not compiled: that would take 180 s")


def test_a_step_is_measured_where_nobody_has(monkeypatch):
    taken = []
    monkeypatch.setattr(compiling, "_run", lambda task: (taken.append(len(task.batch[0])) or 0.5, torch.ones(1)))
    fast(monkeypatch)
    assert choose_compile("auto", task(1000))[1].endswith("68 of 750 s")
    assert set(taken) == {compiling.IMAGES}


class Drifting(nn.Module):
    """Another factor with each step of training, as norms drift."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.steps += 1
        return x * (compiling.REPEATS + 0.5 - self.steps)


def test_what_a_model_notes_while_it_is_tried_does_not_disturb_the_comparison():
    one = task()
    one.model.append(Drifting())
    assert compiled(one).agrees


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_compiled_model_is_compared_with_the_one_as_written_which_stays_as_it_was(dropout):
    one = task(dropout=dropout)
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    one.model.eval()
    found = compiled(one)
    assert found.agrees
    assert found.seconds > 0
    assert not one.model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())
    assert all(parameter.grad is None for parameter in one.model.parameters())


def test_wrong_numbers_are_found(backend):
    def wrong(graph, example):
        def run(*args):
            return [out * torch.randn_like(out) if out.is_floating_point() else out for out in graph.forward(*args)]

        return run

    backend(wrong)
    one = task(measured=0.5)
    assert choose_compile("auto", one) == (False, "not compiled: its numbers were wrong")
    assert one.model._compiled_call_impl is None


def test_a_compiler_that_fails_is_told(backend):
    def failing(graph, example):
        raise NotImplementedError("no such operation")

    backend(failing)
    one = task(measured=0.5)
    chosen, note = choose_compile("auto", one)
    assert not chosen
    assert note.startswith("not compiled: compiling failed (")
    assert one.model(one.batch[0]).shape == (12, 2)
    with pytest.raises(ConfigError, match="cannot be compiled") as raised:
        choose_compile(True, task())
    assert raised.value.key == "runtime.compile"


def test_obstacles(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    assert compiling._obstacle(task()) == "there is no C++ compiler"
    monkeypatch.setattr(compiling.shutil, "which", lambda name: name)
    assert compiling._obstacle(task()) is None
    assert "the recipe decides" in compiling._obstacle(task(None))
    monkeypatch.setattr(compiling, "COSTS", {})
    assert compiling._obstacle(task()) == "there is no compiler for cpu"
