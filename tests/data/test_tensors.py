import pytest
import torch
from torch import nn
from torch.utils import data as torch_data

from fastcli.data.loaders import DataLoaders
from fastcli.data.tensors import DataLoader
from fastcli.errors import ConfigError, DataError
from fastcli.learner.learner import Learner

X, Y = torch.arange(20.0).view(10, 2), torch.arange(10)


class Squares(torch_data.Dataset):
    """Made item by item."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 10

    def __getitem__(self, i):
        self.asked.append(i)
        return torch.tensor([float(i)]), i * i


@pytest.mark.parametrize(
    "dataset", [list(zip(X, Y, strict=True)), torch_data.TensorDataset(X, Y), list(zip(X, Y.tolist(), strict=True))]
)
def test_tensors_are_stacked_once_and_batches_are_slices(dataset):
    loader = DataLoader(dataset, batch_size=4)
    parts = list(loader)
    assert torch.equal(torch.cat([x for x, _ in parts]), X)
    assert [y.tolist() for _, y in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert parts[0][0].untyped_storage().data_ptr() == parts[1][0].untyped_storage().data_ptr()
    assert len(loader) == 3
    assert len(DataLoader(dataset, batch_size=4, drop_last=True)) == 2


def test_a_shuffle_is_a_function_of_seed_and_epoch_and_moves_no_global_state():
    before = torch.random.get_rng_state()
    loader = DataLoader(list(zip(X, Y, strict=True)), batch_size=3, shuffle=True, seed=1)
    first, second = [torch.cat([y for _, y in loader]).tolist() for _ in range(2)]
    assert first != second
    assert sorted(first) == sorted(second) == list(range(10))
    loader.set_epoch(0)
    assert torch.cat([y for _, y in loader]).tolist() == first
    for x, y in loader:
        assert torch.equal(x[:, 0], 2.0 * y)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_other_datasets_are_read_batch_by_batch():
    dataset = Squares()
    loader = DataLoader(dataset, batch_size=4)
    dataset.asked.clear()
    x, y = next(iter(loader))
    assert dataset.asked == [0, 1, 2, 3]
    assert (x.shape, y.tolist()) == ((4, 1), [0, 1, 4, 9])


def test_bare_samples_and_text_come_as_they_are():
    assert [batch.tolist() for batch in DataLoader(range(5), batch_size=3)] == [[0, 1, 2], [3, 4]]
    assert [batch.tolist() for batch in DataLoader(X[:3, 0], batch_size=2)] == [[0, 2], [4]]
    numbers, letters = next(iter(DataLoader(list(enumerate("abc")), batch_size=2)))
    assert (numbers.tolist(), letters) == ([0, 1], ("a", "b"))


def test_shapes_that_differ_are_told():
    loader = DataLoader([(torch.zeros(2), 0), (torch.zeros(3), 1)], batch_size=2)
    with pytest.raises(DataError, match=r"part 0 of sample 1 has the shape \(3,\), that of sample 0 \(2,\)\nhint: "):
        next(iter(loader))


@pytest.mark.parametrize("make", [lambda d: DataLoader(d, 4, shuffle=True), lambda d: torch_data.DataLoader(d, 4)])
def test_a_learner_trains_on_such_loaders(make):
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    dataset = list(zip(x, x.sum(1, keepdim=True), strict=True))
    loaders = DataLoaders(make(dataset), make(dataset))
    learner = Learner(loaders, nn.Linear(3, 1), nn.MSELoss(), lambda groups: torch.optim.SGD(groups, lr=0.1))
    history = learner.fit(5)
    assert history[-1]["valid_loss"] < 0.1 * history[0]["train_loss"]
    with pytest.raises(ConfigError, match="these loaders do not say what their target is"):
        loaders.target.require("x", "y")
