"""Guards: what stops a run before it loses something, naming step and last good checkpoint."""

import logging
import math

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ...tokenizers.bottlenecks.bottleneck import NonFiniteLatentsError
from ..losses.generator import Objective
from ..optimization.sharding import whole
from .checkpoint import State
from .run_folder import RunFolder

log = logging.getLogger(__name__)

# Steps in a row that a gradient scaler may skip while it looks for its scale.
SKIPPED_IN_A_ROW = 20


def check_precision(accelerator: Accelerator) -> None:
    """Raise where accelerate would quietly train in fp32 instead."""
    precision = accelerator.mixed_precision
    if precision != "no" and not accelerator.native_amp:
        raise ValueError(
            f"train.mixed_precision={precision} is not to be had on {accelerator.device.type}; "
            "take bf16 or no"
        )


def check_resume(state: State, world_size: int) -> None:
    """Say aloud in what a run that goes on from a checkpoint differs from an undisturbed one."""
    if world_size != state["world_size"]:
        log.warning(
            "this run had %d process(es) so far and goes on with %d: from here on batches are "
            "others than in an undisturbed run",
            state["world_size"],
            world_size,
        )


class Guard:
    """Stops a run whose figures are no longer finite, naming step, term and last good checkpoint.

    Args:
        accelerator: takes the steps; its scaler (fp16) skips broken ones by itself.
        folder: of the run.
        grad_clip_norm: what the norm of all gradients together is bounded to; None bounds nothing.
    """

    def __init__(
        self, accelerator: Accelerator, folder: RunFolder, grad_clip_norm: float | None
    ) -> None:
        self.accelerator, self.folder = accelerator, folder
        self.grad_clip_norm = math.inf if grad_clip_norm is None else grad_clip_norm
        self._skipped = 0

    def check_loss(self, objective: Objective, step: int) -> None:
        """Stop before a broken loss reaches the weights."""
        if torch.isfinite(objective.loss):
            return
        values = ", ".join(f"{name}={value.item():g}" for name, value in objective.terms.items())
        raise FloatingPointError(
            f"the loss is {objective.loss.item()} at step {step} ({values}); "
            f"{self._last_good()}. Lower train.lr or train.grad_clip_norm"
        )

    def clipped_norm(self, network: nn.Module, step: int) -> Tensor:
        """Bound the gradients, and stop before broken ones reach the weights.

        With a scaler (fp16) a broken step is skipped and the next one scaled less; only many in a
        row are a sign that no scale helps.

        Returns:
            The norm of all gradients together before they were bounded.
        """
        norm = whole(clip_grad_norm_(network.parameters(), self.grad_clip_norm))
        self._skipped = 0 if torch.isfinite(norm) else self._skipped + 1
        allowed = 0 if self.accelerator.scaler is None else SKIPPED_IN_A_ROW
        if self._skipped > allowed:
            raise FloatingPointError(
                f"the norm of the gradients is {norm.item()} at step {step}; {self._last_good()}. "
                "Lower train.lr, or look at the data of this step"
            )
        return norm

    def latents_error(self, error: ValueError, step: int) -> NonFiniteLatentsError:
        """The same error, with what the loop knows."""
        return NonFiniteLatentsError(f"at step {step}: {error}; {self._last_good()}")

    def _last_good(self) -> str:
        return f"last good checkpoint: {self.folder.newest_checkpoint() or 'none yet'}"
