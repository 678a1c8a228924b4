"""Two processes with half the batch each train the discriminator as one does with all of it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ranks import run_ranks

PROGRAM = Path(__file__).parents[1] / "support" / "two_rank_game.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Any]:
    """What one process, and each of two, wrote."""
    return run_ranks(PROGRAM, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("way", ["replicated", "sharded", "mean_logit"])
def test_gradients_averages_and_the_adaptive_weight_are_those_of_the_global_batch(results, way):
    """Through DDP and through FSDP2, R1 and a pass before the start included."""
    one = results["0-of-1"]["mean_logit" if way == "mean_logit" else "replicated"]
    assert one["lecam.real"] != 0
    for run in ("0-of-2", "1-of-2"):
        two = results[run][way]
        assert two.keys() == one.keys()
        for name in one:
            assert one[name].any(), name
            torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)


def test_every_rank_holds_the_same_averages_to_the_bit(results):
    for name in ("lecam.real", "lecam.fake", "logvar"):
        ours, theirs = (results[run]["replicated"][name] for run in ("0-of-2", "1-of-2"))
        assert torch.equal(ours, theirs)


def test_statistics_over_all_ranks_are_refused_on_several_cpus(results):
    assert results["0-of-1"]["refusal"] == ""
    assert "norm=sync_batch takes statistics over GPUs only" in results["0-of-2"]["refusal"]
