"""Chapter 6 and the data block tutorial: several labels from a table, numbers, points, boxes, several inputs."""

import pytest

from fastcli.errors import ConfigError, DataError
from fastcli.vision.all import *


@pytest.fixture
def df(shapes):
    return pd.read_csv(shapes / "labels.csv")


def splitter(df):
    train = df.index[~df["is_valid"]].tolist()
    valid = df.index[df["is_valid"]].tolist()
    return train, valid


def test_a_data_block_grows_from_nothing(shapes, df):
    dsets = DataBlock().datasets(df)
    x, y = dsets.train[0]
    assert x["image"] == y["image"]
    dblock = DataBlock(get_x=lambda r: r["image"], get_y=lambda r: r["shapes"])
    assert dblock.datasets(df).train[0][1] in ("disc", "square", "disc square")
    dblock = DataBlock(get_x=lambda r: shapes / r["image"], get_y=lambda r: r["shapes"].split(" "))
    assert dblock.datasets(df).train[0][0].is_file()
    dblock = DataBlock(
        blocks=(ImageBlock, MultiCategoryBlock), splitter=splitter,
        get_x=lambda r: shapes / r["image"], get_y=lambda r: r["shapes"].split(" "),
    )  # fmt: skip
    dsets = dblock.datasets(df)
    picture, hot = dsets.train[0]
    assert isinstance(picture, TensorImage)
    assert isinstance(hot, TensorMultiCategory)
    idxs = torch.where(hot == 1.0)[0]
    assert list(dsets.train.vocab[idxs]) == sorted(df[~df.is_valid].iloc[0].shapes.split())
    assert [len(split) for split in dsets.splits] == [30, 10]


def multi_label_loaders(shapes, df, **options):
    dblock = DataBlock(
        blocks=(ImageBlock, MultiCategoryBlock), splitter=splitter, get_x=ColReader("image", pref=shapes),
        get_y=ColReader("shapes", label_delim=" "), item_tfms=RandomResizedCrop(32, min_scale=0.35),
    )  # fmt: skip
    return dblock.dataloaders(df, bs=10, **options)


def test_multi_label_with_a_threshold_of_its_own(shapes, df):
    dls = multi_label_loaders(shapes, df)
    dls.show_batch(nrows=1, ncols=3)
    learn = vision_learner(dls, resnet18, pretrained=False, metrics=partial(accuracy_multi, thresh=0.2))
    x, y = dls.train.one_batch()
    with torch.no_grad():
        activs = learn.model.eval()(x)
    assert activs.shape == (10, 2)
    loss_func = nn.BCEWithLogitsLoss()
    torch.testing.assert_close(learn.loss_func(activs, y), loss_func(activs, y))
    learn.fine_tune(1, base_lr=3e-3, freeze_epochs=1)
    learn.metrics = accuracy_multi
    preds, targs = learn.get_preds()
    assert preds.min() >= 0
    assert preds.max() <= 1
    assert accuracy_multi(preds, targs, thresh=0.9, sigmoid=False) == ((preds > 0.9) == targs.bool()).float().mean()
    expected = ((preds > 0.2) == targs.bool()).float().mean()
    assert learn.recorder.values[-1][2] == pytest.approx(float(expected), abs=1e-5)
    accs = [accuracy_multi(preds, targs, thresh=i, sigmoid=False) for i in torch.linspace(0.05, 0.95, 5)]
    plt.plot(range(5), accs)


@pytest.mark.parametrize("column", ["is_valid", None])
def test_tables_in_one_call(shapes, df, column):
    options = {"valid_col": column, "label_col": "shapes", "label_delim": " ", "fn_col": "image", "bs": 8}
    from_df = ImageDataLoaders.from_df(df, shapes, seed=42, **options)
    from_csv = ImageDataLoaders.from_csv(shapes, "labels.csv", seed=42, **options)
    assert from_df.valid_ds.indices == from_csv.valid_ds.indices
    assert len(from_df.valid_ds) == (10 if column else 8)
    assert list(from_df.vocab) == ["disc", "square"]
    assert from_df.vocab.o2i == {"disc": 0, "square": 1}
    test = from_df.test_dl(df.iloc[:5], with_labels=True)
    assert [part.shape[0] for part in test.one_batch()] == [5, 5]
    assert len(from_df.test_dl(get_image_files(shapes / "images")[:3]).one_batch()) == 1


def test_numbers_of_several_columns(shapes, df):
    dls = ImageDataLoaders.from_df(df, shapes, label_col=["area", "tenths"], seed=1, bs=8, y_block=RegressionBlock)
    assert dls.c == 2
    learn = vision_learner(dls, "test_resnet", pretrained=False, y_range=(0, 5), metrics=[mae, rmse, R2Score()])
    learn.fit(1, 1e-3)
    preds, targets = learn.get_preds()
    assert learn.recorder.values[-1][2] == pytest.approx(float((preds - targets).abs().mean()), abs=1e-5)
    assert preds.max() < 5
    assert isinstance(learn.loss_func(preds, targets).item(), float)


def test_a_picture_that_a_label_does_not_fit_is_named(shapes, df):
    strange = df.assign(shapes=["hexagon" if valid else "disc" for valid in df.is_valid])
    with pytest.raises(DataError, match=r"hexagon.*\.png"):
        ImageDataLoaders.from_df(strange, shapes, label_col="shapes", valid_col="is_valid")


def test_heads_are_points(shapes, df):
    def get_ctr(r):
        return tensor([float(r["x"]), float(r["y"])])

    biwi = DataBlock(
        blocks=(ImageBlock, PointBlock), get_x=ColReader("image", pref=shapes), get_y=get_ctr,
        splitter=FuncSplitter(lambda r: bool(r["is_valid"])), item_tfms=Resize(32),
        batch_tfms=aug_transforms(size=(32, 32)),
    )  # fmt: skip
    dls = biwi.dataloaders(df, bs=10)
    dls.show_batch(max_n=9, figsize=(8, 6))
    xb, yb = dls.one_batch()
    assert (xb.shape, yb.shape) == ((10, 3, 32, 32), (10, 1, 2))
    learn = vision_learner(dls, "test_resnet", pretrained=False, y_range=(-1, 1))
    learn.fine_tune(1, 1e-2)
    learn.show_results(ds_idx=1, max_n=3, figsize=(6, 8))
    point, _, scores = learn.predict(shapes / df.image[0])
    assert scores.abs().max() <= 1
    assert 0 <= point[0][0] <= 32


def test_boxes_with_labels(shapes, df):
    def boxes(r):
        return [[r["x"] - 5, r["y"] - 5, r["x"] + 5, r["y"] + 5]]

    dblock = DataBlock(
        blocks=(ImageBlock, BBoxBlock, BBoxLblBlock), n_inp=1, get_x=ColReader("image", pref=shapes),
        get_y=[boxes, lambda r: [r["shapes"]]], splitter=RandomSplitter(seed=1), item_tfms=Resize(24),
        batch_tfms=[Flip(draw=1)],
    )  # fmt: skip
    dls = dblock.dataloaders(df, bs=6)
    assert dls.n_inp == 1
    assert [part.shape for part in dls.one_batch()] == [(6, 3, 24, 24), (6, 1, 4), (6, 1)]
    assert dls.vocab[0] == "#na#"
    dls.show_batch(max_n=4)


def test_annotations_of_coco(tmp_path):
    told = {
        "categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}],
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 2, "bbox": [1, 2, 10, 20], "category_id": 9},
            {"image_id": 2, "bbox": [0, 0, 3, 3], "category_id": 7},
        ],
    }
    (tmp_path / "train.json").write_text(json.dumps(told))
    names, boxes = get_annotations(tmp_path / "train.json", prefix="images/")
    assert names == ["images/b.jpg"]
    assert boxes == [([[1, 2, 11, 22], [0, 0, 3, 3]], ["cat", "dog"])]


class SiameseModel(Module):
    def __init__(self, encoder, head):
        self.encoder, self.head = encoder, head

    def forward(self, x1, x2):
        return self.head(torch.cat([self.encoder(x1), self.encoder(x2)], dim=1))


def test_two_pictures_are_of_one_kind_or_not(folder):
    files = get_image_files(folder)
    pairs = [(a, b) for a, b in zip(files, [*files[20:], *files[:20]], strict=True)]
    siamese = DataBlock(
        blocks=(ImageBlock, ImageBlock, CategoryBlock), get_x=[ItemGetter(0), ItemGetter(1)],
        get_y=lambda pair: pair[0].parent.name == pair[1].parent.name, item_tfms=Resize(32), n_inp=2,
        batch_tfms=[Normalize.from_stats(*imagenet_stats)], splitter=RandomSplitter(seed=1),
    )  # fmt: skip
    dls = siamese.dataloaders(pairs, bs=14)
    assert [len(dls.one_batch()), dls.n_inp] == [3, 2]
    encoder = create_body(xresnet18, cut=-2)
    head = create_head(512 * 2, 2, ps=0.5)
    model = SiameseModel(encoder, head)

    def siamese_splitter(model):
        return [params(model.encoder), params(model.head)]

    learn = Learner(dls, model, loss_func=CrossEntropyLossFlat(), splitter=siamese_splitter, metrics=accuracy)
    learn.freeze()
    assert not any(p.requires_grad for m in encoder.modules() if isinstance(m, nn.Conv2d) for p in m.parameters())
    learn.fit_one_cycle(1, slice(1e-4, 1e-3))
    assert learn.recorder.lrs[-1] > 0
    preds, _ = learn.get_preds()
    assert preds.shape == (len(dls.valid_ds), 2)
    assert learn.predict((files[0], files[1]))[0] in ("True", "False")


def test_columns_as_a_source(folder):
    files = get_image_files(folder)
    dblock = DataBlock.from_columns(
        blocks=(ImageBlock, CategoryBlock), get_items=lambda source: (source, [f.parent.name for f in source]),
        splitter=RandomSplitter(seed=1),
    )  # fmt: skip
    assert list(dblock.dataloaders(files, bs=8).vocab) == ["disc", "square"]


def test_weights_are_given_for_all_items(folder):
    files = get_image_files(folder)
    weights = [1.0 if f.parent.name == "disc" else 0.0 for f in files]
    dblock = DataBlock(blocks=(ImageBlock, CategoryBlock), get_y=parent_label, splitter=RandomSplitter(seed=4))
    dls = dblock.weighted_dataloaders(files, weights, bs=16)
    assert {dls.vocab[i] for i in torch.cat([y for _, y in dls.train]).tolist()} == {"disc"}
    assert {dls.vocab[i] for i in torch.cat([y for _, y in dls.valid]).tolist()} == {"disc", "square"}
    dsets = dblock.datasets(files)
    again = dsets.weighted_dataloaders([weights[i] for i in dsets.splits[0]], bs=16)
    assert {again.vocab[i] for i in again.one_batch()[1].tolist()} == {"disc"}


def test_partial_epochs_and_other_options(folder):
    dblock = DataBlock(blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label)
    dsets = dblock.datasets(folder)
    dls = dsets.partial_dataloaders(partial_n=10, bs=4)
    assert [len(y) for _, y in dls.train] == [4, 4, 2]
    assert dls.new(bs=5).bs == 5
    made = dsets.dataloaders(bs=8, after_item=[Resize(16), ToTensor()], after_batch=[IntToFloatTensor(), Normalize()])
    assert made.one_batch()[0].shape == (8, 3, 16, 16)
    assert abs(float(made.one_batch()[0].mean())) < 0.2
    assert DataLoaders.from_dblock(dblock, folder, bs=8).bs == 8
    with pytest.raises(ConfigError, match="dl_type"):
        DataBlock(dl_type=object)
    with pytest.raises(TypeError, match="get_z"):
        DataBlock(get_z=parent_label)
    with pytest.raises(ConfigError, match="get_y has 3 functions for 1"):
        DataBlock(blocks=(ImageBlock, CategoryBlock), get_y=[1, 2, 3]).datasets(get_image_files(folder))
