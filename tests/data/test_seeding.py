from itertools import islice

import pytest
import torch

from fastcli.data.seeding import BLOCK, derive_seed, generator, seed_device, step_seeds


def test_draws_are_a_function_of_the_keys():
    def draw(*keys):
        return torch.rand(3, generator=generator(7, *keys))

    assert torch.equal(draw(1, 2), draw(1, 2))
    assert not torch.equal(draw(1, 2), draw(2, 1))
    assert 0 <= derive_seed(7, 1, 2) < 2**63


def test_seeding_a_device_gives_what_torchs_seeding_of_all_gives():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(7, 1))
        expected = torch.rand(3)
        seed_device(torch.device("cpu"), derive_seed(7, 1))
        assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (42, 3), (2**32 - 1, 1), (2**32, 2), (2**63 - 1, 7), (2**127, 0)])
def test_seeds_of_steps_are_those_derived_one_by_one(seed, epoch):
    """A training seeded step by step goes on as it always did."""
    made = list(islice(step_seeds(seed, epoch, 2), BLOCK + 3))
    assert made == [derive_seed(seed, epoch, step, 2) for step in range(BLOCK + 3)]
