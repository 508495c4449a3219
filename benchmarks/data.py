"""The data side without a model: decoding per thread count, and first against later epochs of every tier.

    python benchmarks/data.py [--n 384] [--size 224] [--rounds 3]

Pictures are made here: 500 x 375 JPEG of about 100 kB, with detail that falls with the frequency as in photographs,
read from the page cache. An epoch is every batch of a training loader, with no work between batches. Each ratio is the
time of a first epoch, in which all is decoded, to that of a later one; the rounds take turns, the median is given.
`reused` is the first epoch of a run that finds the file that an earlier one kept.
"""

import argparse
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
from fastcli.learner.allocator import keep_freed_memory
from fastcli.run.environment import cpu_name, usable_cores
from fastcli.transforms.batch import BatchPipeline
from fastcli.transforms.image import open_image
from fastcli.transforms.item import ItemPipeline, Resize
from fastcli.transforms.reduced import open_scaled

DISTINCT = 16
BAR = 10
TIERS = ("ram", "disk", "reused", "off")


def photograph(seed, height=375, width=500):
    random = np.random.default_rng(seed)
    frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2)
    frequency[0, 0] = 1
    noise = random.normal(size=(3, *frequency.shape)) + 1j * random.normal(size=(3, *frequency.shape))
    picture = np.fft.irfft2(noise / frequency**1.25, (height, width)).transpose(1, 2, 0)
    picture = 127 + 50 * (picture - picture.mean()) / picture.std()
    return PIL.Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def make_files(folder, n):
    for k in range(DISTINCT):
        photograph(k).save(folder / f"original{k}.jpg", quality=90)
    data = [(folder / f"original{k}.jpg").read_bytes() for k in range(DISTINCT)]
    for i in range(n):
        (folder / f"{i}.jpg").write_bytes(data[i % DISTINCT])
    return [folder / f"{i}.jpg" for i in range(n)]


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def decoding(files, items, rounds):
    """Pictures decoded and prepared a second, by the number of threads; the first count is always 1."""
    counts = sorted({1, 2, usable_cores()})
    times = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            with ThreadPoolExecutor(count) as pool:
                work = lambda: list(pool.map(lambda f: items.prepare(open_scaled(f, items.scaling)[0]), files))  # noqa: E731
                times[count].append(seconds(work))
    return {count: len(files) / statistics.median(times[count]) for count in counts}


def epochs(files, tier, items, folder, later=3):
    """Seconds of the first epoch of a run, and of one of the later ones."""
    sources = Sources([OpenImage()], items, cache="disk" if tier == "reused" else tier, cache_folder=folder)
    elements = sources.elements([files], files)
    loader = Loader(elements, range(len(files)), items=items, batches=BatchPipeline(), train=True)

    def epoch():
        for _ in loader:
            pass

    first = seconds(epoch)
    rest = [seconds(epoch) for _ in range(later)]
    store = loader.stores[0]
    store.close()
    assert store.reused == (tier == "reused")
    return first, statistics.median(rest)


def tiers(files, items, rounds, kind):
    rows = {tier: [] for tier in TIERS}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for tier in TIERS:
                rows[tier].append(epochs(files, tier, items, Path(folder)))
    reference = statistics.median(first for first, _ in rows["ram"])
    print(f"\n{kind}\ntier      first epoch img/s  later img/s  first : later")
    for tier, pairs in rows.items():
        first, later = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{tier:8}  {len(files) / first:17.0f}  {len(files) / later:11.0f}  {first / later:13.1f}")
    reused = statistics.median(first for first, _ in rows["reused"])
    print(f"decoding : the first epoch of a run that reuses a file  {reference / reused:.1f}")
    return min(statistics.median(f for f, _ in rows[t]) / statistics.median(r for _, r in rows[t])
               for t in ("ram", "disk"))  # fmt: skip


def reduced(rounds):
    """How many times as fast a large photograph is opened when it is decoded smaller."""
    with tempfile.TemporaryDirectory() as folder:
        for (height, width), size in (((1500, 2000), 224), ((3000, 4000), 224)):
            path, items = Path(folder) / "large.jpg", ItemPipeline([Resize(size)])
            photograph(0, height, width).save(path, quality=90)
            whole = [seconds(lambda: items.prepare(open_image(path))) for _ in range(2 * rounds)]  # noqa: B023
            small = [seconds(lambda: open_scaled(path, items.scaling)) for _ in range(2 * rounds)]  # noqa: B023
            ratio = statistics.median(whole) / statistics.median(small)
            print(f"{width} x {height} to {size}: decoded smaller {ratio:.1f} times as fast as whole")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=384)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    keep_freed_memory()  # as the command line does
    print(f"{cpu_name()}, {usable_cores()} cores, torch {torch.__version__}, Pillow {PIL.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder), chosen.n)
        print(f"{chosen.n} pictures of {files[0].stat().st_size // 1000} kB")
        squished, cropped = (ItemPipeline([Resize(chosen.size, method=method)]) for method in ("squish", "crop"))
        rates = decoding(files, cropped, chosen.rounds)
        for count, rate in rates.items():
            print(f"decoded by {count:2} threads: {rate:6.0f} img/s, {rate / rates[1]:.2f} times one thread")
        ratios = [tiers(files, squished, chosen.rounds, f"one size: squished to {chosen.size}"),
                  tiers(files, cropped, chosen.rounds, f"several sizes: {chosen.size} cut at random")]  # fmt: skip
    reduced(chosen.rounds)
    print(f"\nfirst : later, the least of tiers that keep pixels (bar {BAR}): {min(ratios):.1f}")


if __name__ == "__main__":
    main()
