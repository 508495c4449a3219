"""Pictures that are the same to the eye: recompressed, resized, a little brighter, and not byte for byte.

Each picture is made 16 x 16 pixels of grey. Whether each of its 64 slowest waves is above their median is its hash
(pHash); two that differ in at most `DISTANCE` bits have one of `DISTANCE + 1` bands of bits in common, so sorting by
each band brings candidates together. A candidate counts where the small pictures correlate. In a crowded band only the
`NEIGHBOURS` next ones are compared: 100,000 pictures take three seconds, a minute where half of them are nearly one.
On 400 photographs of pets copies of half the size, of quality 40 or brighter differ in at most 4 bits, different ones
in at least 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SIDE = 16
WAVES = 8
DISTANCE = 5
NEIGHBOURS = 256
ALIKE = 0.985
"""Correlation of two small pictures from which on they are taken as the same."""
LEAST_CONTRAST = 3.0
"""Standard deviation of the greys below which a picture tells nothing."""
Pairs = NDArray[np.int64]


def look(grey: NDArray[np.uint8]) -> bytes | None:
    """A picture of `SIDE` squared greys as bytes; None where it has no contrast."""
    return grey.tobytes() if grey.std() >= LEAST_CONTRAST else None


def groups_of_twins(looks: Sequence[bytes]) -> list[list[int]]:
    """Indices of pictures that look the same, each group ascending."""
    places: dict[bytes, list[int]] = {}
    for i, one in enumerate(looks):
        places.setdefault(one, []).append(i)
    same = list(places.values())
    if not same:
        return []
    pixels = np.frombuffer(b"".join(places), np.uint8).reshape(-1, SIDE * SIDE)
    pairs = candidates(hashes_of(pixels))
    groups = joined(pairs[_alike(pixels, pairs)], len(same))
    grouped = {i for group in groups for i in group}
    alone = [members for i, members in enumerate(same) if i not in grouped and len(members) > 1]
    return sorted([*alone, *(sorted(i for g in group for i in same[g]) for group in groups)])


def hashes_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits for each picture: which of its slowest waves, but for the mean, are above their median."""
    place = np.arange(SIDE) + 0.5
    waves = np.stack([np.cos(np.pi * place * u / SIDE) for u in range(WAVES + 1)]).astype(np.float32)
    strength = np.einsum("ui,nij,vj->nuv", waves, pixels.reshape(-1, SIDE, SIDE).astype(np.float32), waves)
    chosen = strength[:, :WAVES, :WAVES].reshape(len(pixels), WAVES**2).copy()
    chosen[:, 0] = strength[:, WAVES, 0]  # in place of the mean
    bits = np.packbits(chosen > np.median(chosen, axis=1, keepdims=True), axis=1)
    return bits.view(np.uint64).reshape(-1)


def candidates(hashes: NDArray[np.uint64], distance: int = DISTANCE, neighbours: int = NEIGHBOURS) -> Pairs:
    """Pairs of indices whose hashes differ in at most `distance` bits, (n, 2), each once.

    >>> candidates(np.array([0b1011, 0b1111, 2**40 - 1], np.uint64)).tolist()
    [[0, 1]]
    """
    edges = np.linspace(0, 64, distance + 2).round().astype(int)
    found = [np.empty((0, 2), np.int64)]
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64(2 ** int(high - low) - 1)
        found.append(_near_in_band(hashes, band, distance, neighbours))
    return np.unique(np.concatenate(found), axis=0)


def _near_in_band(hashes: NDArray[np.uint64], band: NDArray[np.uint64], distance: int, neighbours: int) -> Pairs:
    """Those pairs that have this band of bits in common; equal hashes are sorted side by side."""
    order = np.lexsort((hashes, band))
    band, hashes = band[order], hashes[order]
    active = np.arange(len(order))
    found = []
    for step in range(1, neighbours + 1):
        active = active[active + step < len(order)]
        active = active[band[active] == band[active + step]]
        if not len(active):
            break
        near = active[np.bitwise_count(hashes[active] ^ hashes[active + step]) <= distance]
        found.append(np.sort(np.stack([order[near], order[near + step]], 1), 1))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def _alike(pixels: NDArray[np.uint8], pairs: Pairs, chunk: int = 65536) -> NDArray[np.bool_]:
    """Which pairs of small pictures correlate."""
    alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), chunk):
        some = pairs[start : start + chunk]
        first, second = (_standardised(pixels[some[:, side]]) for side in (0, 1))
        alike[start : start + chunk] = (first * second).mean(1) >= ALIKE
    return alike


def are_twins(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the small pictures `others`, a row each, look the same as `one`."""
    hashes = hashes_of(np.concatenate([one[None], others]))
    near: NDArray[np.bool_] = np.bitwise_count(hashes[1:] ^ hashes[0]) <= DISTANCE
    near[near] = (_standardised(one[None]) * _standardised(others[near])).mean(1) >= ALIKE
    return near


def _standardised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = pixels.astype(np.float32)
    centred = values - values.mean(1, keepdims=True)
    standardised: NDArray[np.float32] = centred / centred.std(1, keepdims=True)
    return standardised


def joined(pairs: Pairs, n: int) -> list[list[int]]:
    """The groups that chains of pairs make among `n` things.

    >>> joined(np.array([(0, 1), (3, 4), (1, 5)]), 6)
    [[0, 1, 5], [3, 4]]
    """
    if not len(pairs):
        return []
    first, second = pairs[:, 0], pairs[:, 1]
    lowest = np.arange(n)
    while True:
        low = np.minimum(lowest[first], lowest[second])
        if (low == lowest[first]).all() and (low == lowest[second]).all():
            break
        np.minimum.at(lowest, first, low)
        np.minimum.at(lowest, second, low)
        lowest = lowest[lowest]
    groups: dict[int, list[int]] = {}
    for i in np.unique(pairs).tolist():
        groups.setdefault(int(lowest[i]), []).append(i)
    return sorted(groups.values())
