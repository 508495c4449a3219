"""fastcli's and plain torch's side of the benchmarks whose sides are workers (see side_by_side.py).

python benchmarks/ours.py loop|augment|optimizer ARGUMENTS
"""

import io
import sys
import time

import torch
from side_by_side import serve
from torch import nn


def loop(steps):
    """Microseconds of a step of `nn.Linear(10, 10)` on batches of 64.

    `raw` is a hand-written loop with torch's fused AdamW, `raw, fastcli's adam` the same with our optimizer and its two
    param groups, `fastcli` a training with the callbacks of a command's run.
    """
    from fastcli.callbacks.progress import Progress
    from fastcli.callbacks.screen import Screen
    from fastcli.callbacks.stop import StopOnSignal, TerminateOnNaN
    from fastcli.data.tensors import DataLoader
    from fastcli.learner.learner import Learner
    from fastcli.learner.recipes import fit_one_cycle
    from fastcli.optim.algorithms import adam
    from fastcli.optim.groups import parameter_groups

    torch.set_num_threads(1)
    n = 64 * int(steps)
    x, y, loss_fn = torch.randn(n, 10), torch.randint(0, 10, (n,)), nn.CrossEntropyLoss()

    def raw(make):
        model = nn.Linear(10, 10)
        optimizer = make(model)

        def epoch():
            for chosen in torch.randperm(n).split(64):
                loss = loss_fn(model(x[chosen]), y[chosen])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()

        return epoch

    shown = [Progress(Screen(io.StringIO())) for _ in range(2)]
    loader = DataLoader(torch.utils.data.TensorDataset(x, y), 64, shuffle=True)
    learner = Learner((loader, None), nn.Linear(10, 10), loss_fn, callbacks=[TerminateOnNaN(), *shown, StopOnSignal()])
    epochs = {
        "raw": raw(lambda model: torch.optim.AdamW(model.parameters(), fused=True)),
        "raw, fastcli's adam": raw(lambda model: adam(parameter_groups([model]))),
        "fastcli": lambda: fit_one_cycle(learner, 1, 1e-3),
    }

    def block(which):
        started = time.perf_counter()
        epochs[which]()
        return 1e6 * (time.perf_counter() - started) / int(steps)

    serve(block)


def augment(contender, n, source, size):
    """Seconds of turning a batch of uint8 pictures into normalised, augmented ones of another size."""
    size = int(size)
    makers = {"fastcli": _our_augmentation, "torchvision v2": _torchvision, "kornia": _kornia}
    transform = makers[contender](size)
    images = torch.randint(0, 256, (int(n), int(source), int(source), 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    images = images if contender == "fastcli" else images.contiguous()

    def block():
        started = time.perf_counter()
        made = transform(images)
        assert made.shape[1:] == (3, size, size)
        assert made.dtype == torch.float32
        return time.perf_counter() - started

    serve(block)


MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
MIN_SCALE = 0.75


def _our_augmentation(size):
    from fastcli.transforms.batch import BatchPipeline, aug_transforms
    from fastcli.transforms.normalize import IMAGENET
    from fastcli.types import Image, typed

    pipeline = BatchPipeline(aug_transforms(size=size, min_scale=MIN_SCALE), IMAGENET)
    generator = torch.Generator().manual_seed(0)
    return lambda images: pipeline((typed(images, Image),), generator, train=True)[0]


def _torchvision(size):
    """Picture by picture, as a data loader's worker does it."""
    from torchvision.transforms import v2

    transform = v2.Compose([
        v2.RandomHorizontalFlip(),
        v2.RandomPerspective(0.2, p=0.75),
        v2.RandomAffine(10, scale=(1.0, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
        v2.RandomResizedCrop(size, scale=(MIN_SCALE, 1.0), ratio=(1.0, 1.0), antialias=True),
        v2.ColorJitter(0.2, 0.2),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    return lambda images: torch.stack([transform(image) for image in images])


def _kornia(size):
    """In batches, as its documentation shows it."""
    from kornia import augmentation as k

    transform = k.AugmentationSequential(
        k.RandomHorizontalFlip(p=0.5),
        k.RandomPerspective(0.2, p=0.75),
        k.RandomAffine(10.0, scale=(1.0, 1.1), p=0.75),
        k.RandomResizedCrop((size, size), scale=(MIN_SCALE, 1.0), ratio=(1.0, 1.0)),
        k.ColorJiggle(0.2, 0.2, p=0.75),
        k.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
        data_keys=["input"],
    )
    return lambda images: transform(images.float() / 255)


def optimizer(model, contender, steps, threads):
    """Seconds of an optimizer step on a model's parameters."""
    import timm

    from fastcli.optim.algorithms import adam, sgd

    torch.set_num_threads(int(threads))
    like_ours = {"lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-5, "weight_decay": 0.01}
    momentum = {"lr": 1e-2, "momentum": 0.9}
    make = {
        "adam": adam,
        "adam, pieces": lambda p: adam(p, fused=False),
        "adam, torch fused": lambda p: torch.optim.AdamW(p, fused=True, **like_ours),
        "adam, torch foreach": lambda p: torch.optim.AdamW(p, foreach=True, **like_ours),
        "adam, torch for-loop": lambda p: torch.optim.AdamW(p, foreach=False, **like_ours),
        "sgd": lambda p: sgd(p, **momentum),
        "sgd, pieces": lambda p: sgd(p, fused=False, **momentum),
        "sgd, torch fused": lambda p: torch.optim.SGD(p, fused=True, **momentum),
        "sgd, torch foreach": lambda p: torch.optim.SGD(p, foreach=True, **momentum),
        "sgd, torch for-loop": lambda p: torch.optim.SGD(p, foreach=False, **momentum),
    }[contender]
    parameters = [nn.Parameter(torch.randn(p.shape)) for p in timm.create_model(model).parameters()]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    made = make(parameters)

    def block():
        started = time.perf_counter()
        for _ in range(int(steps)):
            made.step()
        return (time.perf_counter() - started) / int(steps)

    serve(block)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
