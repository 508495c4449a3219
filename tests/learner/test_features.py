"""Features of a frozen body are computed once, and a head trained on them is the head that pictures would train."""

import pytest
import torch

from fastcli.data.blocks import CategoryBlock, ImageBlock
from fastcli.data.datablock import DataBlock
from fastcli.errors import ConfigError
from fastcli.events import Callback
from fastcli.learner.features import cached_features
from fastcli.learner.learner import Learner
from fastcli.learner.recipes import fine_tune, fit_one_cycle
from fastcli.losses import CrossEntropy
from fastcli.metrics import Mean
from fastcli.models.create import create_model
from fastcli.transforms.batch import aug_transforms
from fastcli.transforms.item import Resize


def make(shapes, transforms=(), seed=1, **options):
    block = DataBlock(
        (ImageBlock(), CategoryBlock()),
        get_items=lambda root: sorted((root / "images").glob("*.png")),
        get_y=lambda path: int(path.stem) % 2,
        splitter=lambda items, labels: (list(range(30)), list(range(30, 40))),
        item_transforms=[Resize(32, method="squish")],
        batch_transforms=transforms,
    )
    loaders = block.dataloaders(shapes, batch_size=8, seed=seed, **options)
    torch.manual_seed(0)
    model = create_model("test_resnet", loaders.input, 2, pretrained=False)
    right = Mean("accuracy", lambda logits, targets: logits.argmax(1) == targets, higher_is_better=True)
    return Learner(loaders, model, CrossEntropy(2), metrics=[right], seed=seed)


class Passes(Callback):
    """Counts how many pictures the body sees."""

    def __init__(self, learner):
        self.pictures = 0
        learner.model.body.register_forward_hook(lambda *_: None)
        forward = learner.model.body.forward_features

        def counted(images):
            self.pictures += len(images)
            return forward(images)

        learner.model.body.forward_features = counted


def head_after(learner):
    return torch.cat([parameter.detach().flatten() for parameter in learner.model.head.parameters()])


def test_the_head_is_the_one_that_pictures_would_train(shapes):
    plain, cached = make(shapes), make(shapes)
    counts = Passes(plain), Passes(cached)
    fine_tune(plain, epochs=1, freeze_epochs=3, lr=1e-2)
    before_body = [value.clone() for value in plain.model.state_dict().values()]
    fine_tune(cached, epochs=1, freeze_epochs=3, lr=1e-2, cache_features=1)
    for first, second in zip(before_body, cached.model.state_dict().values(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    assert [row["valid_loss"] for row in plain.history] == pytest.approx(
        [r["valid_loss"] for r in cached.history], 1e-3
    )
    assert counts[0].pictures - counts[1].pictures == 2 * (30 + 10)  # two of three frozen epochs from memory


def test_each_of_the_first_epochs_sees_a_view_of_its_own(shapes):
    learner = make(shapes, aug_transforms(max_rotate=30))
    learner.freeze()
    count = Passes(learner)
    with cached_features(learner, views=2) as loader:
        fit_one_cycle(learner, 4, 1e-2)
        first, second = (rows.parts[0][loader.loader.indices] for rows in loader._rows)
        assert count.pictures == 2 * 30 + 10
    assert not torch.equal(first, second)
    assert learner.train_loader is loader.loader
    assert "forward" not in vars(learner.model)
    before = count.pictures
    learner.validate()
    assert count.pictures == before + 10


def test_what_weights_had_not_drawn_is_computed_when_it_comes(shapes):
    learner = make(shapes, weights=[1.0] * 30)
    learner.freeze()
    count = Passes(learner)
    with cached_features(learner) as loader:
        fit_one_cycle(learner, 3, 1e-2)
        drawn = {item for epoch in range(3) for batch in loader.plan(epoch) for item in batch.items}
        assert set(loader._rows[0].known.nonzero().flatten().tolist()) == drawn
    first = [item for batch in loader.plan(0) for item in batch.items]
    assert count.pictures == len(first) + len(drawn - set(first)) + 10


def test_it_is_put_back_after_an_error(shapes):
    learner = make(shapes)
    train = learner.train_loader
    learner.freeze()
    with pytest.raises(ZeroDivisionError), cached_features(learner):
        _ = 1 / 0
    assert learner.train_loader is train
    assert learner.model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_a_model_without_a_body_and_a_training_body_are_told(shapes):
    learner = make(shapes)
    with pytest.raises(ConfigError, match="batch norms train"):
        fine_tune(learner, epochs=1, freeze_bn=False, cache_features=1)
    learner.model = torch.nn.Flatten()
    with pytest.raises(ConfigError, match="no frozen body"), cached_features(learner):
        pass
