"""Random numbers are functions of seed, step and rank."""

import torch

from vistok.seeding import seed_step, step_seed


def test_every_step_and_rank_has_its_own_random_numbers():
    seeds = {step_seed(s, step, r) for s in range(3) for step in range(5) for r in range(2)}
    assert len(seeds) == 30
    seed_step(1, 2, 3)
    first = torch.rand(3)
    torch.rand(100)
    seed_step(1, 2, 3)
    assert torch.equal(torch.rand(3), first)
