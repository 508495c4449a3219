import pytest
import torch

from fastcli.data.loader import Loader
from fastcli.data.store import Store
from fastcli.errors import DataError
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.item import ItemPipeline
from fastcli.types import Category, typed


def make(n=10, *, batch_size=4, train=True, load=None, skip_bad=False, item_transforms=(), **kwargs):
    items = ItemPipeline(item_transforms)
    store = Store(
        load or (lambda i: torch.full((3, 4, 4), i, dtype=torch.uint8)), n, uniform=not items.random, skip_bad=skip_bad
    )
    labels = typed(torch.arange(n) * 10, Category)
    return Loader([store, labels], range(n), items=items, batches=BatchPipeline((), None), batch_size=batch_size,
                  train=train, **kwargs)  # fmt: skip


def labels_of(loader):
    return [y.tolist() for _, y in loader]


def test_an_epoch_is_a_pure_function_of_seed_and_epoch():
    loader = make(seed=1)
    first = labels_of(loader)
    assert first == labels_of(loader)
    loader.set_epoch(1)
    assert labels_of(loader) != first
    loader.set_epoch(0)
    assert labels_of(loader) == first
    assert sorted(sum(first, [])) == [i * 10 for i in range(10)]
    assert labels_of(make(seed=2)) != first


def test_validation_keeps_the_order():
    assert labels_of(make(train=False)) == [[0, 10, 20, 30], [40, 50, 60, 70], [80, 90]]


@pytest.mark.parametrize(("n", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (3, [3])])
def test_every_sample_is_trained_on_and_no_batch_has_one(n, sizes):
    loader = make(n)
    assert [len(y) for _, y in loader] == sizes
    assert len(loader) == len(sizes)


def test_batches_are_plain_floats_that_fit_their_labels():
    for x, y in make():
        assert type(x) is torch.Tensor
        assert type(y) is torch.Tensor
        torch.testing.assert_close(x[:, 0, 0, 0] * 255, y / 10.0, check_dtype=False)


def test_a_bad_picture_is_left_out_with_its_label():
    def load(i):
        if i == 3:
            raise DataError("3.png is truncated")
        return torch.full((3, 4, 4), i, dtype=torch.uint8)

    with pytest.raises(DataError, match="3.png"):
        labels_of(make(load=load))
    loader = make(load=load, skip_bad=True)
    for _ in range(2):
        seen = []
        for x, y in loader:
            torch.testing.assert_close(x[:, 0, 0, 0] * 255, y / 10.0, check_dtype=False)
            seen += y.tolist()
        assert sorted(seen) == [0, 10, 20, 40, 50, 60, 70, 80, 90]


def test_pictures_of_several_sizes_are_cut_anew_each_epoch():
    from fastcli.transforms.item import Resize

    pixels = torch.arange(4 * 40, dtype=torch.uint8).view(1, 4, 40).expand(3, 4, 40).contiguous()
    loader = make(6, load=lambda i: pixels, item_transforms=[Resize(4)])
    first = torch.cat([x for x, _ in loader])
    assert first.shape == (6, 3, 4, 4)
    assert len({tuple(p.flatten().tolist()) for p in first}) > 1  # each its own draw
    assert torch.equal(first, torch.cat([x for x, _ in loader]))
    loader.set_epoch(1)
    assert not torch.equal(first, torch.cat([x for x, _ in loader]))


def test_leaving_an_epoch_early_leaves_no_thread_waiting():
    loader = make(100, batch_size=2)
    next(iter(loader))
    assert len(labels_of(loader)) == 50


def test_names_of_a_batch():
    loader = make(name_of=lambda i: f"{i}.png", train=False)
    assert loader.names(loader.plan(0)[2]) == ["8.png", "9.png"]
