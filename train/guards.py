"""Guards: what stops a run before it loses something, naming step and last good checkpoint."""

import logging
import math

import torch
from accelerate import Accelerator

from ..tokenizers.quantizer import NonFiniteLatentsError
from .checkpoint import State
from .objective import Objective
from .run_folder import RunFolder

log = logging.getLogger(__name__)


def check_resume(state: State, steps: int, world_size: int) -> None:
    """Refuse, or say aloud, what a checkpoint cannot be continued with."""
    if steps < state["step"]:
        raise ValueError(
            f"train.steps={steps} lies before the run's checkpoint of step {state['step']}; "
            "choose another --output to train a shorter run"
        )
    if world_size != state["world_size"]:
        log.warning(
            "this run had %d process(es) so far and goes on with %d: from here on batches are "
            "others than in an undisturbed run",
            state["world_size"],
            world_size,
        )


def check_loss(objective: Objective, step: int, folder: RunFolder) -> None:
    """Stop before a broken loss reaches the weights."""
    if torch.isfinite(objective.loss):
        return
    values = ", ".join(f"{name}={value.item():g}" for name, value in objective.terms.items())
    raise FloatingPointError(
        f"the loss is {objective.loss.item()} at step {step} ({values}); "
        f"{_last_good(folder)}. Lower train.lr or train.grad_clip_norm"
    )


def check_gradients(norm: float, accelerator: Accelerator, step: int, folder: RunFolder) -> None:
    """Stop before broken gradients reach the weights; with a scaler (fp16) it skips such steps."""
    if math.isfinite(norm) or accelerator.scaler is not None:
        return
    raise FloatingPointError(
        f"the norm of the gradients is {norm} at step {step}; {_last_good(folder)}. "
        "Lower train.lr, or look at the data of this step"
    )


def _last_good(folder: RunFolder) -> str:
    return f"last good checkpoint: {folder.newest_checkpoint() or 'none yet'}"


def name_latents_error(error: ValueError, step: int, folder: RunFolder) -> NonFiniteLatentsError:
    """The same error, with what the loop knows."""
    return NonFiniteLatentsError(f"at step {step}: {error}; {_last_good(folder)}")
