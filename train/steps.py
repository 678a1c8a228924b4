"""The two steps of training: forward, backward, clip and update, of tokenizer and discriminator."""

from collections.abc import Iterable, Sequence

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor

from ..data.pixels import to_pixels
from .config.run_config import RunConfig
from .losses.discriminator import discriminator_objective
from .losses.generator import generator_objective
from .optimization.optimizer import set_learning_rate
from .run.finite_check import clip_grad_norm
from .run_state import DiscriminatorState, RunState


def tokenizer_step(
    config: RunConfig,
    accelerator: Accelerator,
    state: RunState,
    micro_batches: Iterable[Tensor],
    step: int,
) -> list[tuple[Tensor, Tensor]] | None:
    """Update the tokenizer with the micro-batches of a step.

    Args:
        config: the run.
        accelerator: of the run.
        state: networks, optimizers and averages.
        micro_batches: clips (B, 3, T, H, W) in uint8, of this rank.
        step: of the run, counted from 1.

    Returns:
        Originals and their reconstructions for the discriminator; None if the update is skipped.
    """
    options, optimizer, finite = config.train, state.optimizer, state.finite
    lr = options.learning_rate(step - 1)
    set_learning_rate(optimizer, lr)
    finite.begin()
    terms, indices, pairs = [], [], []
    for clips in micro_batches:
        pixels = to_pixels(clips.to(accelerator.device, non_blocking=True))
        with accelerator.accumulate(state.model), accelerator.autocast():
            output = state.model(pixels, path=config.path(step))
        objective = generator_objective(
            output,
            pixels,
            options.losses,
            step=step - 1,
            perceptual=state.perceptual,
            gan=state.gan,
            last_layer=state.last_layer,
            likelihood=state.likelihood,
            extra=state.extra_losses,
            scaler=accelerator.scaler,
        )
        accelerator.backward(objective.loss)
        finite.add(objective, output)
        terms.append({"loss": objective.loss.detach(), **objective.terms})
        indices += output.encoding.indices or ()
        if state.discriminator is not None:
            pairs.append((pixels, output.reconstructions.detach()))
    accelerator.unscale_gradients(optimizer)
    grad_norm = clip_grad_norm(state.tokenizer, options.grad_clip_norm)
    passes = finite.passes(grad_norm, step)
    if state.likelihood is not None:
        state.likelihood.step(lr, accelerator.scaler, skip=not passes)
    _step(optimizer, accelerator, passes)
    if not passes:
        return None
    for micro_batch in terms:
        state.means.add(micro_batch)
    state.means.add({"gradient_norm": grad_norm})
    for grid in indices:
        state.code_statistics.add(grid)
    return pairs


def discriminator_step(
    config: RunConfig,
    accelerator: Accelerator,
    state: RunState,
    discriminator: DiscriminatorState,
    pairs: Sequence[tuple[Tensor, Tensor]],
    step: int,
) -> None:
    """Update the discriminator with originals and the reconstructions of the same step.

    Args:
        config: the run.
        accelerator: of the run.
        state: where the metrics are added up.
        discriminator: the part of the state to update.
        pairs: originals and reconstructions, by micro-batch.
        step: of the run, counted from 1.
    """
    options, gan, finite = config.train, discriminator.gan, discriminator.finite
    optimizer, updates = discriminator.optimizer, gan.updates(step - 1)
    set_learning_rate(optimizer, options.discriminator_learning_rate(step - 1))
    # The tokenizer's loss leaves gradients in a sharded discriminator.
    optimizer.zero_grad()
    # Before its start the loss has no gradient, and one pass moves LeCam's averages.
    for _ in range(max(1, updates)):
        finite.begin()
        terms = []
        for pixels, reconstruction in pairs:
            with accelerator.accumulate(discriminator.model):
                objective = discriminator_objective(
                    discriminator.model, pixels, reconstruction, gan=gan, step=step - 1
                )
            if updates:
                accelerator.backward(objective.loss)
            finite.add(objective)
            terms.append({"discriminator_loss": objective.loss.detach(), **objective.terms})
        grad_norm = torch.zeros_like(terms[0]["discriminator_loss"])
        if updates:
            accelerator.unscale_gradients(optimizer)
            grad_norm = clip_grad_norm(gan.discriminator, options.discriminator_grad_clip_norm)
        passes = finite.passes(grad_norm, step)
        if updates:
            _step(optimizer, accelerator, passes)
        if not passes:
            return
        for micro_batch in terms:
            state.means.add(micro_batch)
        state.means.add({"discriminator_gradient_norm": grad_norm})


def _step(optimizer: AcceleratedOptimizer, accelerator: Accelerator, passes: bool) -> None:
    """Apply gradients that are finite, and drop others."""
    if passes:
        optimizer.step()
    elif accelerator.scaler is not None:
        accelerator.scaler.update()
    optimizer.zero_grad()
