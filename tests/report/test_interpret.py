"""Interpretation: one pass over the data, scikit-learn's figures from it, and pictures of the worst."""

import math

import pytest
import sklearn.metrics as sk
import torch
import torch.nn.functional as F
from matplotlib.image import imread
from PIL import Image as Pillow
from torch import nn

from fastcli.data.blocks import CategoryBlock, ImageBlock
from fastcli.data.datablock import DataBlock
from fastcli.data.tensors import DataLoader
from fastcli.errors import ConfigError
from fastcli.learner.inference import predictions
from fastcli.learner.learner import Learner
from fastcli.losses import CrossEntropy
from fastcli.report.interpret import Interpretation
from fastcli.types import TargetInfo

GENERATOR = torch.Generator().manual_seed(0)
NAMES = ("cat", "dog", "owl")
THREE = TargetInfo("category", 3, NAMES)
LOGITS, TRUTH = torch.randn(50, 3, generator=GENERATOR), torch.randint(3, (50,), generator=GENERATOR)
LOSSES = F.cross_entropy(LOGITS, TRUTH, reduction="none")


class Net(nn.Module):
    """A linear model that counts how often it runs."""

    def __init__(self):
        super().__init__()
        self.linear, self.runs = nn.Linear(3 * 8 * 8, 3), 0

    def forward(self, images):
        self.runs += 1
        return self.linear(images.flatten(1))


@pytest.fixture
def loaders(tmp_path):
    for i in range(30):
        folder = tmp_path / NAMES[i % 3]
        folder.mkdir(exist_ok=True)
        Pillow.new("RGB", (8, 8), (i * 8, 100, 255 - i * 8)).save(folder / f"{i:02}.png")
    return DataBlock((ImageBlock(), CategoryBlock())).dataloaders(tmp_path, batch_size=4)


@pytest.fixture
def learner(loaders):
    torch.manual_seed(0)
    return Learner(loaders, Net(), CrossEntropy(3))


def use_everything(interpretation, folder):
    interpretation.top_losses(3)
    interpretation.confusion_matrix()
    interpretation.most_confused()
    str(interpretation.classification_report())
    interpretation.plot_confusion_matrix(folder / "confusion.png")
    interpretation.plot_confusion_matrix(folder / "normalized.png", normalize=True)
    interpretation.plot_top_losses(4, folder / "worst.png")


def test_fastais_confusion_matrix_runs_the_model_again(learner, loaders, tmp_path):
    """In fastai each confusion matrix, report and plot of top losses is another pass; here there is one in all."""
    interpretation = Interpretation.from_learner(learner)
    use_everything(interpretation, tmp_path)
    use_everything(interpretation, tmp_path)
    assert learner.model.runs == len(loaders.valid)
    assert imread(tmp_path / "worst.png").size
    assert imread(tmp_path / "confusion.png").size


def test_it_is_what_the_learner_predicts(learner, loaders):
    interpretation = Interpretation.from_learner(learner)
    logits, targets = predictions(learner, activate=False)[:2]
    torch.testing.assert_close(interpretation.scores, logits.softmax(1))
    torch.testing.assert_close(interpretation.losses, F.cross_entropy(logits, targets, reduction="none"))
    assert torch.equal(interpretation.targets, targets)
    assert len(interpretation) == loaders.valid.n
    assert [name.split("/")[0] for name in interpretation.names] == [NAMES[i] for i in targets]
    assert repr(interpretation) == f"Interpretation({loaders.valid.n} items, 3 category outputs)"


def test_the_pictures_of_top_losses_are_those_of_the_items(learner, loaders):
    for loader in (loaders.valid, loaders.train):  # training shuffles
        interpretation = Interpretation.from_learner(learner, loader)
        for i in interpretation.top_losses(3).indices.tolist():
            ((image, _), (_, label)) = interpretation._samples([i])[0]
            number = int(interpretation.names[i][-6:-4])
            assert image[0, 0, 0].item() == pytest.approx(number * 8 / 255, abs=1e-6)
            assert label == interpretation.names[i].split("/")[0]


def test_a_loss_that_knows_batches_only_gets_batches_of_one(loaders):
    learner = Learner(loaders, Net(), lambda logits, targets: F.cross_entropy(logits, targets))
    losses = Interpretation.from_learner(learner).losses
    torch.testing.assert_close(losses, F.cross_entropy(*predictions(learner, activate=False)[:2], reduction="none"))


def test_loaders_of_plain_tensors_need_a_target():
    data = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))]
    learner = Learner((data, data), Net(), CrossEntropy(3))
    with pytest.raises(ConfigError, match="do not say what their targets are"):
        Interpretation.from_learner(learner)
    interpretation = Interpretation.from_learner(learner, target=THREE)
    assert len(interpretation) == 4
    assert interpretation.confusion_matrix().sum() == 4
    with pytest.raises(ConfigError, match="no pictures of these items"):
        interpretation.plot_top_losses()
    with pytest.raises(ConfigError, match="nothing to interpret"):
        Interpretation.from_learner(learner, [], target=THREE)


@pytest.fixture
def arrays():
    return Interpretation.from_arrays(LOGITS, TRUTH, LOSSES, THREE, images=torch.rand(50, 3, 8, 8))


def test_top_losses(arrays):
    losses, indices = arrays.top_losses(5)
    assert torch.equal(losses, LOSSES.sort(descending=True).values[:5])
    assert torch.equal(LOSSES[indices], losses)
    assert arrays.top_losses(largest=False).losses.tolist() == sorted(LOSSES.tolist())
    assert len(arrays.top_losses(1000).losses) == 50


def test_confusion_matrix_and_most_confused(arrays):
    wanted = sk.confusion_matrix(TRUTH, LOGITS.argmax(1))
    assert arrays.confusion_matrix().tolist() == wanted.tolist()
    confused = arrays.most_confused(min_value=4)
    assert [count for *_, count in confused] == sorted((count for *_, count in confused), reverse=True)
    pairs = {(NAMES[i], NAMES[j]): wanted[i, j] for i in range(3) for j in range(3) if i != j and wanted[i, j] >= 4}
    assert {(actual, predicted): count for actual, predicted, count in confused} == pairs


def test_the_report_is_scikit_learns_table(arrays):
    wanted = sk.classification_report(TRUTH, LOGITS.argmax(1), target_names=NAMES, digits=4)
    assert str(arrays.classification_report()) == wanted.rstrip()
    assert arrays.classification_report().classes["dog"].support == (TRUTH == 1).sum()


def test_a_class_that_is_nowhere_is_reported_as_nothing():
    interpretation = Interpretation.from_arrays(LOGITS[:, :2], TRUTH.clamp_max(1), LOSSES, THREE)
    owl = interpretation.classification_report().classes["owl"]
    assert owl == (0, 0, 0, 0)


def test_the_report_of_several_labels():
    truth = (torch.rand(50, 3, generator=GENERATOR) > 0.5).float()
    labels = TargetInfo("multi_category", 3, NAMES)
    interpretation = Interpretation.from_arrays(LOGITS, truth, LOSSES, labels)
    wanted = sk.classification_report(truth, LOGITS > 0, target_names=NAMES, output_dict=True, zero_division=0)
    report = interpretation.classification_report()
    for name, figures in {**report.classes, **report.averages}.items():
        assert list(figures) == pytest.approx(list(wanted[name].values()))
    assert report.accuracy is None
    with pytest.raises(ConfigError, match="a confusion matrix does not fit a multi_category target"):
        interpretation.confusion_matrix()


def test_masks_are_interpreted_by_pixels():
    logits, truth = torch.randn(3, 3, 6, 5), torch.randint(3, (3, 6, 5))
    truth[0, :2] = 255
    mask = TargetInfo("mask", 4, ("sky", "sea", "land", "ship"))
    interpretation = Interpretation.from_arrays(logits, truth, torch.rand(3), mask)
    kept = truth != 255
    predicted = logits.argmax(1)[kept]
    wanted = sk.confusion_matrix(truth[kept], predicted, labels=range(4))
    assert interpretation.confusion_matrix().tolist() == wanted.tolist()
    figures = interpretation.intersection_over_union()
    assert math.isnan(figures.pop("ship"))
    assert list(figures.values()) == pytest.approx(sk.jaccard_score(truth[kept], predicted, average=None).tolist())
    assert interpretation.scores is None  # a set of them would fill the memory


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_top_losses_are_drawn_with_what_was_said_and_what_is(arrays):
    figure = arrays.plot_top_losses(4)
    losses, indices = arrays.top_losses(4)
    for shown, loss, i in zip(titles(figure), losses, indices, strict=True):
        said, sure = NAMES[LOGITS[i].argmax()], LOGITS[i].softmax(0).max()
        assert shown.split("\n") == [f"loss {loss:.3g}, {sure:.0%} sure", said, f"is {NAMES[TRUTH[i]]}"]
    assert len(titles(arrays.plot_top_losses(100))) == 50


def test_chosen_items_are_drawn_in_rows_and_columns_of_a_chosen_size(arrays):
    figure = arrays.plot_items([7, 3], columns=2, figsize=(7, 5))
    assert tuple(figure.get_size_inches()) == (7, 5)
    assert [title.split("\n")[2] for title in titles(figure)] == [f"is {NAMES[TRUTH[i]]}" for i in (7, 3)]
    first, second = (axes.get_position() for axes in arrays.plot_top_losses(6, rows=2).axes[:2])
    assert first.y0 == second.y0
    assert len(arrays.plot_top_losses(9, rows=2, columns=3).axes) == 6


IMAGES = torch.rand(3, 3, 8, 8)
OTHERS = {
    "multi_category": (torch.tensor([[-1.0, -1], [1, -1], [1, 1]]), torch.tensor([[0.0, 0], [0, 1], [1, 1]])),
    "regression": (torch.tensor([[0.5, 1], [2, 3], [4, 5]]), torch.tensor([[0.5, 1], [2, 3], [4, 5]])),
    "mask": (torch.randn(3, 2, 8, 8), torch.randint(2, (3, 8, 8))),
    "points": (torch.rand(3, 4), torch.rand(3, 2, 2)),
    "angle": (torch.rand(3, 1), torch.rand(3, 1)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_top_losses_of_every_kind_of_target(kind, tmp_path):
    target = TargetInfo(kind, 2, ("sea", "sun") if kind in ("multi_category", "mask") else ())
    losses = torch.tensor([1.0, 3, 2])
    interpretation = Interpretation.from_arrays(*OTHERS[kind], losses, target, images=IMAGES)
    figure = interpretation.plot_top_losses(3, tmp_path / "worst.png")
    shown = titles(figure)
    assert imread(tmp_path / "worst.png").size
    if kind == "multi_category":
        assert shown[0].split("\n") == ["loss 3", "sea", "is sun"]
        assert shown[2].split("\n") == ["loss 1", "nothing", "is nothing"]
    elif kind == "regression":
        assert shown[0].split("\n") == ["loss 3", "2, 3", "is 2, 3"]
    elif kind in ("mask", "points"):
        assert shown[:2] == ["target, loss 3", "predicted"]
        drawn = figure.axes[0].images if kind == "mask" else figure.axes[0].collections
        assert len(drawn) == (2 if kind == "mask" else 1)


def test_an_interpretation_leaves_the_learners_figures_as_they_were(learner, loaders):
    learner.fit(1)
    scores = dict(learner.scores)
    Interpretation.from_learner(learner, loaders.train)
    assert learner.scores == scores


def test_loaders_of_tensors_are_interpreted():
    """They once were asked for the elements of pictures."""
    loader = DataLoader(list(zip(torch.randn(6, 3, 8, 8), TRUTH[:6], strict=True)), 4, shuffle=True)
    interpretation = Interpretation.from_learner(Learner((loader, loader), Net(), CrossEntropy(3)), target=THREE)
    assert torch.equal(interpretation.targets, TRUTH[:6])
    assert interpretation.names == []
