"""DataLoaders: what can be asked of the loaders of one task."""

from functools import partial

import pytest
import torch

from fastcli.data import splitters
from fastcli.data.blocks import CategoryBlock, ImageBlock, MaskBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.items import csv_rows
from fastcli.data.labellers import column, mask_file
from fastcli.data.loaders import DataLoaders
from fastcli.errors import ConfigError
from fastcli.transforms.geometry import Flip
from fastcli.transforms.item import RandomResizedCrop, Resize
from fastcli.transforms.normalize import IMAGENET
from fastcli.types import Image


def make(shapes, **options):
    block = DataBlock((ImageBlock, CategoryBlock), get_items=csv_rows, get_y=partial(column, column="stars"),
                      splitter=splitters.column, item_transforms=[RandomResizedCrop(16)])  # fmt: skip
    return block.dataloaders(shapes, **({"batch_size": 8, "normalize": IMAGENET} | options))


def test_a_test_loader_sees_what_validation_sees(shapes):
    loaders = make(shapes)
    items = loaders.valid_set.items
    seen = list(loaders.test_loader(items))
    assert [len(batch) for batch in seen] == [1, 1]
    assert torch.equal(torch.cat([x for (x,) in seen]), torch.cat([x for x, _ in loaders.valid]))
    labelled = loaders.test_loader(items, with_labels=True, batch_size=3)
    assert torch.equal(torch.cat([y for _, y in labelled]), torch.cat([y for _, y in loaders.valid]))
    assert len(labelled) == 4
    assert labelled.names(labelled.plan(0)[0])[0].endswith("images/0.png")


def test_new_loaders_keep_what_is_not_said_anew(shapes):
    loaders = make(shapes, seed=3)
    other = loaders.new(item_transforms=[Resize(12)], batch_size=5)
    assert other.one_batch()[0].shape == (5, 3, 12, 12)
    assert (other.train.seed, other.train.batches.normalize) == (3, IMAGENET)
    assert loaders.one_batch()[0].shape == (8, 3, 16, 16)
    flipped = loaders.new(batch_transforms=[Flip(p=1.0)])
    torch.testing.assert_close(flipped.one_batch()[0].flip(-1), loaders.one_batch()[0])


def test_batches_go_where_the_loaders_are_sent(shapes):
    loaders = make(shapes)
    assert loaders.device == torch.device("cpu")
    assert loaders.to("meta") is loaders
    assert loaders.device == loaders.valid.device == torch.device("meta")


def test_samples_are_decoded_for_people(shapes):
    loaders = make(shapes)
    batch = loaders.one_batch()
    samples = loaders.samples(batch, max_n=3)
    assert len(samples) == 3
    for i, ((picture, nothing), (label, stars)) in enumerate(samples):
        assert isinstance(picture, Image)
        assert nothing is None
        torch.testing.assert_close(picture.as_subclass(torch.Tensor), loaders.decode(batch[0][i]))
        assert stars == loaders.vocab[int(label)]
    unlabelled = next(iter(loaders.test_loader(loaders.train_set.items)))
    assert [len(sample) for sample in loaders.samples(unlabelled, max_n=2)] == [1, 1]


def test_a_batch_is_drawn(shapes, tmp_path):
    loaders = make(shapes)
    figure = loaders.show_batch(max_n=4, path=tmp_path / "batch.png")
    assert len(figure.axes) == 4
    assert figure.axes[0].get_title() == loaders.samples()[0][1][1]
    assert (tmp_path / "batch.png").stat().st_size > 1000


def test_a_batch_of_one_item_shows_its_views(shapes, tmp_path):
    loaders = make(shapes)
    figure = loaders.show_batch(max_n=4, unique=True, path=tmp_path / "batch.png")
    first, *others = [axes.images[0].get_array() for axes in figure.axes]
    assert all((first != other).any() for other in others)
    assert len({axes.get_title() for axes in figure.axes}) == 1


def test_masks_are_shown_over_their_pictures(shapes, tmp_path):
    block = DataBlock((ImageBlock, partial(MaskBlock, ["g", "d", "s"])), get_items=csv_rows, splitter=splitters.column,
                      get_y=partial(mask_file, suffix="_mask.png"))  # fmt: skip
    loaders = block.dataloaders(shapes, batch_size=4)
    figure = loaders.show_batch(path=tmp_path / "batch.png")
    assert [len(axes.images) for axes in figure.axes] == [2] * 4
    assert loaders.samples()[0][1][1][0] == "g"


def test_any_two_iterables_will_do():
    batches = [(torch.zeros(2, 3), torch.zeros(2))]
    loaders = DataLoaders(batches, batches)
    assert loaders.one_batch()[0].shape == (2, 3)
    for ask in (loaders.samples, loaders.new, lambda: loaders.vocab, lambda: loaders.test_loader([])):
        with pytest.raises(ConfigError, match=r"these loaders do not say .*\nhint: make them with a DataBlock"):
            ask()
