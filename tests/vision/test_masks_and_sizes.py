"""Segmentation as in chapter 1 and the vision tutorial; chapter 7: normalisation, growing pictures, views, mixing."""

import pytest

from fastcli.errors import ConfigError
from fastcli.vision.all import *


@pytest.fixture
def mask_dls(shapes):
    path = shapes
    codes = np.array(["ground", "disc", "square"])
    return SegmentationDataLoaders.from_label_func(
        path, bs=8, fnames=get_image_files(path / "images"), seed=42, codes=codes, item_tfms=Resize(32),
        label_func=lambda o: path / "masks" / f"{o.stem}_mask{o.suffix}", batch_tfms=aug_transforms(size=32),
    )  # fmt: skip


def acc_shapes(inp, targ):
    mask = targ != 0
    return (inp.argmax(dim=1)[mask] == targ[mask]).float().mean()


def test_segmentation(mask_dls):
    mask_dls.show_batch(max_n=4)
    x, y = mask_dls.one_batch()
    assert (x.shape, y.shape, y.dtype) == ((8, 3, 32, 32), (8, 32, 32), torch.int64)
    assert list(mask_dls.vocab) == ["ground", "disc", "square"]
    metrics = [acc_shapes, foreground_acc, DiceMulti(), JaccardCoeffMulti]
    learn = unet_learner(mask_dls, "test_resnet", pretrained=False, metrics=metrics, self_attention=True)
    learn.fit_one_cycle(1, slice(1e-3))
    values = learn.recorder.values[-1]
    assert learn.recorder.metric_names[3:5] == ["acc_shapes", "foreground_accuracy"]
    assert len(values) == 6
    learn.show_results(max_n=4, figsize=(7, 8))
    preds, targets = learn.get_preds()
    assert preds.shape == (8, 3, 32, 32)
    pixels = targets != 0
    assert values[3] == pytest.approx(float((preds.argmax(1) == targets)[pixels].float().mean()), abs=1e-5)
    interp = SegmentationInterpretation.from_learner(learn)
    interp.plot_top_losses(k=2)
    interp.show_results([0, 1])
    assert set(interp.intersection_over_union()) == {"ground", "disc", "square"}
    mask = learn.predict(get_image_files(mask_dls.path / "images")[0])[1]
    assert mask.shape == (32, 32)


def test_losses_of_masks_and_their_arguments(mask_dls):
    learn = unet_learner(
        mask_dls, "test_resnet", pretrained=False, loss_func=DiceLoss(), config={"last_cross": False, "blur": True}
    )
    assert learn.model.decoder.cross is None
    learn.fit(1)
    with pytest.raises(ConfigError, match="ReLU"):
        unet_learner(mask_dls, "test_resnet", pretrained=False, act_cls=nn.GELU)
    logits, targets = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    pred, truth = logits.softmax(1), F.one_hot(targets).permute(0, 3, 1, 2)
    dice = (2 * (pred * truth).sum((2, 3)) + 1e-6) / ((pred + truth).sum((2, 3)) + 1e-6)
    torch.testing.assert_close(DiceLoss()(logits, targets), (1 - dice).sum())
    torch.testing.assert_close(DiceLoss(reduction="mean")(logits, targets), (1 - dice).mean())
    voided = CrossEntropyLossFlat(axis=1, ignore_index=2)(logits, targets)
    torch.testing.assert_close(voided, F.cross_entropy(logits, targets, ignore_index=2))


def get_dls(folder, bs, size):
    dblock = DataBlock(
        blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label, item_tfms=Resize(40),
        splitter=GrandparentSplitter(), batch_tfms=[*aug_transforms(size=size, min_scale=0.75),
                                                    Normalize.from_stats(*imagenet_stats)],
    )  # fmt: skip
    return dblock.dataloaders(folder, bs=bs)


def test_chapter_7_progressive_resizing_and_tta(folder):
    dls = get_dls(folder, 18, 24)
    x, _ = dls.one_batch()
    assert x.shape == (18, 3, 24, 24)
    assert x.mean(dim=[0, 2, 3]).abs().max() < 2.5
    model = xresnet18(n_out=dls.c)
    learn = Learner(dls, model, loss_func=CrossEntropyLossFlat(), metrics=accuracy)
    learn.fit_one_cycle(1, 3e-3)
    learn.dls = get_dls(folder, 18, 32)
    assert learn.validate()[1] >= 0
    seen = []
    learn.add_cb(Callback(before_batch=lambda cb: seen.append(cb.x.shape[-1])))
    learn.fine_tune(1, 1e-3)
    assert set(seen) == {32}
    preds, targs = learn.tta()
    assert preds.shape == (20, 2)
    assert accuracy(preds, targs).item() == pytest.approx((preds.argmax(1) == targs).float().mean().item())
    flipped, _ = learn.tta(n=1, batch_tfms=[Flip(draw=1)], beta=0.0)
    plain, _ = learn.get_preds()
    assert not torch.allclose(flipped, plain)
    both = learn.tta(n=2, beta=None)[0]
    assert len(both) == 2


def test_the_loaders_of_a_learner_can_be_replaced(folder, dls):
    learn = vision_learner(dls, "test_resnet", pretrained=False)
    other = get_dls(folder, 5, 16)
    learn.dls = other
    assert (learn.train_loader, learn.valid_loader) == (other.train, other.valid)


def test_mixup_and_label_smoothing(folder):
    dls = get_dls(folder, 18, 24)
    learn = Learner(
        dls, xresnet18(n_out=dls.c), loss_func=LabelSmoothingCrossEntropy(), metrics=accuracy, cbs=MixUp(0.4)
    )
    learn.fit_one_cycle(1, 3e-3)
    with learn.removed_cbs(MixUp):
        learn.fit_one_cycle(1, 3e-3, cbs=[CutMix(1.0), GradientClip])
    assert [type(cb) for cb in learn.cbs].count(MixUp) == 1
    assert learn.recorder.values[-1][1] > 0
    logits, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])
    logp = logits.log_softmax(1)
    expected = 0.1 / 3 * -logp.sum(1) + 0.9 * F.nll_loss(logp, targets, reduction="none")
    torch.testing.assert_close(LabelSmoothingCrossEntropy(eps=0.1)(logits, targets), expected.mean())
    torch.testing.assert_close(LabelSmoothingCrossEntropyFlat(eps=0.1)(logits, targets), expected.mean())


def test_transforms_by_name_and_number(folder):
    sized = DataBlock(
        blocks=(ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label,
        item_tfms=[RatioResize(40), CropPad(36, pad_mode=PadMode.Zeros)],
        batch_tfms=[Rotate(15, p=1.0, size=24), Zoom(draw=1.2), Warp(magnitude=0.1), Brightness(draw=0.6), Contrast(),
                    Saturation(), Hue(), RandomErasing(max_count=2)],
    )  # fmt: skip
    assert sized.dataloaders(folder, bs=4).one_batch()[0].shape == (4, 3, 24, 24)
    with pytest.raises(ConfigError, match="draw of its own"):
        Rotate(draw=lambda x: 3)
    with pytest.raises(ConfigError, match="every picture has its own draw"):
        aug_transforms(batch=True)
