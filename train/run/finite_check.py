"""Finite checks: an update that is not finite is skipped on all ranks together, or ends the run.

Losses and gradients of a step are looked at once, before anything is changed. If they are not
finite on one rank, every rank drops the gradients and restores what forward passes move (batch
statistics, codebooks, LeCam's averages). A gradient scaler (fp16) finds its scale by skipping, and
has its own allowance.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ...distributed import all_gather_object, rank_and_world_size
from ...tokenizers.encoding import Output
from ..losses.generator import Objective
from ..optimization.sharding import moving_quantizers, whole
from .run_folder import RunFolder

log = logging.getLogger(__name__)

# Steps in a row that a gradient scaler (fp16) may skip while it searches for its scale.
SKIPPED_BY_SCALER = 20


class FiniteCheck:
    """Decides whether the updates of one network are applied, and counts those that are skipped.

    Args:
        network: its name in messages.
        moved: modules whose buffers (and codebooks) its forward passes change.
        max_skipped: updates in a row that may be skipped.
        folder: of the run.
        accelerator: knows whether there is a scaler.

    Attributes:
        skipped_in_a_row: updates skipped since the last one that was applied.
        skipped: updates skipped since the last call of `reset`.
    """

    def __init__(
        self,
        network: str,
        moved: Sequence[nn.Module],
        *,
        max_skipped: int,
        folder: RunFolder,
        accelerator: Accelerator,
    ) -> None:
        self.network, self.moved, self.max_skipped = network, moved, max_skipped
        self.folder, self.accelerator = folder, accelerator
        self.skipped_in_a_row = self.skipped = 0
        self._objectives: list[Objective] = []
        self._before: list[tuple[Tensor, Tensor]] = []
        self._broken_latents: list[Tensor] = []

    def begin(self) -> None:
        """Remember what forward passes move, if an update may be skipped; call this before them."""
        self._objectives, self._broken_latents, self._before = [], [], []
        if self.max_skipped or self.accelerator.scaler is not None:
            moved = (tensor for module in self.moved for tensor in _moved_by_forward(module))
            self._before = [(tensor, tensor.detach().clone()) for tensor in moved]

    def add(self, objective: Objective, output: Output | None = None) -> None:
        """Take in the loss of a micro-batch; nothing waits for the device.

        Args:
            objective: loss and terms.
            output: of the tokenizer, to tell broken latents from a broken loss.
        """
        # Without the graph, which would be kept until the next step.
        self._objectives.append(replace(objective, loss=objective.loss.detach()))
        if output is not None:
            codes = output.encoding.codes
            self._broken_latents.append(~torch.stack([c.isfinite().all() for c in codes]).all())

    def passes(self, grad_norm: Tensor, step: int) -> bool:
        """Return whether the update is applied, the same on all ranks, which must all call this.

        If not, everything is as it was at `begin` but for the gradients.

        Args:
            grad_norm: norm of all gradients of the network.
            step: of the run.

        Raises:
            FloatingPointError: more updates in a row are not finite than may be skipped.
        """
        loss_is_finite = torch.stack([o.loss for o in self._objectives]).isfinite().all()
        flags = torch.stack([loss_is_finite, grad_norm.isfinite()]).int()
        every: Any = self.accelerator.gather(flags.unsqueeze(0))
        losses, gradients = every.bool().all(dim=0).tolist()  # the one wait for the device
        if losses and gradients:
            self.skipped_in_a_row = 0
            return True
        # All ranks are here, so they can tell each other why.
        rank, cause = self._first_cause(grad_norm)
        if rank_and_world_size()[1] > 1:
            cause += f" on rank {rank}"
        allowed = self.max_skipped
        if losses and self.accelerator.scaler is not None:
            allowed = max(allowed, SKIPPED_BY_SCALER)
        if self.skipped_in_a_row >= allowed:
            raise FloatingPointError(self._refusal(step, cause))
        with torch.no_grad():
            for tensor, before in self._before:
                tensor.copy_(before)
        self.skipped_in_a_row += 1
        self.skipped += 1
        if rank_and_world_size()[0] == 0:
            counted = f"{self.skipped_in_a_row} of {allowed} in a row"
            log.warning(
                "step %d: the %s is not updated (%s): %s", step, self.network, counted, cause
            )
        return False

    def reset(self) -> None:
        """Set the count of skipped updates to zero, that in a row excepted."""
        self.skipped = 0

    def state_dict(self) -> dict[str, int]:
        """Return the counts, for a checkpoint."""
        return {"skipped_in_a_row": self.skipped_in_a_row, "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Restore the counts of a checkpoint."""
        self.skipped_in_a_row, self.skipped = state["skipped_in_a_row"], state["skipped"]

    def _first_cause(self, grad_norm: Tensor) -> tuple[int, str]:
        """Return what is not finite, and on which rank; the same on all ranks."""
        causes = all_gather_object((self._broken_loss(), f"{grad_norm.item()}"))
        for rank, (broken_loss, _) in enumerate(causes):
            if broken_loss is not None:  # whose gradients spread to all ranks
                return rank, broken_loss
        for rank, (_, norm) in enumerate(causes):
            if not math.isfinite(float(norm)):
                return rank, f"the norm of the gradients is {norm}"
        raise AssertionError("called where something is not finite")

    def _broken_loss(self) -> str | None:
        """Return what is not finite in the losses of this rank."""
        for objective in self._objectives:
            if not objective.loss.isfinite():
                values = ", ".join(f"{name}={v.item():g}" for name, v in objective.terms.items())
                cause = f"the loss is {objective.loss.item()} ({values})"
                if any(self._broken_latents):
                    cause = f"the latents are not finite, {cause}"
                return cause
        return None

    def _refusal(self, step: int, cause: str) -> str:
        before = ""
        if self.skipped_in_a_row:
            before = f", after {self.skipped_in_a_row} skipped update(s) of the {self.network}"
        return (
            f"{cause} at step {step}{before}; last good checkpoint: "
            f"{self.folder.newest_checkpoint() or 'none yet'}. Lower train.lr or "
            "train.grad_clip_norm (with --allow-change), inspect the data of this step, or let "
            "train.max_skipped_steps skip such steps"
        )


def clip_grad_norm(network: nn.Module, max_norm: float | None) -> Tensor:
    """Clip the gradients of a network in place, sharded or not; None clips nothing.

    Returns:
        The norm of all gradients together before clipping.
    """
    return whole(clip_grad_norm_(network.parameters(), math.inf if max_norm is None else max_norm))


def _moved_by_forward(module: nn.Module) -> Iterator[Tensor]:
    """Yield all tensors of a module that forward passes may change: buffers, moving codebooks."""
    yield from module.buffers()
    for quantizer in moving_quantizers(module):
        yield from quantizer.parameters()
