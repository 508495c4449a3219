"""Metrics of numbers and points against scikit-learn, in uneven batches."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
import torch

from fastcli.registry import metrics
from fastcli.types import TargetInfo

ONE = TargetInfo("regression", 1)
TWO = TargetInfo("regression", 2)
POINTS = TargetInfo("points", 4)
GENERATOR = torch.Generator().manual_seed(0)
PREDICTIONS = torch.randn(103, 1, generator=GENERATOR)
VALUES = torch.randn(103, generator=GENERATOR) + PREDICTIONS[:, 0]
PAIRS = torch.randn(103, 2, generator=GENERATOR)
TRUE_PAIRS = torch.randn(103, 2, generator=GENERATOR) + PAIRS
REFERENCES = {
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2_score": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
    "pearson_corrcoef": lambda truth, predictions: np.corrcoef(truth, predictions)[0, 1],
}


@pytest.mark.parametrize("name", REFERENCES)
def test_one_number(figure, name):
    for predictions in (PREDICTIONS, PREDICTIONS.bfloat16()):
        got = figure(metrics.build(name, ONE), predictions, VALUES)
        wanted = REFERENCES[name](VALUES.numpy(), predictions[:, 0].float().numpy())
        assert got == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "mae", "r2_score", "explained_variance"])
def test_several_numbers(figure, name):
    got = figure(metrics.build(name, TWO), PAIRS, TRUE_PAIRS)
    assert got == pytest.approx(REFERENCES[name](TRUE_PAIRS, PAIRS), rel=1e-6)


def test_msle_and_relative_error_of_logarithms(figure):
    predictions, truth = PREDICTIONS.exp(), VALUES.exp()
    wanted = sk.mean_squared_log_error(truth, predictions[:, 0])
    assert figure(metrics.build("msle", ONE), predictions, truth) == pytest.approx(wanted, rel=1e-6)
    relative = (truth.double() - predictions[:, 0].double()) / truth.double()
    wanted = relative.square().mean().sqrt().item()
    assert figure(metrics.build("exp_rmspe", ONE), PREDICTIONS, VALUES) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["r2_score", "explained_variance", "pearson_corrcoef"])
def test_numbers_far_from_zero_keep_their_figure(figure, name):
    """A sum of squares in float32 loses the variance of years such as 1990 ± 2."""
    far = figure(metrics.build(name, ONE), PREDICTIONS.double() + 65536, VALUES.double() + 65536)
    predictions, values = (PREDICTIONS + 65536) - 65536, (VALUES + 65536) - 65536
    assert far == pytest.approx(REFERENCES[name](values.numpy(), predictions[:, 0].numpy()), rel=1e-6)


def test_targets_that_do_not_vary(figure):
    flat = torch.full((103,), 0.5)
    for name in ("r2_score", "explained_variance"):
        assert figure(metrics.build(name, ONE), PREDICTIONS, flat) == 0
        assert figure(metrics.build(name, ONE), flat.unsqueeze(1), flat) == 1
    assert figure(metrics.build("pearson_corrcoef", ONE), PREDICTIONS, flat) == 0


def test_sums_are_exact_over_a_large_set():
    metric = metrics.build("mae", ONE)
    for _ in range(200):
        metric.update(torch.full((5000, 1), 0.1), torch.zeros(5000))
    assert metric.compute() == pytest.approx(torch.tensor(0.1).item(), abs=1e-12)


def test_distance_of_points(figure):
    predictions, truth = torch.rand(103, 4) * 2 - 1, torch.rand(103, 2, 2) * 2 - 1
    apart = predictions.reshape(-1, 2, 2) - truth
    got = figure(metrics.build("point_distance", POINTS), predictions, truth)
    assert got == pytest.approx(apart.norm(dim=2).mean().item(), rel=1e-6)
    in_pixels = apart * torch.tensor([64.0, 32.0]) / 2  # x over the width, y over the height
    got = figure(metrics.build("point_distance", POINTS, size=(32, 64)), predictions, truth)
    assert got == pytest.approx(in_pixels.norm(dim=2).mean().item(), rel=1e-6)
    assert metrics.check("point_distance", size=128) == {"size": 128}


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "r2_score", "explained_variance", "pearson_corrcoef"])
def test_points_count_by_coordinate(figure, name):
    predictions, truth = torch.rand(20, 4), torch.rand(20, 2, 2)
    got = figure(metrics.build(name, POINTS), predictions, truth)
    assert got == figure(metrics.build(name, TargetInfo("regression", 4)), predictions, truth.flatten(1))


@pytest.mark.parametrize("name", ["mae", "r2_score"])
def test_nothing_is_kept_and_nothing_read(name):
    metric = metrics.build(name, ONE)
    assert math.isnan(metric.compute())
    metric.update(PREDICTIONS.clone().requires_grad_(), VALUES)
    kept = [value for value in vars(metric).values() if isinstance(value, torch.Tensor)]
    assert kept
    assert not any(value.requires_grad for value in kept)
    metric.reset()
    assert math.isnan(metric.compute())
    for _ in range(2):  # on the meta device any read raises
        metric.update(torch.zeros(3, 1, device="meta"), torch.zeros(3, device="meta"))


def test_which_way_is_better():
    better = {name for name in REFERENCES if metrics.build(name, ONE).higher_is_better}
    assert better == {"r2_score", "explained_variance", "pearson_corrcoef"}
