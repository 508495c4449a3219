import csv

import pytest
import torch
from torch import nn

from fastcli.callbacks.ema import EMA
from fastcli.callbacks.save import CSVLogger, GatherPredictions, SaveModel
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.inference import predictions
from fastcli.learner.learner import Learner
from fastcli.optim.algorithms import sgd
from fastcli.run.pair import read_tensors


class Scores(Callback):
    """Puts these validation losses into the history, and keeps the weights of each epoch."""

    def __init__(self, losses):
        self.losses, self.weights = losses, []

    def after_epoch(self, learner):
        learner.history[-1]["valid_loss"] = self.losses[learner.epoch]
        self.weights.append({name: tensor.clone() for name, tensor in learner.weights().items()})


def make(folder, callbacks, loss=None):
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    batches = list(zip(x.split(4), (x[:, 0] > 0).long().split(4), strict=True))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    learner = Learner((batches, batches), model, loss or nn.CrossEntropyLoss(), lambda p: sgd(p, lr=0.1),
                      callbacks=callbacks)  # fmt: skip
    learner.directory = folder
    return learner


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_best_is_saved_and_the_last_stays_in_the_model(tmp_path):
    scores = Scores([3, 1, 2])
    learner = make(tmp_path, [scores, SaveModel()])
    learner.fit(3)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert equal(read_tensors(tmp_path / "model.safetensors"), scores.weights[1])
    assert equal(dict(learner.model.state_dict()), scores.weights[2])


@pytest.mark.parametrize("extra", [[], [EMA(0.5)]], ids=["plain", "ema"])
def test_the_best_is_loaded_at_the_end_only_if_asked(tmp_path, extra):
    scores = Scores([3, 1, 2])
    learner = make(tmp_path, [*extra, scores, SaveModel(load_best=True)])
    learner.fit(3)
    assert equal(dict(learner.model.state_dict()), scores.weights[1])


def test_every_nth_epoch_has_its_file(tmp_path):
    scores = Scores([3, 1, 2, 5, 4])
    make(tmp_path, [scores, SaveModel("deep/net.safetensors", when=2)]).fit(5)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["net-1.safetensors", "net-3.safetensors"]
    assert equal(read_tensors(tmp_path / "deep" / "net-3.safetensors"), scores.weights[3])


def test_the_end_is_saved(tmp_path):
    scores = Scores([1, 2])
    make(tmp_path, [scores, SaveModel("end.safetensors", when="end", monitor="none of them")]).fit(2)
    assert equal(read_tensors(tmp_path / "end.safetensors"), scores.weights[1])


def test_the_best_of_what_is_not_saved_cannot_be_loaded():
    with pytest.raises(ConfigError, match="load_best needs the best weights"):
        SaveModel(when="end", load_best=True)


def test_the_direction_is_chosen_and_a_file_is_as_readable_as_others(tmp_path):
    scores = Scores([3, 1, 5])
    make(tmp_path, [scores, SaveModel(mode="max")]).fit(3)
    assert equal(read_tensors(tmp_path / "model.safetensors"), scores.weights[2])
    (tmp_path / "plain").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_resumed_fit_remembers_the_best(tmp_path, resumed):
    first = SaveModel()
    make(tmp_path, [Scores([2, 1]), first]).fit(2)
    saved = (tmp_path / "model.safetensors").read_bytes()
    again = SaveModel()
    make(tmp_path, [Scores([1.5]), again, resumed(again, first.state_dict())]).fit(1)
    assert (tmp_path / "model.safetensors").read_bytes() == saved


def rows(path):
    with path.open() as file:
        return list(csv.reader(file))


def test_the_log_has_the_rows_of_all_fits(tmp_path):
    (tmp_path / "history.csv").write_text("old\n")
    learner = make(tmp_path, [CSVLogger()])
    learner.fit(2)
    learner.fit(1)
    head, *written = rows(tmp_path / "history.csv")
    assert head == list(learner.history[0])
    assert [[float(cell) for cell in row] for row in written] == [list(row.values()) for row in learner.history]


def test_the_log_may_be_appended_to(tmp_path):
    make(tmp_path, [CSVLogger("a/log.csv")]).fit(1)
    make(tmp_path, [CSVLogger("a/log.csv", append=True)]).fit(1)
    assert [row[0] for row in rows(tmp_path / "a" / "log.csv")] == ["epoch", "0", "epoch", "0"]
    first = CSVLogger("b.csv")
    make(tmp_path, [first]).fit(1)
    again = CSVLogger("b.csv")
    again.load_state_dict(first.state_dict())
    make(tmp_path, [again]).fit(1)
    assert [row[0] for row in rows(tmp_path / "b.csv")] == ["epoch", "0", "0"]


def test_predictions_of_the_last_validation_are_gathered(tmp_path):
    gather = GatherPredictions(inputs=True, losses=True, file="predictions.safetensors")
    learner = make(tmp_path, [gather])
    learner.fit(2)
    logits, targets = predictions(learner, activate=False)[:2]
    x = torch.cat([x for x, _ in learner.valid_loader])
    torch.testing.assert_close(gather.gathered["predictions"], logits)
    assert torch.equal(gather.gathered["targets"], targets)
    assert torch.equal(gather.gathered["inputs"], x)
    torch.testing.assert_close(
        gather.gathered["losses"], nn.functional.cross_entropy(logits, targets, reduction="none")
    )
    assert equal(read_tensors(tmp_path / "predictions.safetensors"), gather.gathered)


def test_one_validation_may_be_gathered(tmp_path):
    gather = GatherPredictions()
    learner = make(tmp_path, [])
    learner.validate(learner.valid_loader[:1], callbacks=[gather])
    assert set(gather.gathered) == {"predictions", "targets"}
    assert len(gather.gathered["predictions"]) == 4
    assert gather not in learner.callbacks


def test_losses_of_items_need_a_loss_that_knows_them(tmp_path):
    learner = make(tmp_path, [GatherPredictions(losses=True)], lambda p, t: nn.functional.cross_entropy(p, t))
    with pytest.raises(ConfigError, match="knows batches only"):
        learner.fit(1)


def test_every_output_of_a_model_is_gathered(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(x), self.linear(-x)

    gather, x, y = GatherPredictions(), torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1])
    learner = Learner(([(x, y)], [(x, y)]), Two(), lambda outputs, y: nn.functional.cross_entropy(outputs[0], y))
    learner.validate(callbacks=[gather])
    assert set(gather.gathered) == {"predictions_0", "predictions_1", "targets"}
    assert torch.equal(gather.gathered["predictions_1"], learner.model(x)[1])
