import pytest
import torch
from torch import nn

from fastcli.callbacks.record import Recorder
from fastcli.callbacks.timing import Timer
from fastcli.events import Callback, CancelBatch
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fit_one_cycle
from fastcli.metrics import error_rate
from fastcli.types import TargetInfo


def make(callbacks=(), valid=True):
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (x[:, 0] > 0).long().split(4), strict=True))
    metrics = [error_rate(TargetInfo("category", 2, ("a", "b"), (5, 5)))] if valid else []
    torch.manual_seed(0)
    return Learner((batches, batches if valid else None), nn.Linear(4, 2), nn.CrossEntropyLoss(), metrics=metrics,
                   callbacks=callbacks)  # fmt: skip


def test_values_are_the_rows_losses_and_metrics():
    learner = make()
    learner.fit(2)
    learner.fit(1)
    columns = ("train_loss", "valid_loss", "error_rate")
    assert learner.callback(Recorder).values == [[row[name] for name in columns] for row in learner.history]
    learner = make(valid=False)
    learner.fit(1)
    assert learner.callback(Recorder).values == [[learner.history[0]["train_loss"]]]


def test_steps_and_the_ends_of_epochs_are_kept_over_all_fits():
    learner = make()
    fit_one_cycle(learner, 2, 0.1)
    fit_one_cycle(learner, 1, 0.1)
    recorder = learner.callback(Recorder)
    assert recorder.iters == [3, 6, 9]
    assert len(recorder.losses) == len(recorder.lrs) == len(recorder.momenta) == 9
    first = recorder.losses[: recorder.iters[0]]
    assert learner.history[0]["train_loss"] == pytest.approx(
        sum(loss * n for loss, n in zip(first, [4, 4, 2], strict=True)) / 10, rel=1e-5
    )


def test_a_mean_loss_is_summed_batch_by_batch_in_single_precision():
    """As it always was: a run's figures can be compared with those of earlier runs to the last digit."""
    learner = make()
    learner.fit(3)
    recorder = learner.callback(Recorder)
    for epoch, row in enumerate(learner.history):
        total = torch.zeros(())
        for loss, n in zip(recorder.losses[3 * epoch : 3 * epoch + 3], [4, 4, 2], strict=True):
            total += torch.tensor(loss) * n
        assert row["train_loss"] == float(total) / 10


def test_a_batch_without_a_loss_has_no_entry():
    class Skip(Callback):
        def before_batch(self, learner):
            if learner.batch_index == 1:
                raise CancelBatch

    learner = make([Skip()])
    learner.fit(2)
    recorder = learner.callback(Recorder)
    assert recorder.iters == [2, 4]
    assert len(recorder.losses) == len(recorder.lrs) == 4


def test_its_state_goes_on():
    learner = make()
    learner.fit(1)
    again = make()
    again.callback(Recorder).load_state_dict(learner.callback(Recorder).state_dict())
    again.fit(1)
    assert again.callback(Recorder).iters == [3, 6]
    assert learner.callback(Recorder).iters == [3]


def test_waiting_is_the_time_between_batches_and_not_that_of_callbacks():
    now = [0.0]

    class Loader:
        def __init__(self, batches):
            self.batches = batches

        def __len__(self):
            return len(self.batches)

        def __iter__(self):
            for batch in self.batches:
                now[0] += 3
                yield batch

    class Slow(Callback):
        order = 95

        def after_loss(self, learner):
            now[0] += 4

        def after_batch(self, learner):
            now[0] += 1

    learner = make([Slow()])
    learner.callbacks[1] = timer = Timer(lambda: now[0])
    learner.train_loader = Loader(learner.train_loader)
    learner.fit(1)
    row = learner.history[0]
    assert (timer.waited, timer.images) == (9, 10)
    assert row["wait"] == pytest.approx(9 / 24)
    assert row["img_per_s"] == pytest.approx(10 / 24)
    assert row["time"] == pytest.approx(24 + 15)
