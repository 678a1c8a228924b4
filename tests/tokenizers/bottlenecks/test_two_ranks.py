"""Two processes with half the batch each learn, and count, what one learns from the whole batch."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ranks import run_ranks

PROGRAM = Path(__file__).parents[2] / "support" / "two_ranks.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Any]:
    """What one process, and each of two, wrote."""
    return run_ranks(PROGRAM, tmp_path_factory.mktemp("ranks"))


def test_every_rank_holds_the_same_codebook_to_the_bit(results):
    for name, state in results["0-of-2"]["codebooks"].items():
        other = results["1-of-2"]["codebooks"][name]
        assert all(torch.equal(state[key], other[key]) for key in state), name


def test_the_ema_codebook_is_that_of_the_global_batch(results):
    one, two = (results[run]["codebooks"]["plain"] for run in ("0-of-1", "0-of-2"))
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gq", "ibq"])
def test_the_codebook_entropy_and_its_gradient_are_those_of_the_global_batch(results, kind):
    one = results["0-of-1"]["entropies"][kind]
    for run in ("0-of-2", "1-of-2"):
        value, gradient = results[run]["entropies"][kind]
        torch.testing.assert_close(value, one[0])
        torch.testing.assert_close(gradient, one[1], rtol=1e-4, atol=1e-6)


def test_statistics_add_up_over_ranks(results):
    assert results["0-of-2"]["statistics"] == results["1-of-2"]["statistics"]
    for ours, theirs in zip(
        results["0-of-2"]["statistics"], results["0-of-1"]["statistics"], strict=True
    ):
        assert ours == pytest.approx(theirs)
