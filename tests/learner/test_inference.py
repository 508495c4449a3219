import math
from functools import partial

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastcli.callbacks.epochs import ShortEpoch
from fastcli.callbacks.precision import MixedPrecision
from fastcli.data.blocks import CategoryBlock, ImageBlock, MaskBlock, MultiCategoryBlock, PointBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.store import Store
from fastcli.errors import ConfigError, DataError
from fastcli.events import Callback
from fastcli.learner.inference import in_order, predict, predictions, show_results, tta
from fastcli.learner.learner import Learner
from fastcli.losses import probability_missed
from fastcli.transforms.geometry import Flip
from fastcli.transforms.item import RandomResizedCrop, Resize
from fastcli.transforms.lighting import Brightness
from fastcli.transforms.normalize import IMAGENET

N = 12
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for i in range(N):
        pixels = random.integers(0, 256, (10, 14, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(root / f"{'cat' if i % 3 else 'dog'}_{i:02}.png")
        PIL.Image.fromarray(pixels[..., 0] // 128).save(root / f"mask_{i:02}.png")
    return root


def loaders_of(folder, target=None, label=lambda path: path.name[:3], transforms=(), items=None, **options):
    block = DataBlock(
        (ImageBlock(), target or CategoryBlock()),
        get_items=lambda root: sorted(root.glob("[cd]*.png")),
        get_y=label,
        splitter=lambda items, labels: (list(range(0, N, 2)), list(range(1, N, 2))),
        item_transforms=[items or Resize(8, method="squish")],
        batch_transforms=transforms,
    )
    return block.dataloaders(folder, normalize=IMAGENET, batch_size=4, **options)


def make(loaders, n_out=2, loss=None, model=None, **options):
    torch.manual_seed(0)
    model = model or nn.Sequential(nn.Flatten(), nn.LazyLinear(n_out))
    batch = next(iter(loaders[1] if isinstance(loaders, tuple) else loaders.valid))
    model(batch[0])
    return Learner(loaders, model, loss or nn.CrossEntropyLoss(), **options)


def plain(loss=None, n_out=2, **options):
    pairs = [(X[i : i + 5], Y[i : i + 5]) for i in range(0, N, 5)]
    return make((pairs, pairs), n_out, loss, nn.Linear(4, n_out), **options)


def mask_of(path):
    return path.with_name(f"mask_{path.name[4:]}")


# Predictions.


def test_scores_losses_and_decisions_come_in_order_in_one_pass():
    learner = plain()
    given = predictions(learner, with_inputs=True, with_losses=True, decide=True)
    logits = learner.model(X).detach()
    torch.testing.assert_close(given.scores, logits.softmax(1))
    torch.testing.assert_close(given.losses, F.cross_entropy(logits, Y, reduction="none"))
    assert torch.equal(given.decisions, logits.argmax(1))
    assert torch.equal(given.targets, Y)
    assert torch.equal(given.inputs, X)
    torch.testing.assert_close(predictions(learner, activate=False).scores, logits)
    assert predictions(learner, with_scores=False, decide=True).scores is None


@pytest.mark.parametrize(
    ("loss", "scores", "decisions"),
    [
        (F.cross_entropy, lambda z: z.softmax(1), lambda z: z.argmax(1)),
        (partial(F.cross_entropy, label_smoothing=0.1), lambda z: z.softmax(1), lambda z: z.argmax(1)),
        (nn.NLLLoss(), torch.exp, lambda z: z.argmax(1)),
        (nn.BCEWithLogitsLoss(), torch.sigmoid, lambda z: (z > 0).float()),
        (nn.MSELoss(), lambda z: z, lambda z: z),
        (lambda p, y: probability_missed(p[:, 0], y).mean(), lambda z: z, lambda z: z),
    ],
)
def test_without_encoders_the_loss_decides(loss, scores, decisions):
    learner = plain(loss)
    logits = learner.model(X).detach()
    given = predictions(learner, decide=True)
    torch.testing.assert_close(given.scores, scores(logits))
    assert torch.equal(given.decisions, decisions(logits))


def test_a_loss_that_knows_batches_only_is_asked_item_by_item():
    learner = plain(lambda p, y: probability_missed(p[:, 0], y).mean())
    expected = probability_missed(learner.model(X)[:, 0], Y).detach()
    torch.testing.assert_close(predictions(learner, with_losses=True).losses, expected)


def test_the_result_is_the_users_and_the_learner_trains_on():
    kept = []

    class Keeping:
        def __iter__(self):
            if not kept:
                kept.extend((X[i : i + 5].clone(), Y[i : i + 5].clone()) for i in range(0, N, 5))
            return iter(kept)

        def __len__(self):
            return 3

    learner = make((Keeping(), Keeping()), model=nn.Linear(4, 2))
    before = torch.random.get_rng_state()
    scores = predictions(learner).scores
    scores += 1
    scores.requires_grad_().sum().backward()
    assert torch.equal(torch.random.get_rng_state(), before)
    learner.fit(1)
    assert learner.model.weight.grad is None


def test_a_loader_without_targets_has_none():
    learner = plain()
    for loader in ([X[:5], X[5:]], [(X[:5],), (X[5:],)], torch.utils.data.DataLoader(X, batch_size=5)):
        given = predictions(learner, loader, with_losses=True, decide=True)
        assert given.targets is None
        assert given.losses is None
        assert given.scores.shape == (N, 2)


def test_nothing_to_predict_is_told():
    with pytest.raises(DataError, match="there are no items"):
        predictions(plain(), [])
    with pytest.raises(DataError, match=r"items differ in shape, \(2,\) and \(3,\)"):
        predictions(make(([], [(X, Y)]), model=nn.Identity()), [X[:, :2], X[:, :3]])


def test_several_outputs_and_targets_are_tuples():
    class Two(nn.Module):
        def forward(self, x):
            return x[:, :2], x[:, 2:]

    batches = [(X, Y, X[:, 0])]
    learner = Learner((batches, batches), Two(), lambda p, y: F.cross_entropy(p[0], y[0]))
    given = predictions(learner, with_losses=True)
    assert [tuple(part.shape) for part in given.scores] == [(N, 2), (N, 2)]
    assert torch.equal(given.targets[1], X[:, 0])
    torch.testing.assert_close(given.losses, F.cross_entropy(X[:, :2], Y, reduction="none"))


def test_low_precision_comes_out_as_float32():
    learner = plain(callbacks=[MixedPrecision("bf16")])
    given = predictions(learner, activate=False)
    exact = learner.model(X).detach()
    assert given.scores.dtype == torch.float32
    assert not torch.equal(given.scores, exact)
    torch.testing.assert_close(given.scores, exact, rtol=0.02, atol=0.02)


def test_callbacks_take_part_but_nothing_is_recorded_or_cut_short():
    heard = []

    class Double(Callback):
        def before_validate(self, learner):
            heard.append("validate")

        def before_batch(self, learner):
            learner.inputs = tuple(2 * x for x in learner.inputs)

        def after_predict(self, learner):
            learner.prediction = learner.prediction + 1

        def after_loss(self, learner):
            heard.append("loss")

    learner = plain(callbacks=[Double(), ShortEpoch(0.3)])
    learner.scores = {"valid_loss": 7.0}
    given = predictions(learner, activate=False)
    torch.testing.assert_close(given.scores, learner.model(2 * X).detach() + 1)
    assert heard == ["validate"]
    assert learner.scores == {"valid_loss": 7.0}
    assert learner.history == []
    assert [type(c).__name__ for c in learner.callbacks[-2:]] == ["Double", "ShortEpoch"]


def test_the_training_split_is_read_in_order_and_plainly(folder):
    """fastai's get_preds(ds_idx=0) gives predictions of randomly augmented pictures."""
    loaders = loaders_of(folder, transforms=[Flip(p=0.5), Brightness(0.5)], sampler="balanced")
    learner = make(loaders)
    given = predictions(learner, loaders.train, with_inputs=True)
    assert given.items == tuple(range(0, N, 2))
    plain_view = torch.cat([x for x, _ in in_order(loaders.train)])
    assert torch.equal(given.inputs, plain_view)
    assert torch.equal(given.inputs, predictions(learner, loaders.train, with_inputs=True).inputs)
    assert loaders.train.augment
    assert loaders.train.shuffle


def test_pictures_that_cannot_be_opened_are_left_out_of_all(tmp_path, folder):
    root = tmp_path / "broken"
    root.mkdir()
    for path in folder.iterdir():
        (root / path.name).write_bytes(path.read_bytes())
    broken = sorted(root.glob("[cd]*.png"))[3]
    broken.write_bytes(b"no picture")
    loaders = loaders_of(root, skip_bad=True)
    given = predictions(make(loaders))
    assert given.items == (1, 5, 7, 9, 11)
    assert len(given.scores) == len(given.targets) == 5


# Test-time augmentation.


def test_tta_is_fastais_formula_on_scores(folder):
    loaders = loaders_of(folder, transforms=[Flip(p=0.5), Brightness(0.5)])
    learner = make(loaders)
    views, plain_scores = tta(learner, n=3, beta=None)[0]
    by_hand = []
    for number in range(3):
        loader = in_order(loaders.valid)
        loader.augment = True
        loader.set_epoch(number)
        by_hand.append(learner.model(torch.cat([x for x, _ in loader])).softmax(1).detach())
    torch.testing.assert_close(views, torch.stack(by_hand).mean(0))
    torch.testing.assert_close(plain_scores, predictions(learner).scores)
    scores, targets = tta(learner, n=3)
    torch.testing.assert_close(scores, 0.75 * views + 0.25 * plain_scores)
    torch.testing.assert_close(tta(learner, n=3, beta=0.6)[0], torch.lerp(views, plain_scores, 0.6))
    largest = torch.stack([*by_hand, plain_scores]).amax(0)
    torch.testing.assert_close(tta(learner, n=3, use_max=True)[0], largest)
    assert torch.equal(targets, predictions(learner).targets)


def test_tta_decodes_every_picture_once(folder, monkeypatch):
    """fastai opens and decodes every picture n + 1 times."""
    decoded = []
    decode = Store._opened
    monkeypatch.setattr(Store, "_opened", lambda self, i: decoded.append(i) or decode(self, i))
    learner = make(loaders_of(folder, items=RandomResizedCrop(8), cache="ram"))
    tta(learner, n=4)
    assert len(decoded) == len(set(decoded))


def test_tta_works_without_targets(folder):
    """In fastai it fails on a loader without them."""
    loaders = loaders_of(folder, transforms=[Flip(p=0.5)])
    loader = loaders.test_loader(sorted(folder.glob("[cd]*.png"))[:5])
    scores, targets = tta(make(loaders), loader)
    assert scores.shape == (5, 2)
    assert targets is None


@pytest.mark.parametrize(("options", "match"), [({}, "list makes no random views"), ({"n": 0}, "a view at least")])
def test_tta_needs_loaders_with_views(options, match):
    with pytest.raises(ConfigError, match=match):
        tta(plain(), **options)


# One item.


def test_one_item_in_any_form_is_predicted_like_its_batch(folder):
    loaders = loaders_of(folder, transforms=[Flip(p=0.5)])
    learner = make(loaders)
    path = loaders.datasets.valid.items[0]
    expected = predictions(learner, decide=True)
    picture = PIL.Image.open(path)
    array = np.array(picture)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for item in (path, str(path), picture, array, array / 255, tensor, tensor.float() / 255):
        label, decision, scores = predict(learner, item)
        torch.testing.assert_close(scores, expected.scores[0])
        assert decision == expected.decisions[0]
        assert label == loaders.vocab[int(decision)]
    grey = predict(learner, array[..., 0])
    assert torch.equal(grey[2], predict(learner, tensor[:1])[2])


@pytest.mark.parametrize("item", [torch.zeros(2, 4, 4), np.zeros((4, 4, 7)), np.array(["a"]), object()])
def test_what_is_no_picture_is_told(folder, item):
    with pytest.raises(DataError, match="is no picture"):
        predict(make(loaders_of(folder)), item)


def test_plain_loaders_predict_what_they_give_the_model():
    learner = plain()
    decoded, decision, scores = predict(learner, X[3])
    torch.testing.assert_close(scores, learner.model(X)[3].softmax(0).detach())
    assert decoded == int(decision) == int(scores.argmax())


def test_predicting_one_item_goes_through_the_callbacks(folder):
    class Double(Callback):
        def after_predict(self, learner):
            learner.prediction = learner.prediction * 0

    learner = make(loaders_of(folder), callbacks=[Double()])
    assert predict(learner, np.zeros((8, 8, 3), np.uint8))[2].tolist() == [0.5, 0.5]


def test_labels_masks_and_points_are_decoded(folder):
    several = loaders_of(folder, MultiCategoryBlock(), lambda path: [path.name[:3]])
    learner = make(several, loss=nn.BCEWithLogitsLoss())
    nn.init.constant_(learner.model[1].bias, 50.0)
    label, decision, scores = predict(learner, np.zeros((8, 8, 3), np.uint8))
    assert label == ["cat", "dog"]
    assert decision.tolist() == [1, 1]
    torch.testing.assert_close(scores, torch.ones(2))

    masks = loaders_of(folder, MaskBlock(["dark", "bright"]), mask_of)
    learner = make(masks, model=nn.Conv2d(3, 2, 1))
    label, decision, scores = predict(learner, np.zeros((8, 8, 3), np.uint8))
    assert decision.shape == (8, 8)
    assert scores.shape == (2, 8, 8)
    assert set(label) <= {"dark", "bright"}

    points = loaders_of(folder, PointBlock(), lambda path: [[7.0, 5.0]])
    learner = make(points, loss=nn.MSELoss())
    nn.init.zeros_(learner.model[1].weight)
    nn.init.zeros_(learner.model[1].bias)
    label, decision, _ = predict(learner, np.zeros((8, 8, 3), np.uint8))
    assert label == [[4.0, 4.0]]  # the middle of the picture that the model saw
    assert decision.tolist() == [[0.0, 0.0]]


# Pictures of results.


@pytest.mark.parametrize("shuffle", [True, False])
def test_results_show_targets_and_predictions(folder, shuffle):
    loaders = loaders_of(folder)
    learner = make(loaders)
    nn.init.zeros_(learner.model[1].weight)
    learner.model[1].bias.data = torch.tensor([5.0, 0.0])
    figure = show_results(learner, max_n=4, shuffle=shuffle)
    titles = [axes.get_title().split("\n") for axes in figure.axes]
    assert [title[1] for title in titles] == ["cat"] * 4
    if not shuffle:
        assert [title[0] for title in titles] == [path.name[:3] for path in loaders.datasets.valid.items[:4]]


def test_masks_are_shown_beside_what_is_predicted(folder, tmp_path):
    learner = make(loaders_of(folder, MaskBlock(["dark", "bright"]), mask_of), model=nn.Conv2d(3, 2, 1))
    figure = show_results(learner, max_n=3, path=tmp_path / "results.png")
    assert [axes.get_title() for axes in figure.axes] == ["target", "predicted"] * 3
    assert (tmp_path / "results.png").is_file()


def test_results_of_plain_tensors_are_refused(folder):
    with pytest.raises(ConfigError, match="does not say how its tensors are shown"):
        show_results(plain())
    loaders = loaders_of(folder)
    with pytest.raises(ConfigError, match="has no targets to show"):
        show_results(make(loaders), loaders.test_loader(sorted(folder.glob("cat*.png"))))


def test_nan_scores_stay_nan():
    learner = plain()
    nn.init.constant_(learner.model.weight, math.nan)
    assert predictions(learner).scores.isnan().all()


def test_tta_refuses_a_model_of_several_outputs(folder):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3 * 8 * 8, 2)

        def forward(self, images):
            return self.linear(images.flatten(1)), self.linear(-images.flatten(1))

    learner = make(loaders_of(folder, transforms=[Flip(0.5)]), model=Two())
    with pytest.raises(ConfigError, match="several outputs"):
        tta(learner, n=2)
