"""Steps as one graph; what is recorded stands for a GPU's graph by being done again, into the same tensors."""

import pytest
import torch
from torch import nn

from fastcli.callbacks.gradients import ClipGradients
from fastcli.callbacks.precision import MixedPrecision
from fastcli.callbacks.shapes import StaticShapes
from fastcli.callbacks.stop import TerminateOnNaN
from fastcli.events import Callback, CancelStep
from fastcli.learner import graph
from fastcli.learner.compiling import Task
from fastcli.learner.graph import StepGraph, choose_graph
from fastcli.learner.learner import Learner
from fastcli.learner.probe import Choice
from fastcli.learner.recipes import fit_one_cycle
from fastcli.models.hooks import mapped, tensors_in
from fastcli.optim.algorithms import adam


def record(work, forget, device):
    """Does the work before it is recorded, as a GPU does, and then into the tensors that it gave when recorded."""
    step = work.__self__
    for _ in range(2):
        forget()
        work()
    kept = mapped(torch.Tensor.clone, (step.prediction, step.loss, step.gradients))
    step.prediction, step.loss, step.gradients = kept

    def replay():
        forget()
        work()
        for own, new in zip(tensors_in(kept), tensors_in((step.prediction, step.loss, step.gradients)), strict=True):
            own.copy_(new)
        step.prediction, step.loss, step.gradients = kept
        forget()

    forget()
    return replay


def net(dropout=0.3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))


def make(*callbacks, sizes=(8, 8, 8, 5), model=None):
    random = torch.Generator().manual_seed(1)
    batches = [(torch.randn(n, 6, generator=random), torch.arange(n) % 2) for n in sizes]
    return Learner((batches, batches), model or net(), nn.CrossEntropyLoss(), adam, callbacks=callbacks)


class Count(Callback):
    """Counts events, in order."""

    def __init__(self):
        self.heard = []

    def before_step(self, learner):
        self.heard.append(learner.iteration)


def trained(learner, epochs=3):
    fit_one_cycle(learner, epochs, 0.05)
    return learner


def same(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one.model.state_dict().values(), other.model.state_dict().values(),
                                                 strict=True))  # fmt: skip
    names = ("train_loss", "valid_loss", "lr")
    assert [[row[n] for n in names] for row in one.history] == [[row[n] for n in names] for row in other.history]
    assert one.callbacks[0].losses == other.callbacks[0].losses


def test_a_training_by_graph_equals_one_step_by_step():
    replays = []

    def counting(*given):
        replay = record(*given)
        return lambda: (replays.append(1), replay())[1]

    count, usual = Count(), Count()
    by_graph = trained(make(count, StepGraph(counting), ClipGradients(0.5), TerminateOnNaN(), StaticShapes()))
    same(by_graph, trained(make(usual, ClipGradients(0.5), TerminateOnNaN())))
    assert count.heard == usual.heard
    assert len(replays) == 2 + 3 * 3  # to compare, and for each full batch
    assert by_graph.notes == []


def test_a_step_is_captured_anew_when_other_weights_train():
    captured = []

    class Unfreeze(Callback):
        def before_epoch(self, learner):
            learner.model[0].requires_grad_(learner.epoch > 0)

    def noting(work, forget, device):
        captured.append(len(work.__self__.parameters))
        return record(work, forget, device)

    same(trained(make(Unfreeze(), StepGraph(noting))), trained(make(Unfreeze())))
    assert captured == [4, 6]


class Skip(Callback):
    """Keeps the gradients of every other batch, for the next to add to."""

    def before_step(self, learner):
        if learner.iteration % 2 == 0:
            raise CancelStep


def test_gradients_that_are_kept_are_added_to():
    same(trained(make(Skip(), StepGraph(record))), trained(make(Skip())))


@pytest.mark.parametrize("event", ["after_predict", "after_loss", "before_backward"])
def test_a_callback_that_looks_inside_turns_it_off(event):
    Inside = type("Inside", (Callback,), {event: lambda self, learner: None})
    learner = trained(make(StepGraph(None), Inside()), 1)
    assert learner.notes == ["steps are launched one by one: Inside may change them"]


def test_bf16_is_captured_and_a_failure_is_told():
    same(trained(make(MixedPrecision("bf16"), StepGraph(record))), trained(make(MixedPrecision("bf16"))))

    def fails(*given):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    learner = trained(make(StepGraph(fails)))
    assert learner.notes == ["steps are launched one by one: operation not permitted when stream is capturing"]
    same(learner, trained(make()))


def stale(work, forget, device):
    """Always gives what it gave when it was recorded, as where a model draws its numbers on the host."""
    record(work, forget, device)
    return lambda: None


def test_wrong_numbers_are_found_and_told():
    learner = trained(make(StepGraph(stale)))
    assert learner.notes == ["steps are launched one by one: its numbers were wrong"]
    same(learner, trained(make()))


def task(precision="fp32"):
    batch = (torch.randn(8, 6), torch.arange(8) % 2)
    return Task(net(), batch, nn.CrossEntropyLoss(), Choice(precision, False), "net")


def test_choosing():
    assert choose_graph(False, task()) == (False, "")
    assert choose_graph("auto", task()) == (False, "")  # a CPU
    assert choose_graph(True, task()) == (False, "no graph of steps: cpu has none")
    assert choose_graph(True, task(), compiled=True, record=record)[1].endswith("the model is compiled")
    assert choose_graph(True, task("fp16"), record=record)[1].endswith("in the middle of a step")
    assert choose_graph(True, task(), record=stale) == (False, "no graph of steps: its numbers were wrong")
    one = task()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    chosen, note = choose_graph(True, one, record=record)
    assert chosen
    assert note.startswith("steps are launched as one graph")
    assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())
    assert graph._launching(one) > 0
