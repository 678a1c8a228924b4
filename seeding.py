"""Random numbers as pure functions of (seed, step, rank): generators are reseeded at every step.

A resumed run therefore draws what an uninterrupted one would have drawn, whatever else consumed
random numbers.
"""

import hashlib

import torch


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return a 63-bit seed for one step of one rank."""
    digest = hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def shared_draw(seed: int, step: int) -> float:
    """Return a number in [0, 1) for one step, the same on every rank."""
    return step_seed(seed, step, rank=-1) / 2**63


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch's generators for one step."""
    torch.manual_seed(step_seed(seed, step, rank))
