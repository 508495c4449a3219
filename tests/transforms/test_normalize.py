"""Normalisation and channel statistics against torchvision and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from fastcli.errors import ConfigError, DataError
from fastcli.transforms.normalize import CIFAR, IMAGENET, MNIST, Normalize, channel_stats


def test_encode_equals_torchvision_and_decode_undoes_it():
    images = torch.rand(2, 3, 4, 5)
    encoded = IMAGENET.encode(images)
    assert (encoded - functional.normalize(images, IMAGENET.mean_list, IMAGENET.std_list)).abs().max() < 1e-6
    assert (IMAGENET.decode(encoded) - images).abs().max() < 1e-6
    assert (len(CIFAR.mean), len(MNIST.mean)) == (3, 1)


def test_one_number_serves_all_channels():
    assert Normalize([0.5], [0.5]).encode(torch.zeros(1, 4, 2, 2)).unique().tolist() == [-1]


def test_for_channels():
    assert IMAGENET.for_channels(3) == IMAGENET
    assert IMAGENET.for_channels(4).mean == (*IMAGENET.mean, IMAGENET.mean[0])
    assert IMAGENET.for_channels(1).mean[0] == pytest.approx(0.449)


def test_constants_made_under_inference_mode_serve_gradients_too():
    normalize = Normalize([0.123], [0.456])
    with torch.inference_mode():
        normalize.encode(torch.zeros(1, 1, 2, 2))
    images = torch.zeros(1, 1, 2, 2, requires_grad=True)
    normalize.encode(images).sum().backward()
    assert images.grad.unique().item() == pytest.approx(1 / 0.456)


def test_statistics_weigh_every_pixel_alike():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (3, 5 + i, 7), np.uint8) for i in range(4)]
    pixels = np.concatenate([image.reshape(3, -1) for image in images], 1) / 255
    stats = channel_stats(torch.from_numpy(image) for image in images)
    assert stats.mean == pytest.approx(pixels.mean(1))
    assert stats.std == pytest.approx(pixels.std(1))
    batched = channel_stats([torch.from_numpy(np.stack([image[:, :5] for image in images])).float() / 255])
    assert batched.mean == pytest.approx(np.stack([image[:, :5] for image in images]).mean((0, 2, 3)) / 255)


def test_statistics_do_not_drift_over_many_pixels():
    white = torch.full((1, 1000, 1000), 254, dtype=torch.uint8)
    white[0, 0, 0] = 0
    stats = channel_stats([white] * 8)
    share = 1e-6
    assert stats.std[0] == pytest.approx(254 / 255 * (share * (1 - share)) ** 0.5, rel=1e-6)


def test_edge_cases():
    assert channel_stats([torch.zeros(2, 3, 3)]).std == (1.0, 1.0)
    with pytest.raises(DataError, match="no pixels"):
        channel_stats([])
    with pytest.raises(ConfigError, match="as many means as deviations"):
        Normalize([0.5], [0.1, 0.1])
    with pytest.raises(ConfigError, match="above 0"):
        Normalize([0.5], [0.0])
    with pytest.raises(ConfigError, match="normalize has 3 channels and the images have 4"):
        IMAGENET.encode(torch.zeros(1, 4, 2, 2))
