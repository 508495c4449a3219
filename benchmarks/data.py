"""The data side without a model: epochs whose pictures are decoded against later ones, for every tier.

    python benchmarks/data.py [--pictures 384] [--size 224]

Pictures are made here, with detail that falls with the frequency as in photographs: JPEG of 500 x 375, read from the
page cache. An epoch is every batch of a training loader, with no work between batches; the first one counts from where
the store is made. `disk, reused` is a run that finds the file which an earlier one kept; its ratio is that of the run
which had to decode. Then: decoding by the number of threads, large JPEG files decoded smaller, and what a loader adds
to a bare gather of small pictures.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from side_by_side import Ratio, arguments, bar, in_turn, last, settled, table

BAR = 10


def main():
    parser = arguments(__doc__, rounds=5, peers=False)
    parser.add_argument("--pictures", type=int, default=384)
    parser.add_argument("--size", type=int, default=224)
    given = settled(parser)
    if given.quick:
        given.pictures, given.size = 24, 64
    from fastcli.learner.allocator import keep_freed_memory

    keep_freed_memory()  # as the command line does
    with tempfile.TemporaryDirectory() as scratch:
        ratios = tiers(given, Path(scratch))
        threads(given, Path(scratch))
        smaller(given, Path(scratch))
        small(given, Path(scratch))
    worst = min(ratios, key=lambda ratio: ratio.middle)
    bar("a first epoch / a later one, the worst tier that keeps pixels", worst, least=BAR)
    last(worst, "seconds of the epoch that decodes over those of a later one, the worst tier that keeps pixels")


def tiers(given, scratch):
    """The table of tiers, pictures of one size and of several; the ratios of those that keep pixels."""
    import data_side
    import torch

    from fastcli.transforms.item import ItemPipeline, Resize

    files, ratios = data_side.photographs(scratch / "photographs", given.pictures), []
    for method, kind in (("squish", "one size"), ("crop", "several sizes, cut at random")):
        run = partial(data_side.tier, files, ItemPipeline([Resize(given.size, method=method)]), folder=None)
        sides = {"ram": partial(run, name="ram"), "off": partial(run, name="off"),
                 "disk": partial(data_side.disk, *run.args)}  # fmt: skip
        if torch.cuda.is_available():
            sides["device"] = partial(run, name="device", device="cuda")
        found = in_turn(sides, given.rounds, say=given.quick)
        found["disk, fresh"], found["disk, reused"] = zip(*found.pop("disk"), strict=True)
        rows = []
        for name in ("device", "ram", "disk, fresh", "disk, reused", "off"):
            cells, ratio = row(found, name, given.pictures)
            rows.append([name, *cells])
            ratios += [ratio] if ratio is not None and name != "off" else []
        print()
        table([kind, "first batch, ms", "first epoch, img/s", "later, img/s", "first : later"], rows)
    return ratios


def row(found, name, n):
    """The figures of a tier, and its ratio; none without a GPU for the tier that needs one."""
    if name not in found:
        return ["n/a", "n/a", "n/a", "n/a: no GPU"], None
    runs = found[name]
    decoded = found["disk, fresh"] if name == "disk, reused" else runs
    ratio = Ratio.of([run["first"] for run in decoded], [run["later"] for run in runs])
    first_batch, first, later = (median(run[key] for run in runs) for key in ("first batch", "first", "later"))
    return [f"{1e3 * first_batch:.0f}", f"{n / first:.0f}", f"{n / later:.0f}", ratio], ratio


def threads(given, scratch):
    """How many pictures are decoded a second, by the number of threads."""
    import data_side

    from fastcli.run.environment import usable_cores
    from fastcli.transforms.item import ItemPipeline, Resize

    files = sorted((scratch / "photographs").glob("[0-9]*.jpg"))
    counts = sorted({1, 2, usable_cores()})
    work = {count: partial(data_side.decoded, files, ItemPipeline([Resize(given.size)]), count) for count in counts}
    found = in_turn({str(count): side for count, side in work.items()}, given.rounds, say=given.quick)
    rows = [[name, f"{len(files) / median(times):.0f}", Ratio.of(found["1"], times)] for name, times in found.items()]
    print()
    table(["threads that decode", "img/s", "x one"], rows)


def smaller(given, scratch):
    """Large JPEG files decoded smaller against decoded whole."""
    import data_side

    from fastcli.transforms.item import ItemPipeline, Resize

    items, rows = ItemPipeline([Resize(given.size)]), []
    for height, width in ((300, 400),) if given.quick else ((1500, 2000), (3000, 4000)):
        for quality in (75, 90):
            path = scratch / "large.jpg"
            data_side.photograph(0, height, width).save(path, quality=quality)
            sides = {name: partial(data_side.opened, path, items, smaller=name == "smaller")
                     for name in ("smaller", "whole")}  # fmt: skip
            found = in_turn(sides, 3 * given.rounds, say=False)
            mean, most, size = data_side.apart(path, items)
            rows.append([f"{width} x {height}, {size // 1000} kB", *(f"{1e3 * median(t):.1f}" for t in found.values()),
                         Ratio.of(found["whole"], found["smaller"]), f"{mean:.2f}", f"{most:.0f}"])  # fmt: skip
    head = [f"JPEG opened for {given.size} pixels", "smaller, ms", "whole, ms", "whole : smaller", "differ by", "most"]
    print()
    table(head, rows)


def small(given, scratch):
    """What a loader takes for a batch of 64 pictures of 28 x 28 pixels in memory."""
    import data_side

    from fastcli.transforms.item import ItemPipeline

    files = data_side.digits(scratch / "digits", 256 if given.quick else 6400)
    sides, n = data_side.per_batch(files, ItemPipeline())
    found = in_turn(sides, 4 * given.rounds, say=False)
    ratio = Ratio.of(found["loader"], found["bare"])
    rows = [[name, f"{1e6 * median(times) / n:.0f}"] for name, times in found.items()]
    print()
    table(["64 of 28 x 28 from memory", "µs a batch"], [*rows, ["loader : bare", ratio]])
    print()


if __name__ == "__main__":
    main()
