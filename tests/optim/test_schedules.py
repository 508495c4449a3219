"""Schedules against fastai's closed formulae."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastcli.errors import ConfigError
from fastcli.optim.schedules import (
    combine,
    combined_cosine,
    constant,
    cosine,
    exponential,
    flat_cosine,
    linear,
    one_cycle,
    polynomial,
    restarts,
    shaped,
    warmup_cosine,
)

PROGRESS = st.floats(0, 1)
VALUE = st.floats(1e-6, 1e3)


@given(start=VALUE, end=VALUE, progress=PROGRESS)
def test_the_simple_ones(start, end, progress):
    close = pytest.approx
    assert constant(start)(progress) == start
    assert linear(start, end)(progress) == close(start + progress * (end - start))
    assert cosine(start, end)(progress) == close(start + (1 + math.cos(math.pi * (1 - progress))) * (end - start) / 2)
    assert exponential(start, end)(progress) == close(start * (end / start) ** progress)
    assert polynomial(start, end, 3)(progress) == close(start + (end - start) * progress**3)


@pytest.mark.parametrize("make", [linear, cosine, exponential])
def test_they_begin_and_end_where_they_say(make):
    assert make(0.3, 7)(0) == pytest.approx(0.3)
    assert make(0.3, 7)(1) == pytest.approx(7)


def test_combine_gives_each_its_share():
    schedule = combine([0.3, 0.2, 0.5], [linear(0, 1), constant(5), linear(1, 0)])
    assert [schedule(p) for p in (0, 0.15, 0.3, 0.4, 0.5, 0.75, 1)] == pytest.approx([0, 0.5, 5, 5, 1, 0.5, 0])


def test_combine_skips_an_empty_share():
    assert combine([0.0, 1.0], [constant(1), constant(2)])(0) == 2
    assert combine([1.0, 0.0], [constant(1), constant(2)])(1) == 1


@pytest.mark.parametrize("pcts", [[0.5, 0.4], [1.0], [1.5, -0.5]])
def test_combine_refuses_shares_that_do_not_fit(pcts):
    with pytest.raises(ConfigError, match="do not divide a fit among 2 schedules"):
        combine(pcts, [constant(1), constant(2)])


@given(progress=PROGRESS, pct=st.floats(0.01, 0.99))
def test_one_cycle_is_two_cosines(progress, pct):
    if progress < pct:
        part, start, end = progress / pct, 0.1 / 25, 0.1
    else:
        part, start, end = (progress - pct) / (1 - pct), 0.1, 0.1 / 1e5
    wanted = start + (1 + math.cos(math.pi * (1 - part))) * (end - start) / 2
    assert one_cycle(0.1, pct_start=pct)(progress) == pytest.approx(wanted, abs=1e-12)
    assert combined_cosine(pct, 0.1 / 25, 0.1, 0.1 / 1e5)(progress) == pytest.approx(wanted, abs=1e-12)


def test_one_cycle_with_other_divisors():
    schedule = one_cycle(1.0, div=5, div_final=100, pct_start=0.3)
    assert [schedule(p) for p in (0, 0.3, 1)] == pytest.approx([0.2, 1.0, 0.01])


def test_flat_cosine_is_flat_then_falls():
    schedule = flat_cosine(0.1)
    assert [schedule(p) for p in (0, 0.5, 0.7499)] == [0.1, 0.1, 0.1]
    assert schedule(0.875) == pytest.approx((0.1 + 1e-6) / 2)
    assert schedule(1) == pytest.approx(1e-6)


def test_a_boundary_belongs_to_the_next_schedule_however_it_is_rounded():
    """0.1 + 0.2 is more than 3/10 in floating point, and 1/49·49 less than 1."""
    assert combine([0.1, 0.2, 0.7], [constant(1), constant(2), linear(3, 4)])(3 / 10) == pytest.approx(3)
    for n in range(1, 60):
        schedule = restarts(1.0, [1] * n)
        assert [schedule(i / n) for i in range(n)] == pytest.approx([1.0] * n)


def torch_rates(make, steps):
    """The rates of one of torch's schedulers, step by step, for a rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_warmup_and_cosine_are_torchs():
    def make(optimizer):
        line = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, 1.0, total_iters=5)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 45, eta_min=1e-5)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [line, fall], [5])

    schedule = warmup_cosine(1.0, warmup=0.1, div=100, div_final=1e5)
    assert [schedule(i / 50) for i in range(50)] == pytest.approx(torch_rates(make, 50), abs=1e-5)
    assert warmup_cosine(1.0, warmup=0)(0) == 1


@pytest.mark.parametrize("mult", [1, 2])
def test_restarts_are_torchs(mult):
    def make(optimizer):
        return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10, mult)

    lengths = [10 * mult**k for k in range(3)]
    rates = torch_rates(make, sum(lengths))
    assert [restarts(1.0, lengths)(i / sum(lengths)) for i in range(sum(lengths))] == pytest.approx(rates, abs=1e-5)


def test_a_shape_by_name():
    assert repr(shaped("polynomial", 0, 1, 3)) == "polynomial(0, 1, 3)"
    assert [shaped(name, 1, 2)(0) for name in ("linear", "cosine", "exponential")] == [1, 1, 1]
    assert shaped("constant", 2)(0.5) == 2
    with pytest.raises(ConfigError, match="all but a constant one need an end"):
        shaped("linear", 1)
    with pytest.raises(ConfigError, match="all but a constant one need an end"):
        shaped("constant", 1, 2)


def test_an_exponential_needs_one_sign():
    with pytest.raises(ConfigError, match="cannot go from 0 to 1"):
        exponential(0, 1)


def test_they_print_what_made_them():
    assert repr(one_cycle(0.1)) == "one_cycle(0.1, div=25, div_final=100000, pct_start=0.25)"
    assert repr(combine([0.5, 0.5], [linear(0, 1), constant(1)])) == "combine([0.5, 0.5], [linear(0, 1), constant(1)])"
    assert eval(repr(cosine(1e-7, 10)))(1) == 10
