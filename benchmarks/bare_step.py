"""The bare side of first_step.py: the same imports, network and pictures as a training, and one step.

python benchmarks/bare_step.py FOLDER MODEL SIZE BATCH; prints FIRST and the monotonic clock
"""

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import timm
import torch
import torchvision  # noqa: F401 - as a training does
from PIL import Image
from torch import nn
from torchvision.transforms.v2 import functional


def picture(path, size):
    with Image.open(path) as opened:
        opened.draft("RGB", (size, size))
        tensor = functional.pil_to_tensor(opened.convert("RGB"))
    return functional.center_crop(functional.resize(tensor, size, antialias=True), [size, size])


def main(folder, model, size, batch_size):
    torch.manual_seed(0)
    size, batch_size = int(size), int(batch_size)
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = random.Random(0).sample(paths, batch_size)
    network = timm.create_model(model, num_classes=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    with ThreadPoolExecutor(2) as pool:
        images = torch.stack(list(pool.map(lambda path: picture(path, size), chosen)))
    images = (images.float() / 255 - 0.45) / 0.225
    targets = torch.tensor([path.name[0].isupper() for path in chosen]).long()
    nn.functional.cross_entropy(network(images), targets).backward()
    optimizer.step()
    print(f"FIRST {time.monotonic()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
