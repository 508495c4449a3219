"""fastai's faults at this level, each mended: the tests are named after them."""

import json
import zipfile

import pytest

from fastcli.errors import ConfigError
from fastcli.run.pair import read_words
from fastcli.vision.all import *


def small(dls, **options):
    return vision_learner(dls, "test_resnet", pretrained=False, default_cbs=False, path=Path(), **options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights, so that a body counts as pretrained."""
    import timm

    file = tmp_path_factory.mktemp("weights") / "test_resnet.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    return file


def test_vision_learner_cut_is_accepted_and_ignored(dls):
    with pytest.raises(ConfigError, match="not cut"):
        small(dls, cut=-3)
    with pytest.raises(ConfigError, match="no file"):
        small(dls, weights="DEFAULT")


def test_vision_learner_mutates_dls_and_the_first_normalize_wins(dls, weights):
    plain = dls.one_batch()[0]
    first = vision_learner(dls, "test_resnet", weights=weights)
    assert dls.train.batches.normalize is None
    assert torch.equal(dls.one_batch()[0], plain)
    assert first.dls.train.batches.normalize.mean_list == pytest.approx([0.5, 0.5, 0.5], abs=0.1)
    import timm

    name = next(n for n in ("resnet18", "resnet18d") if tuple(timm.get_pretrained_cfg(n).mean) != (0.5, 0.5, 0.5))
    torch.save(timm.create_model(name).state_dict(), "other.pth")
    second = vision_learner(dls, name, weights="other.pth")
    assert second.dls.train.batches.normalize.mean_list != first.dls.train.batches.normalize.mean_list
    assert vision_learner(dls, name, weights="other.pth", normalize=False).dls.train.batches.normalize is None


def test_timm_mean_and_std_of_the_weights_are_used(dls, weights):
    learn = vision_learner(dls, "test_resnet", weights=weights)
    known = learn.model.body.pretrained_cfg
    normalize = learn.dls.train.batches.normalize
    assert (normalize.mean_list, normalize.std_list) == (list(known["mean"]), list(known["std"]))
    x = (dls.one_batch()[0] - tensor(known["mean"]).view(3, 1, 1)) / tensor(known["std"]).view(3, 1, 1)
    torch.testing.assert_close(learn.dls.one_batch()[0], x, rtol=1e-4, atol=1e-4)
    assert not any(p.requires_grad for p in learn.layer_groups[0] if p.ndim > 1)


def test_loss_singletons_are_shared_by_learners(dls):
    first, second = small(dls), small(dls)
    assert first.loss_func is not second.loss_func


def test_fit_flat_cos_ignores_start_epoch(dls):
    learn = small(dls)
    learn.fit_flat_cos(4, 1e-2, pct_start=0.5, start_epoch=3)
    whole = small(dls)
    whole.fit_flat_cos(4, 1e-2, pct_start=0.5)
    assert learn.recorder.lrs == whole.recorder.lrs[9:]
    assert len(learn.recorder.values) == 1


@pytest.mark.parametrize("recipe", ["fit_one_cycle", "fit", "fit_sgdr", "fine_tune"])
def test_skip_to_epoch_with_trackers(dls, recipe):
    learn = small(dls, metrics=accuracy)
    trackers = [EarlyStoppingCallback(patience=5), SaveModelCallback(monitor="accuracy"), ReduceLROnPlateau()]
    args = (2, 1) if recipe == "fit_sgdr" else (3,)
    getattr(learn, recipe)(*args, cbs=trackers, start_epoch=2)
    assert len(learn.recorder.values) == 1
    assert Path("models/model.safetensors").is_file()


def test_fit_sgdr_with_cycle_mult_1_crashes(dls):
    learn = small(dls)
    learn.fit_sgdr(2, 1, 1e-3, cycle_mult=1)
    assert len(learn.recorder.values) == 2


def test_rmsprop_forgets_its_eps():
    assert RMSProp([nn.Parameter(torch.zeros(1))], 0.1, eps=0.5).param_groups[0]["eps"] == 0.5


def test_training_drops_the_last_batch(folder):
    dls = ImageDataLoaders.from_folder(folder, bs=16)
    assert [len(y) for _, y in dls.train] == [16, 16, 4]
    dropped = ImageDataLoaders.from_folder(folder, bs=16, drop_last=True)
    assert [len(y) for _, y in dropped.train] == [16, 16]


def test_train_loss_is_an_average_over_the_whole_fit(dls):
    learn = small(dls)
    losses = []
    learn.fit(2, 1e-3, cbs=Callback(after_batch=lambda cb: losses.append(cb.loss.item()) if cb.training else None))
    assert [row[0] for row in learn.recorder.values] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 3])
    smooth = losses[0]
    assert learn.recorder.losses[0] == pytest.approx(smooth)
    assert learn.smooth_loss == learn.recorder.losses[-1]


def test_the_order_of_get_preds(folder, dls):
    learn = small(dls)
    preds, targets = learn.get_preds(ds_idx=0)
    assert targets.tolist() == [dls.vocab.o2i[f.parent.name] for f in dls.train_ds.items]
    again, _ = learn.get_preds(dl=dls.test_dl(dls.train_ds.items))
    torch.testing.assert_close(preds, again)


def test_unlabelled_test_sets_have_no_targets(folder, dls):
    learn = small(dls)
    test_dl = dls.test_dl(get_image_files(folder / "valid"), num_workers=0)
    preds, targets, decoded = learn.get_preds(dl=test_dl, with_decoded=True)
    assert (targets, len(preds), len(decoded)) == (None, 20, 20)
    assert len(learn.tta(dl=test_dl, n=1)[0]) == 20
    labelled = dls.test_dl(get_image_files(folder / "valid"), with_labels=True)
    assert learn.validate(dl=labelled)[0] == pytest.approx(learn.validate()[0], abs=1e-5)


def test_export_is_a_pickle(dls):
    learn = small(dls)
    file = learn.export("pets.pkl")
    assert file.name == "pets.safetensors"
    assert not zipfile.is_zipfile(file)
    assert "learner" in json.loads(read_words(file)["fastcli"])
    torch.testing.assert_close(load_learner("pets.pkl").get_preds(dl=learn.dls.valid)[0], learn.get_preds()[0])


def test_lambdas_cannot_label(folder):
    files = get_image_files(folder)
    dls = ImageDataLoaders.from_name_func(folder, files, lambda name: name.split("_")[0], valid_pct=0.3, seed=2, bs=8)
    small(dls).export()
    assert list(load_learner("export.pkl").dls.vocab) == ["disc", "square"]


def test_random_splitter_seeds_everything():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    train, valid = RandomSplitter(0.2, seed=42)(range(10))
    assert torch.equal(torch.rand(2), expected)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(42)).tolist()
    assert (valid, train) == (order[:2], order[2:])  # fastai's own split for this seed


def test_files_come_in_the_order_of_the_disk(folder):
    files = get_image_files(folder)
    assert files == sorted(files)
    assert len(get_image_files(folder, folders=["valid"])) == 20
    assert len(get_files(folder, extensions=".png", recurse=False)) == 0


def test_download_images_is_silent(tmp_path, capsys):
    (tmp_path / "urls.txt").write_text("http://127.0.0.1:1/a.jpg\n")
    assert download_images(tmp_path / "got", tmp_path / "urls.txt", timeout=1) == []
    told = capsys.readouterr().out
    assert "127.0.0.1:1/a.jpg" in told
    assert "refused" in told.lower()
