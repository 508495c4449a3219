"""The walk-through of fastai's book on images, with only its import changed.

Chapter 1 (cat or dog) runs where the photographs are; chapter 4 (threes and sevens) on the bundled MNIST_SAMPLE.
"""

import shutil
import tarfile
from pathlib import Path

import matplotlib as mpl
import pytest

mpl.use("Agg")
from fastcli.vision.all import *

SHARED = Path(__file__).parents[3] / "shared"
PETS, WEIGHTS = SHARED / "data" / "pets_mini.tgz", SHARED / "weights" / "tf_efficientnet_lite0.safetensors"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A home for data and models that is thrown away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTCLI_HOME", str(tmp_path_factory.mktemp("home")))
        patch.chdir(tmp_path_factory.mktemp("work"))
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def path(home):
    set_seed(42)
    return untar_data(URLs.MNIST_SAMPLE)


@pytest.fixture(scope="module")
def stacked(path):
    """Threes and sevens of training and validation, as tensors from 0 to 1."""

    def stack(folder):
        return torch.stack([tensor(Image.open(o)) for o in folder.ls().sorted()]).float() / 255

    train = stack(path / "train" / "3"), stack(path / "train" / "7")
    return *train, stack(path / "valid" / "3"), stack(path / "valid" / "7")


@pytest.fixture(scope="module")
def sets(stacked):
    threes, sevens, valid_threes, valid_sevens = stacked
    train_x = torch.cat([threes, sevens]).view(-1, 28 * 28)
    train_y = tensor([1] * len(threes) + [0] * len(sevens)).unsqueeze(1)
    valid_x = torch.cat([valid_threes, valid_sevens]).view(-1, 28 * 28)
    valid_y = tensor([1] * len(valid_threes) + [0] * len(valid_sevens)).unsqueeze(1)
    return list(zip(train_x, train_y, strict=True)), list(zip(valid_x, valid_y, strict=True))


@pytest.fixture
def dls(sets):
    dset, valid_dset = sets
    return DataLoaders(DataLoader(dset, batch_size=256), DataLoader(valid_dset, batch_size=256))


def mnist_loss(predictions, targets):
    predictions = predictions.sigmoid()
    return torch.where(targets == 1, 1 - predictions, predictions).mean()


def batch_accuracy(xb, yb):
    preds = xb.sigmoid()
    correct = (preds > 0.5) == yb
    return correct.float().mean()


@pytest.mark.skipif(not PETS.is_file() or not WEIGHTS.is_file(), reason="the photographs are not here")
def test_cat_or_dog(tmp_path):
    with tarfile.open(PETS) as archive:
        few = [member for member in archive.getmembers() if member.isfile()][::3]
        archive.extractall(tmp_path, members=few, filter="data")
    path = tmp_path / "pets_mini" / "images"

    def is_cat(x):
        return x[0].isupper()

    dls = ImageDataLoaders.from_name_func(
        path, get_image_files(path), valid_pct=0.2, seed=42, label_func=is_cat, item_tfms=Resize(128)
    )
    dls.show_batch()
    learn = cnn_learner(dls, "tf_efficientnet_lite0", metrics=error_rate, weights=WEIGHTS)
    learn.fine_tune(1)
    assert learn.recorder.values[-1][2] < 0.15
    is_it_a_cat, _, probs = learn.predict(next(o for o in get_image_files(path) if o.name[0].isupper()))
    assert is_it_a_cat == "True"
    assert probs[1] > 0.5
    shutil.rmtree(path)


def test_what_a_picture_is(path):
    threes, sevens = (path / "train" / "3").ls().sorted(), (path / "train" / "7").ls().sorted()
    assert (len(threes), len(sevens)) == (6131, 6265)
    im7 = Image.open(sevens[1])
    assert array(im7)[7:16, 8:16].shape == (9, 8)
    assert torch.equal(tensor(im7)[7:16, 8:16], torch.from_numpy(array(im7)[7:16, 8:16]))
    frame = pd.DataFrame(tensor(im7)[7:20, 7:20])
    styled = frame.style.set_properties(**{"font-size": "6pt"}).background_gradient("Greys")
    assert "font-size: 6pt" in styled.to_html()
    three_tensors = [tensor(Image.open(o)) for o in threes[:10]]
    show_image(three_tensors[2])


def test_the_mean_of_all_threes_tells_a_three(stacked):
    threes, sevens, valid_threes, valid_sevens = stacked
    mean3, mean7 = threes.mean(0), sevens.mean(0)
    show_image(mean3)

    def mnist_distance(a, b):
        return (a - b).abs().mean((-1, -2))

    def is_3(x):
        return mnist_distance(x, mean3) < mnist_distance(x, mean7)

    accuracy_3s, accuracy_7s = is_3(valid_threes).float().mean(), (1 - is_3(valid_sevens).float()).mean()
    assert round(float(accuracy_3s), 4) == 0.9168
    assert round(float(accuracy_7s), 4) == 0.9854


def test_a_linear_model_by_hand(sets):
    dset, valid_dset = sets

    def init_params(size, std=1.0):
        return (torch.randn(size) * std).requires_grad_()

    weights, bias = init_params((28 * 28, 1)), init_params(1)

    def linear1(xb):
        return xb @ weights + bias

    dl, valid_dl = DataLoader(dset, batch_size=256), DataLoader(valid_dset, batch_size=256)
    xb, yb = first(dl)
    assert (xb.shape, yb.shape) == ((256, 784), (256, 1))

    def calc_grad(xb, yb, model):
        loss = mnist_loss(model(xb), yb)
        loss.backward()

    def train_epoch(model, lr, params):
        for xb, yb in dl:
            calc_grad(xb, yb, model)
            for p in params:
                p.data -= p.grad * lr
                p.grad.zero_()

    def validate_epoch(model):
        accs = [batch_accuracy(model(xb), yb) for xb, yb in valid_dl]
        return round(torch.stack(accs).mean().item(), 4)

    for _ in range(20):
        train_epoch(linear1, 1.0, (weights, bias))
    assert validate_epoch(linear1) >= 0.95


def test_the_same_with_an_optimizer(dls):
    linear_model = nn.Linear(28 * 28, 1)
    opt = SGD(linear_model.parameters(), 1.0)
    for _ in range(10):
        for xb, yb in dls.train:
            loss = mnist_loss(linear_model(xb), yb)
            loss.backward()
            opt.step()
            opt.zero_grad()
    with torch.no_grad():
        accuracies = [batch_accuracy(linear_model(xb), yb) for xb, yb in dls.valid]
    assert torch.stack(accuracies).mean() >= 0.96


def test_a_linear_model_with_a_learner(dls):
    learn = Learner(dls, nn.Linear(28 * 28, 1), opt_func=SGD, loss_func=mnist_loss, metrics=batch_accuracy)
    learn.fit(10, lr=1.0)
    assert L(learn.recorder.values).itemgot(2)[-1] >= 0.965


def test_a_simple_net(dls, capsys):
    simple_net = nn.Sequential(nn.Linear(28 * 28, 30), nn.ReLU(), nn.Linear(30, 1))
    learn = Learner(dls, simple_net, opt_func=SGD, loss_func=mnist_loss, metrics=batch_accuracy)
    learn.fit(40, 0.1)
    plt.plot(L(learn.recorder.values).itemgot(2))
    assert learn.recorder.values[-1][2] >= 0.98
    assert len(learn.recorder.values) == 40
    assert capsys.readouterr().out.count("\n") >= 41


def test_what_the_functions_look_like():
    plot_function(F.relu)
    axes = plot_function(torch.sigmoid, title="Sigmoid", min=-4, max=4)
    assert axes.get_title() == "Sigmoid"
    assert axes.lines[0].get_xdata()[0] == -4


def test_a_deep_model(path):
    dls = ImageDataLoaders.from_folder(path)
    learn = cnn_learner(dls, resnet18, pretrained=False, loss_func=F.cross_entropy, metrics=accuracy)
    suggested = learn.lr_find(num_it=40)
    assert 1e-7 < suggested.valley < 10
    learn.fit_one_cycle(1, 0.1)
    assert learn.recorder.values[-1][2] >= 0.985


def test_the_transforms_that_it_names():
    assert RandomResizedCrop(224, min_scale=0.35).min_scale == 0.35
    assert any("Rotate" in repr(t) and "20" in repr(t) for t in aug_transforms(mult=2))
