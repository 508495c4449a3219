"""What `data.py` times: pictures of its own, epochs of every tier, threads that decode, pictures decoded smaller."""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from fastcli.data.encoders import OpenImage
from fastcli.data.loader import Loader
from fastcli.data.sources import Sources
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.image import open_image
from fastcli.transforms.reduced import open_scaled

DISTINCT = 16
"""Files that differ; the others are copies of them."""
LATER = 3
"""Epochs after the first one, of which the median counts."""


def photograph(seed, height=375, width=500):
    """Noise whose energy falls with the frequency as that of photographs does."""
    random = np.random.default_rng(seed)
    frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2)
    frequency[0, 0] = 1
    noise = random.normal(size=(3, *frequency.shape)) + 1j * random.normal(size=(3, *frequency.shape))
    picture = np.fft.irfft2(noise / frequency**1.25, (height, width)).transpose(1, 2, 0)
    picture = 127 + 50 * (picture - picture.mean()) / picture.std()
    return PIL.Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def photographs(folder, n):
    """JPEG files of 500 x 375 pixels."""
    return _copied(folder, n, "jpg", lambda k, path: photograph(k).save(path, quality=90))


def digits(folder, n):
    """PNG files of 28 x 28 pixels, grey."""
    return _copied(folder, n, "png", lambda k, path: photograph(k, 28, 28).convert("L").save(path))


def _copied(folder, n, ending, save):
    folder.mkdir()
    for k in range(DISTINCT):
        save(k, folder / f"original{k}.{ending}")
    data = [(folder / f"original{k}.{ending}").read_bytes() for k in range(DISTINCT)]
    files = [folder / f"{i}.{ending}" for i in range(n)]
    for i, file in enumerate(files):
        file.write_bytes(data[i % DISTINCT])
    return files


def seconds(function):
    """How long it takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def decoded(files, items, threads):
    """Seconds to decode and prepare all files by so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        one = lambda file: items.prepare(open_scaled(file, items.scaling)[0])  # noqa: E731
        return seconds(lambda: list(pool.map(one, files)))


def tier(files, items, name, folder, device="cpu"):
    """Seconds to the first batch of a run, of its first epoch, and of a later one; and whether a file was reused.

    Everything counts from where the store is made.
    """
    started = time.perf_counter()
    sources = Sources([OpenImage()], items, cache=name, cache_folder=folder, device=device)
    loader = Loader(sources.elements([files], files), range(len(files)), items=items, batches=BatchPipeline(),
                    train=True, device=device)  # fmt: skip
    batches = iter(loader)
    next(batches)
    first_batch = time.perf_counter() - started
    for _ in batches:
        pass
    _settle(device)
    first = time.perf_counter() - started
    later = statistics.median(seconds(lambda: _epoch(loader, device)) for _ in range(LATER))
    (store,) = loader.stores
    store.close()
    return {"first batch": first_batch, "first": first, "later": later, "reused": store.reused}


def disk(files, items):
    """What `tier` gives for a run that makes the file, and for the next one, which finds it."""
    with tempfile.TemporaryDirectory() as folder:
        fresh, again = (tier(files, items, "disk", Path(folder)) for _ in range(2))
    assert (fresh["reused"], again["reused"]) == (False, True)
    return fresh, again


def _epoch(loader, device):
    for _ in loader:
        pass
    _settle(device)


def _settle(device):
    if device != "cpu":
        torch.cuda.synchronize()


def opened(path, items, *, smaller):
    """Seconds to open and prepare a picture, decoded smaller or whole."""
    if smaller:
        return seconds(lambda: items.prepare(open_scaled(path, items.scaling)[0]))
    return seconds(lambda: items.prepare(open_image(path)))


def apart(path, items):
    """By how many levels of 255 the two differ, in the mean and at most, and the bytes of the file."""
    smaller = open_scaled(path, items.scaling)[0]
    whole = items.prepare(open_image(path))
    difference = (items.prepare(smaller).as_subclass(torch.Tensor).float() - whole.as_subclass(torch.Tensor)).abs()
    return float(difference.mean()), float(difference.max()), path.stat().st_size


def per_batch(files, items):
    """Sides, seconds an epoch, of a loader whose pixels are in memory and of bare gathers; and how many batches."""
    sources = Sources([OpenImage()], items, cache="ram")
    loader = Loader(sources.elements([files], files), range(len(files)), items=items, batches=BatchPipeline(),
                    train=True)  # fmt: skip
    _epoch(loader, "cpu")
    array = torch.stack([pixels.permute(1, 2, 0) for pixels in loader.stores[0].take(range(len(files)))])
    array = array.as_subclass(torch.Tensor)

    def bare():
        for index in torch.randperm(len(files)).split(64):
            array.index_select(0, index).permute(0, 3, 1, 2).float().mul_(1 / 255)

    return {"loader": lambda: seconds(lambda: _epoch(loader, "cpu")), "bare": lambda: seconds(bare)}, len(loader)
