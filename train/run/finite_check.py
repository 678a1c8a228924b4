"""Checks that losses, gradients and latents are finite; they name step and last good checkpoint."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ...tokenizers.bottlenecks.bottleneck import NonFiniteLatentsError
from ..losses.generator import Objective
from ..optimization.sharding import whole
from .run_folder import RunFolder

# Steps in a row that a gradient scaler (fp16) may skip while it searches for its scale.
SKIPPED_IN_A_ROW = 20


@contextmanager
def at_step(step: int, folder: RunFolder) -> Iterator[None]:
    """Add step and last good checkpoint to the error of a bottleneck that got broken latents.

    Raises:
        NonFiniteLatentsError: instead of the one raised inside.
    """
    try:
        yield
    except NonFiniteLatentsError as error:
        raise NonFiniteLatentsError(f"at step {step}: {error}; {_last_good(folder)}") from error


def check_finite(objective: Objective, step: int, folder: RunFolder) -> None:
    """Stop the run before a broken loss reaches the weights.

    Raises:
        FloatingPointError: the loss is not finite; names all its terms.
    """
    if torch.isfinite(objective.loss):
        return
    values = ", ".join(f"{name}={value.item():g}" for name, value in objective.terms.items())
    raise FloatingPointError(
        f"the loss is {objective.loss.item()} at step {step} ({values}); "
        f"{_last_good(folder)}. Lower train.lr or train.grad_clip_norm"
    )


def clip_grad_norm(network: nn.Module, max_norm: float | None) -> Tensor:
    """Clip the gradients of a network in place, sharded or not; None clips nothing.

    Returns:
        The norm of all gradients together before clipping.
    """
    return whole(clip_grad_norm_(network.parameters(), math.inf if max_norm is None else max_norm))


def check_grad_norm(
    grad_norm: Tensor, skipped: int, accelerator: Accelerator, *, step: int, folder: RunFolder
) -> int:
    """Stop the run before broken gradients reach the weights.

    A gradient scaler (fp16) skips the step of broken gradients by itself and lowers its scale; only
    many in a row mean that no scale helps.

    Args:
        grad_norm: norm of all gradients of a network.
        skipped: the count that the last call for this network returned, 0 at first.
        accelerator: knows whether there is a scaler.
        step: of the run.
        folder: of the run.

    Returns:
        The number of steps in a row that were skipped, this one included.

    Raises:
        FloatingPointError: the norm is not finite, and there is no scaler or it skipped too many.
    """
    if torch.isfinite(grad_norm):
        return 0
    allowed = 0 if accelerator.scaler is None else SKIPPED_IN_A_ROW
    if skipped >= allowed:
        raise FloatingPointError(
            f"the norm of the gradients is {grad_norm.item()} at step {step}; "
            f"{_last_good(folder)}. Lower train.lr, or inspect the data of this step"
        )
    return skipped + 1


def _last_good(folder: RunFolder) -> str:
    return f"last good checkpoint: {folder.newest_checkpoint() or 'none yet'}"
