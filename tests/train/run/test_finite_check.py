"""Updates that are not finite are skipped without a trace, or end the run with their cause."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tiny import tiny_tokenizer
from vistok.train.losses.generator import Objective
from vistok.train.run.finite_check import SKIPPED_BY_SCALER, FiniteCheck
from vistok.train.run.run_folder import RunFolder

GOOD = Objective(torch.tensor(1.0), {"l1": torch.tensor(1.0)})
BROKEN = Objective(torch.tensor(torch.nan), {"l1": torch.tensor(torch.nan)})
FINITE, INFINITE = torch.tensor(2.0), torch.tensor(torch.inf)


def finite_check(folder, moved=(), max_skipped=0) -> FiniteCheck:
    accelerator = Accelerator(cpu=True)
    return FiniteCheck(
        "tokenizer",
        moved,
        max_skipped=max_skipped,
        folder=RunFolder(folder),
        accelerator=accelerator,
    )


def update(check: FiniteCheck, objective: Objective, grad_norm: torch.Tensor) -> bool:
    check.begin()
    check.add(objective)
    return check.passes(grad_norm, step=99)


@pytest.mark.parametrize(
    ("objective", "norm", "cause"),
    [
        (BROKEN, FINITE, r"the loss is nan \(l1=nan\) at step 99"),
        (GOOD, INFINITE, "the norm of the gradients is inf at step 99"),
    ],
)
def test_without_an_allowance_the_first_one_ends_the_run(tmp_path, objective, norm, cause):
    check = finite_check(tmp_path)
    assert update(check, GOOD, FINITE)
    with pytest.raises(FloatingPointError, match=cause + "; last good checkpoint: none yet"):
        update(check, objective, norm)


def test_the_allowance_is_for_updates_in_a_row(tmp_path, caplog):
    check = finite_check(tmp_path, max_skipped=2)
    for norm in (INFINITE, INFINITE, FINITE, INFINITE, INFINITE):
        assert update(check, GOOD, norm) == (norm is FINITE)
    assert (check.skipped_in_a_row, check.skipped) == (2, 4)
    assert "step 99: the tokenizer is not updated (2 of 2 in a row): the norm of" in caplog.text
    again = finite_check(tmp_path, max_skipped=2)
    again.load_state_dict(check.state_dict())
    again.reset()
    with pytest.raises(FloatingPointError, match=r"after 2 skipped update\(s\) of the tokenizer"):
        update(again, BROKEN, FINITE)
    assert again.skipped == 0


def test_a_scaler_may_skip_gradients_while_it_searches_but_no_losses(tmp_path):
    check = finite_check(tmp_path)
    check.accelerator.scaler = torch.amp.GradScaler("cpu")  # which fp16 has on GPUs
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        update(check, BROKEN, INFINITE)
    for _ in range(SKIPPED_BY_SCALER):
        assert not update(check, GOOD, INFINITE)
    with pytest.raises(FloatingPointError, match=f"after {SKIPPED_BY_SCALER} skipped"):
        update(check, GOOD, INFINITE)


@pytest.mark.parametrize("how", ["ema", "gradient"])
def test_what_forward_passes_move_is_restored(tmp_path, how):
    bottleneck = {"kind": "vq", "codebook_size": 16, "codebook_dim": 4, "update": how}
    tokenizer = tiny_tokenizer("image", {**bottleneck, "kmeans_init": True}).train()
    norm = nn.BatchNorm1d(3)
    check = finite_check(tmp_path, [tokenizer, norm], max_skipped=1)
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    check.begin()
    tokenizer(torch.randn(2, 3, 1, 32, 32).clamp(-1, 1))
    norm(torch.full((2, 3), torch.nan))
    check.add(GOOD)
    moved = [n for n, v in tokenizer.state_dict().items() if not torch.equal(v, before[n])]
    assert "bottleneck.codebook" in moved
    assert not check.passes(INFINITE, step=99)
    assert all(torch.equal(v, before[n]) for n, v in tokenizer.state_dict().items())
    assert torch.equal(norm.get_buffer("running_mean"), torch.zeros(3))
    assert norm.num_batches_tracked == 0
