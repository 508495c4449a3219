"""Transforms of a user's own in fastai's style: by type, by split, with draws that all parts of a sample share."""

import pytest

from fastcli.errors import ConfigError
from fastcli.vision.all import *


class Invert(Transform):
    def encodes(self, img: PILImage):
        return PILImage.create(255 - array(img))


class AlbumentationsTransform(RandTransform):
    "A transform handler for multiple `Albumentation` transforms"

    split_idx, order = None, 2

    def __init__(self, train_aug, valid_aug):
        super().__init__()
        self.train_aug, self.valid_aug = train_aug, valid_aug

    def before_call(self, b, split_idx):
        self.idx = split_idx

    def encodes(self, img: PILImage):
        aug_img = self.train_aug(image=array(img)) if self.idx == 0 else self.valid_aug(image=array(img))
        return PILImage.create(aug_img["image"])


def block(**options):
    return DataBlock(
        blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label,
        splitter=GrandparentSplitter(), **options,
    )  # fmt: skip


def loaders(folder, **options):
    return block(**options).dataloaders(folder, bs=6, shuffle=False)


def test_a_class_and_a_function(folder):
    plain = loaders(folder).one_batch()[0]
    torch.testing.assert_close(loaders(folder, item_tfms=Invert).one_batch()[0], 1 - plain)

    def invert(img: PILImage):
        return 255 - array(img)

    torch.testing.assert_close(loaders(folder, item_tfms=[Resize(32), invert]).one_batch()[0], 1 - plain)
    only_valid = loaders(folder, item_tfms=Transform(invert, split_idx=1))
    torch.testing.assert_close(only_valid.one_batch()[0], plain)
    torch.testing.assert_close(only_valid.valid.one_batch()[0], 1 - loaders(folder).valid.one_batch()[0])
    assert array(Invert()(PILImage.create(np.zeros((2, 2, 3), np.uint8)))).min() == 255


def test_the_albumentations_tutorial(folder):
    dls = loaders(folder, item_tfms=[Resize(32), AlbumentationsTransform(
        lambda image: {"image": image // 2}, lambda image: {"image": image})])  # fmt: skip
    plain = loaders(folder)
    difference = (dls.one_batch()[0] - plain.one_batch()[0] / 2).abs().max()
    assert difference <= 0.5 / 255 + 1e-6
    torch.testing.assert_close(dls.valid.one_batch()[0], plain.valid.one_batch()[0])


class Shift(RandTransform):
    def before_call(self, b, split_idx):
        super().before_call(b, split_idx)
        self.by = random.randint(1, 20)

    def encodes(self, img: PILImage):
        return np.roll(array(img), self.by, axis=1)

    def encodes(self, mask: PILMask):  # noqa: F811 - fastai's way to write a kernel for each type
        return np.roll(array(mask), self.by, axis=1)


def test_a_mask_follows_its_picture(shapes):
    dls = SegmentationDataLoaders.from_label_func(
        shapes, get_image_files(shapes / "images"), lambda o: shapes / "masks" / f"{o.stem}_mask.png", valid_pct=0.2,
        seed=1, codes=["ground", "disc", "square"], item_tfms=Shift, bs=6,
    )  # fmt: skip
    x, y = dls.one_batch()
    bright = x.amax(1) > 0.5
    assert ((y > 0) == bright).float().mean() > 0.99
    again = dls.one_batch()
    assert torch.equal(x, again[0])
    state = random.getstate()
    dls.one_batch()
    assert random.getstate() == state


def test_how_often_a_random_transform_is_done(folder):
    class Black(RandTransform):
        def encodes(self, img: PILImage):
            return array(img) * 0

    dark = [float(x.amax()) == 0 for xb, _ in loaders(folder, item_tfms=Black(p=0.5)).train for x in xb]
    assert 8 < sum(dark) < 28
    assert all(float(x.amax()) > 0 for x in loaders(folder, item_tfms=Black(p=1.0)).valid.one_batch()[0])


def test_on_batches_in_training_alone(folder):
    class Bright(Transform):
        split_idx = 0

        def encodes(self, x: TensorImage):
            return x * 0 + 1

    dls = loaders(folder, batch_tfms=[Bright, Normalize.from_stats([0.5], [0.5])])
    assert float(dls.one_batch()[0].min()) == 1.0
    assert float(dls.valid.one_batch()[0].min()) < 0
    with pytest.raises(ConfigError, match="annotate its encodes"):
        loaders(folder, batch_tfms=Invert())


def test_a_transform_of_ones_own_cannot_be_named_in_a_file(folder):
    learn = vision_learner(loaders(folder, item_tfms=Invert), "test_resnet", pretrained=False, path=Path())
    with pytest.raises(ConfigError, match="cannot be exported"):
        learn.export()
