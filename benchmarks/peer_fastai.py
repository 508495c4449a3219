# ruff: noqa: F403, F405 - as everyone imports fastai
"""fastai's side of the benchmarks, run by a Python that has fastai; the other side is fastcli's.

    python benchmarks/peer_fastai.py pets|mnist|mlp|export|predict|one|loop|augment|optimizer ARGUMENTS

The first six are whole processes that print RESULT and figures; the others are workers (see side_by_side.py).
"""

import sys
import time

STARTED = time.perf_counter()
from fastai.vision.all import *  # noqa: E402
from side_by_side import serve  # noqa: E402


def pets_loaders(folder, size=224):
    return ImageDataLoaders.from_name_func(
        folder, get_image_files(folder / "images"), valid_pct=0.2, seed=42, label_func=is_cat,
        item_tfms=Resize(int(size)), bs=64)  # fmt: skip


def is_cat(name):
    return name[0].isupper()


def pets(folder, weights, seed, scratch):
    """Cat or dog by `fine_tune(1)`."""
    set_seed(int(seed), True)
    dls = pets_loaders(Path(folder))
    learn = vision_learner(dls, "tf_efficientnet_lite0", metrics=error_rate, pretrained_cfg_overlay={"file": weights})
    learn.path = Path(scratch)
    set_seed(int(seed), True)
    fit = time.perf_counter()
    with learn.no_bar():
        learn.fine_tune(1)
    print("RESULT", float(learn.recorder.values[-1][-1]), time.perf_counter() - fit)


def mnist(folder):
    """The book's resnet18 on threes and sevens, one epoch in one cycle."""
    dls = ImageDataLoaders.from_folder(Path(folder))
    learn = vision_learner(dls, resnet18, pretrained=False, loss_func=F.cross_entropy, metrics=accuracy)
    fit = time.perf_counter()
    with learn.no_bar():
        learn.fit_one_cycle(1, 0.1)
    print("RESULT", float(learn.recorder.values[-1][-1]), time.perf_counter() - fit)


def mlp(folder, epochs):
    """The book's small net on threes and sevens, on tensors that it stacks first."""

    def stacked(split):
        parts = [[tensor(PILImage.create(p).convert("L")) for p in (Path(folder) / split / d).ls()] for d in ("3", "7")]
        x = torch.cat([torch.stack([p.float() / 255 for p in part]) for part in parts]).view(-1, 28 * 28)
        y = tensor([1] * len(parts[0]) + [0] * len(parts[1])).unsqueeze(1)
        return DataLoader(list(zip(x, y, strict=True)), batch_size=256)

    def mnist_loss(predictions, targets):
        predictions = predictions.sigmoid()
        return torch.where(targets == 1, 1 - predictions, predictions).mean()

    def batch_accuracy(xb, yb):
        return ((xb.sigmoid() > 0.5) == yb).float().mean()

    dls = DataLoaders(stacked("train"), stacked("valid"))
    net = nn.Sequential(nn.Linear(28 * 28, 30), nn.ReLU(), nn.Linear(30, 1))
    learn = Learner(dls, net, opt_func=SGD, loss_func=mnist_loss, metrics=batch_accuracy)
    fit = time.perf_counter()
    with learn.no_bar():
        learn.fit(int(epochs), 0.1)
    print("RESULT", float(learn.recorder.values[-1][-1]), time.perf_counter() - fit)


def export(folder, weights, where):
    """A learner for `predict`, its head as it was drawn."""
    dls = pets_loaders(Path(folder))
    learn = vision_learner(dls, "tf_efficientnet_lite0", metrics=error_rate, pretrained_cfg_overlay={"file": weights})
    learn.export(Path(where).resolve())
    print("RESULT", 0)


def predict(where, folder, answers):
    """The class and score of every picture of a folder, as a table."""
    learn = load_learner(where)
    files = get_image_files(folder)
    with learn.no_bar():
        scores = learn.get_preds(dl=learn.dls.test_dl(files))[0]
    best = scores.max(1)
    rows = zip(files, [learn.dls.vocab[i] for i in best.indices], best.values.tolist(), strict=True)
    Path(answers).write_text("".join(f"{path},{label},{score:.4f}\n" for path, label, score in rows))
    print("RESULT", len(files))


def one(where, path):
    """The class of one picture."""
    learn = load_learner(where)
    with learn.no_bar():
        label, _, scores = learn.predict(path)
    print(path, label, float(scores.max()))
    print("RESULT", 1)


def loop(steps):
    """Microseconds of a step of `nn.Linear(10, 10)`: with batches that are ready, and with its loader of tensors."""
    torch.set_num_threads(1)
    n = 64 * int(steps)
    x, y = torch.randn(n, 10), torch.randint(0, 10, (n,))
    ready = DataLoader(list(zip(x.split(64), y.split(64), strict=True)), bs=None, shuffle=True, num_workers=0)
    tensors = DataLoader(list(zip(x, y, strict=True)), batch_size=64, shuffle=True, num_workers=0)
    learners = {
        name: Learner(DataLoaders(loader, ready), nn.Linear(10, 10), nn.CrossEntropyLoss())
        for name, loader in (("ready", ready), ("tensors", tensors))
    }

    def block(which):
        learn, times = learners[which], []

        class TrainTime(Callback):
            order = 1000

            def before_train(self):
                times.append(time.perf_counter())

            def after_train(self):
                times.append(time.perf_counter())

            def before_validate(self):
                raise CancelValidException

        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, 1e-3, cbs=TrainTime())
        return 1e6 * (times[1] - times[0]) / int(steps)

    serve(block)


def augment(n, source, size):
    """Seconds of augmenting a batch of uint8 pictures, as its loaders do after the items were collated."""
    steps = [IntToFloatTensor(), *aug_transforms(size=int(size), min_scale=0.75),
             Normalize.from_stats(*imagenet_stats, cuda=False)]  # fmt: skip
    pipeline = Pipeline(steps)
    pipeline.split_idx = 0
    images = torch.randint(0, 256, (int(n), 3, int(source), int(source)), dtype=torch.uint8)

    def block():
        started = time.perf_counter()
        made = pipeline(TensorImage(images))
        assert made.shape[1:] == (3, int(size), int(size))
        assert made.dtype == torch.float32
        return time.perf_counter() - started

    serve(block)


def optimizer(model, steps, threads):
    """Seconds of a step of its Adam on a model's parameters."""
    import timm

    torch.set_num_threads(int(threads))
    parameters = [nn.Parameter(torch.randn(p.shape)) for p in timm.create_model(model).parameters()]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    adam = Adam(parameters, lr=1e-3)

    def block():
        started = time.perf_counter()
        for _ in range(int(steps)):
            adam.step()
        return (time.perf_counter() - started) / int(steps)

    serve(block)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
