"""Finite checks: broken gradients stop a run, unless a gradient scaler may skip them."""

import pytest
import torch
from accelerate import Accelerator

from vistok.train.run.finite_check import SKIPPED_IN_A_ROW, check_grad_norm
from vistok.train.run.run_folder import RunFolder


def test_a_scaler_may_skip_some_steps_but_not_go_on_skipping(tmp_path):
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu")  # which fp16 has on GPUs
    broken, good = torch.tensor(torch.inf), torch.tensor(1.0)

    def check(norm: torch.Tensor, skipped: int) -> int:
        return check_grad_norm(norm, skipped, accelerator, step=99, folder=RunFolder(tmp_path))

    skipped = 0
    for step in range(SKIPPED_IN_A_ROW):
        skipped = check(broken, skipped)
        assert skipped == step + 1
    assert check(good, skipped) == 0
    with pytest.raises(FloatingPointError, match="norm of the gradients is inf at step 99"):
        check(broken, skipped)
    accelerator.scaler = None
    with pytest.raises(FloatingPointError, match="norm of the gradients is inf at step 99"):
        check(broken, 0)
