import torch

from fastcli.data.seeding import derive_seed, generator, seed_device


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
