"""Chapters 1, 2 and 5 of fastai's book: classify, look, interpret, export, predict; on drawn pictures."""

from fastcli.vision.all import *


def test_chapter_1_a_classifier_from_file_names(folder, capsys):
    def is_disc(x):
        return x.startswith("disc")

    dls = ImageDataLoaders.from_name_func(
        folder, get_image_files(folder), valid_pct=0.2, seed=42, label_func=is_disc, item_tfms=Resize(32), bs=16,
        num_workers=0,
    )  # fmt: skip
    assert list(dls.vocab) == ["False", "True"]
    dls.show_batch(max_n=4, nrows=1)
    learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=error_rate)
    learn.fine_tune(1, freeze_epochs=1)
    assert "error_rate" in capsys.readouterr().out
    label, index, probs = learn.predict(PILImage.create(get_image_files(folder)[0]))
    assert label == dls.vocab[index]
    assert probs.sum() == pytest_approx(1)
    label_of_file, _, probs_of_file = learn.predict(get_image_files(folder)[0])
    assert label_of_file == label
    torch.testing.assert_close(probs_of_file, probs)


def pytest_approx(value):
    import pytest

    return pytest.approx(value, abs=1e-5)


def test_chapter_2_bears(folder, capsys):
    bears = DataBlock(
        blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, splitter=RandomSplitter(valid_pct=0.2, seed=42),
        get_y=parent_label, item_tfms=Resize(32),
    )  # fmt: skip
    dls = bears.dataloaders(folder, bs=16)
    dls.valid.show_batch(max_n=4, nrows=1)
    assert [len(dls.train_ds), len(dls.valid_ds)] == [45, 11]
    for method in (ResizeMethod.Squish, ResizeMethod.Pad):
        dls = bears.new(item_tfms=Resize(32, method, pad_mode="zeros")).dataloaders(folder, bs=16)
        dls.valid.show_batch(max_n=4, nrows=1)
    bears = bears.new(item_tfms=RandomResizedCrop(32, min_scale=0.5), batch_tfms=aug_transforms(mult=2))
    dls = bears.dataloaders(folder, bs=16)
    dls.train.show_batch(max_n=8, nrows=2, unique=True)
    learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=[error_rate, accuracy], path=Path())
    learn.fine_tune(1)
    interp = ClassificationInterpretation.from_learner(learn)
    interp.plot_confusion_matrix()
    interp.plot_top_losses(5, nrows=1)
    interp.plot_top_losses(4, figsize=(7, 8))
    assert len(interp.top_losses(3, items=True)[2]) == 3
    learn.export()
    loaded = load_learner("export.pkl")
    assert list(loaded.dls.vocab) == ["disc", "square"]
    file = get_image_files(folder)[3]
    with learn.no_bar():
        expected = learn.predict(file)
    torch.testing.assert_close(loaded.predict(file)[2], expected[2])
    assert loaded.predict(file)[0] == expected[0]
    files = get_image_files(folder / "valid")
    preds, targets = loaded.get_preds(dl=loaded.dls.test_dl(files))
    assert preds.shape == (20, 2)
    assert targets is None
    assert capsys.readouterr().out.count("error_rate") == 1


def test_chapter_5_breeds(folder, capsys):
    pets = DataBlock(
        blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, splitter=RandomSplitter(seed=42),
        get_y=using_attr(RegexLabeller(r"(.+)_\d+.png$"), "name"), item_tfms=Resize(40),
        batch_tfms=aug_transforms(size=32, min_scale=0.75),
    )  # fmt: skip
    pets.summary(folder)
    told = capsys.readouterr().out
    assert "what the model gets" in told.lower()
    dls = pets.dataloaders(folder, bs=16)
    x, y = dls.one_batch()
    assert (x.shape, y.shape) == ((16, 3, 32, 32), (16,))
    learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=error_rate)
    preds, _ = learn.get_preds(dl=[(x, y)])
    assert preds.shape == (16, 2)
    assert preds[0].sum() == pytest_approx(1)
    lr_min, lr_steep = learn.lr_find(suggest_funcs=(minimum, steep), num_it=30)
    assert lr_min > 0
    assert lr_steep > 0
    found = learn.lr_find(num_it=30)
    assert found._fields == ("valley",)
    learn.fit_one_cycle(1, 3e-3)
    learn.unfreeze()
    learn.fit_one_cycle(1, lr_max=slice(1e-6, 1e-4))
    assert learn.recorder.lrs[-1] < 1e-4
    learn.recorder.plot_loss()
    learn.recorder.plot_sched()
    learn.show_results(max_n=4, figsize=(6, 6))
    assert learn.validate()[0] == learn.recorder.values[-1][1]
    interp = ClassificationInterpretation.from_learner(learn)
    interp.plot_confusion_matrix(figsize=(12, 12), dpi=60)
    assert interp.most_confused(min_val=1) == interp.most_confused()
    interp.print_classification_report()
    assert "precision" in capsys.readouterr().out


def test_an_incomplete_data_block_says_which_step_fails(folder, capsys):
    DataBlock(blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, get_y=lambda o: 1 / 0).summary(folder)
    told = capsys.readouterr().out
    assert "FAILED at" in told
    assert "ZeroDivisionError" in told


def test_lists_and_patterns_and_folders(folder):
    files = get_image_files(folder)
    by_re = ImageDataLoaders.from_name_re(folder, files, r"^(\w+)_\d+", seed=1)
    by_path = ImageDataLoaders.from_path_re(folder, files, r"/(\w+)_\d+.png$", seed=1)
    by_list = ImageDataLoaders.from_lists(folder, files, [f.parent.name for f in files], seed=1)
    by_func = ImageDataLoaders.from_path_func(folder, files, parent_label, seed=1)
    for dls in (by_re, by_path, by_list, by_func):
        assert list(dls.vocab) == ["disc", "square"]
        assert dls.valid_ds.indices == by_re.valid_ds.indices
        assert dls.c == get_c(dls) == 2
    anywhere = ImageDataLoaders.from_folder(folder, valid_pct=0.5, seed=3, val_bs=7, shuffle=False)
    assert (anywhere.bs, anywhere.valid.bs) == (64, 7)
    grey = ImageDataLoaders.from_folder(folder, img_cls=PILImageBW, batch_tfms=Normalize(), bs=8)
    assert grey.one_batch()[0].shape == (8, 1, 32, 32)
    learn = vision_learner(grey, "test_resnet", pretrained=False)
    assert learn.validate()[0] > 0


def test_relative_paths_need_not_be_below_another(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    path = Path(folder.name)
    dls = ImageDataLoaders.from_name_func(path, get_image_files(path), lambda name: name[:4], seed=1, bs=8)
    assert len(dls.one_batch()[0]) == 8
    dls = ImageDataLoaders.from_lists(path, get_image_files(path), [1.5] * len(get_image_files(path)), bs=8)
    assert dls.target.kind == "regression"
    assert len(dls.one_batch()[1]) == 8
