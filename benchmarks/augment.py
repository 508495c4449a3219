"""Time of augmenting one batch, as ratios to ours: python benchmarks/augment.py [--device cuda].

All turn the same uint8 pictures of 292 x 292 into normalised float ones of 224 x 224, with flips, rotation, zoom, warp,
a random crop, brightness and contrast:

- ours: one matrix and one resampling per sample, one pass for lighting and normalisation;
- fastai-like: its operations written out in plain torch (float first, a resampling at 292, a linear solve per image
  for the warp, one crop for the whole batch and a second resampling; its reads of device values included);
- torchvision v2: its transforms, picture by picture, as a data loader's worker does it.

The contenders take turns, so that a busy machine slows all of them alike; the median over the rounds is printed with
the range between the quartiles.
"""

import argparse
import math
import platform
import statistics
import time

import torch
import torch.nn.functional as F  # noqa: N812
from torchvision.transforms import v2

from fastcli.transforms.batch import BatchPipeline, aug_transforms
from fastcli.transforms.normalize import IMAGENET
from fastcli.types import Image, typed

SOURCE, SIZE, MIN_SCALE = 292, 224, 0.75


def ours(device):
    pipeline = BatchPipeline(aug_transforms(size=SIZE, min_scale=MIN_SCALE), IMAGENET)
    generator = torch.Generator().manual_seed(0)
    return lambda images: pipeline((images,), generator, train=True)[0]


def torchvision_v2(device):
    transform = v2.Compose([
        v2.RandomHorizontalFlip(),
        v2.RandomPerspective(0.2, p=0.75),
        v2.RandomAffine(10, scale=(1.0, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
        v2.RandomResizedCrop(SIZE, scale=(MIN_SCALE, 1.0), ratio=(1.0, 1.0), antialias=True),
        v2.ColorJitter(0.2, 0.2),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(IMAGENET.mean_list, IMAGENET.std_list),
    ])  # fmt: skip
    return lambda images: torch.stack([transform(image) for image in images.as_subclass(torch.Tensor)])


def fastai_like(device):
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))

    def augment(images):
        x = images.as_subclass(torch.Tensor).float().div_(255)
        x = sample(x, warped(F.affine_grid(affine(len(x), device), x.shape, align_corners=True)))
        side = round(math.sqrt(torch.empty(()).uniform_(MIN_SCALE, 1).item()) * SOURCE)
        top, left = torch.randint(0, SOURCE - side + 1, (2,)).tolist()
        x = x[..., top : top + side, left : left + side]
        identity = torch.eye(3, device=device)[:2].expand(len(x), 2, 3)
        x = sample(x, F.affine_grid(identity, (*x.shape[:2], SIZE, SIZE), align_corners=True))
        return (lit(x) - mean) / std

    return augment


def masked(values, p, neutral):
    return torch.where(torch.rand_like(values) < p, values, neutral)


def affine(n, device):
    new = lambda low, high: torch.empty(n, device=device).uniform_(low, high)  # noqa: E731
    zero, one = torch.zeros(n, device=device), torch.ones(n, device=device)
    build = lambda *entries: torch.stack([torch.stack(entries[i : i + 3], 1) for i in (0, 3, 6)], 1)  # noqa: E731
    flip = build(1 - 2 * masked(one, 0.5, 0), zero, zero, zero, one, zero, zero, zero, one)
    angle = masked(new(-10, 10), 0.75, 0) * math.pi / 180
    rotation = build(angle.cos(), angle.sin(), zero, -angle.sin(), angle.cos(), zero, zero, zero, one)
    scale = 1 / masked(new(1, 1.1), 0.75, 1)
    across, down = (1 - scale) * (2 * new(0, 1) - 1), (1 - scale) * (2 * new(0, 1) - 1)
    zoom = build(scale, zero, across, zero, scale, down, zero, zero, one)
    return (flip @ rotation @ zoom)[:, :2]


def warped(grid):
    n, one = len(grid), torch.ones(len(grid), device=grid.device)
    zero = torch.zeros_like(one)
    x, y = (masked(torch.empty(n, device=grid.device).uniform_(-0.2, 0.2), 0.75, 0) for _ in range(2))
    targets = [(-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x), (1 - y, 1 - x)]
    rows = []
    for (p, q), (u, v) in zip([(-1, -1), (-1, 1), (1, -1), (1, 1)], targets, strict=True):
        rows.append(torch.stack([u, v, one, zero, zero, zero, -p * u, -p * v], 1))
        rows.append(torch.stack([zero, zero, zero, u, v, one, -q * u, -q * v], 1))
    corners = torch.tensor([-1.0, -1, -1, 1, 1, -1, 1, 1], device=grid.device).expand(n, 8)[..., None]
    matrix = torch.cat([torch.linalg.solve(torch.stack(rows, 1), corners)[..., 0], one[:, None]], 1).view(n, 3, 3)
    points = grid.view(n, -1, 2)
    points = points @ matrix[..., :2].transpose(1, 2) + matrix[..., 2].unsqueeze(1)
    if (points[..., 2] == 0).any():
        return grid
    return (points[..., :2] / points[..., 2:]).view(grid.shape)


def sample(images, grid):
    zoom = 2 / (grid.max() - grid.min()).item()
    reduction = min(images.shape[-2] / grid.shape[1], images.shape[-1] / grid.shape[2]) / 2
    if reduction > 1 and reduction > zoom:
        images = F.interpolate(images, scale_factor=1 / reduction, mode="area", recompute_scale_factor=True)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


def lit(images):
    new = lambda low, high: torch.empty(len(images), device=images.device).uniform_(low, high)  # noqa: E731
    level, factor = masked(new(0.4, 0.6), 0.75, 0.5), masked(new(math.log(0.8), -math.log(0.8)).exp(), 0.75, 1)
    logits = -(1 / images.clamp(1e-7, 1 - 1e-7) - 1).log()
    shift = -(1 / level - 1).log()
    return torch.sigmoid((logits + shift[:, None, None, None]) * factor[:, None, None, None])


CONTENDERS = {"ours": ours, "fastai-like": fastai_like, "torchvision v2": torchvision_v2}


def pictures(n, device):
    pixels = torch.randint(0, 256, (n, SOURCE, SOURCE, 3), dtype=torch.uint8)
    return typed(pixels.permute(0, 3, 1, 2).to(device), Image)


def measure(images, rounds):
    device = images.device
    augments = {name: make(device) for name, make in CONTENDERS.items()}
    times = {name: [] for name in augments}
    for round_ in range(rounds + 1):
        for name, augment in augments.items():
            start = time.perf_counter()
            assert augment(images).shape[1:] == (3, SIZE, SIZE)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first is a warm-up
                times[name].append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    times = measure(pictures(arguments.batch_size, torch.device(arguments.device)), arguments.rounds)
    where = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else platform.processor() or "cpu"
    print(f"torch {torch.__version__}, {where}, {torch.get_num_threads()} threads, batches of {arguments.batch_size}")
    base = statistics.median(times["ours"])
    for name, taken in times.items():
        low, middle, high = (1e3 * quantile for quantile in statistics.quantiles(taken, n=4))
        rate = 1e3 * arguments.batch_size / middle
        print(f"{name:16}{middle:7.1f} ms ({low:.1f}-{high:.1f}) {rate:7.0f} img/s {middle / 1e3 / base:6.2f} x ours")


if __name__ == "__main__":
    main()
