"""The training loop: one straight line for every model of the toolkit.

Progress is counted in optimizer steps. Data, random numbers and learning rates are functions of the
step, so a checkpoint holds networks, optimizers and averages, and a resumed run starts at step k.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor

from ..data.pixels import to_pixels
from ..distributed import run_on_main_process
from ..rank_failure import watch_ranks
from ..seeding import seed_step
from .config.run_config import RunConfig
from .losses.discriminator import discriminator_objective
from .losses.generator import generator_objective
from .monitor.trackers import close_trackers
from .monitor.validation import check_scores
from .optimization.optimizer import set_learning_rate
from .reporter import Reporter, is_due
from .run.accelerator import build_accelerator
from .run.checkpoint import save_checkpoint, set_aside_later
from .run.determinism import deterministic_where_set
from .run.export import save_tokenizer
from .run.finite_check import clip_grad_norm
from .run.preemption import PreemptionHandler
from .run.run_folder import RunFolder
from .run.training_data import open_training_data, preview_clips
from .run_state import DiscriminatorState, RunState, open_run_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """The end of a call of `train`.

    Attributes:
        step: the last step taken.
        tokenizer: folder of the trained tokenizer; None when a signal stopped the run before its
            end.
    """

    step: int
    tokenizer: Path | None


@deterministic_where_set
def train(
    config: RunConfig,
    output: Path,
    device: str = "auto",
    show_progress: bool = True,
    *,
    previous: Path | None = None,
    from_checkpoint: int | None = None,
) -> RunResult:
    """Train a tokenizer, or resume a run that was stopped.

    Args:
        config: the run.
        output: its folder; started again with the same config, the run resumes exactly.
        device: auto leaves the choice to accelerate; cpu keeps the run off accelerators.
        show_progress: whether to show a progress bar on stderr.
        previous: folder of the previous stage, for `start.source: previous`.
        from_checkpoint: step to resume from; None resumes from the newest checkpoint.

    Returns:
        The last step, and the trained tokenizer (EMA weights) if the run is finished.

    Raises:
        ValueError: the folder holds another run or a damaged one, or the data does not fit the
            config.
        FloatingPointError: the latents, the loss or the gradients are no longer finite.
    """
    # ---- set up -----------------------------------------------------------------------------
    options, held_out = config.train, config.eval
    size, frames = config.held_out_size, config.data.frames
    accelerator = build_accelerator(options, device, output / "tensorboard", config.skips_layers())
    watch_ranks()
    is_main, world_size = accelerator.is_main_process, accelerator.num_processes
    check_scores(held_out, size, frames, str(accelerator.device))
    data = open_training_data(config.data, options, accelerator.process_index, world_size)
    preview = preview_clips(data.dataset, held_out.source, size, frames)
    folder = RunFolder(output)
    # What the first rank finds in the folder counts for all, wherever the others look.
    resume = run_on_main_process(lambda: folder.check(config.to_tree(), from_checkpoint))
    if run_on_main_process(lambda: from_checkpoint is None and folder.finished(options.steps)):
        run_on_main_process(lambda: folder.claim(config.to_tree()))
        log.info("%s is already finished", output)
        return RunResult(options.steps, folder.tokenizer)

    # ---- networks, new or from a checkpoint -------------------------------------------------
    state, start_step = open_run_state(config, accelerator, folder, previous, resume)
    run_on_main_process(lambda: folder.claim(config.to_tree()))  # nothing is refused any more
    if is_main:
        set_aside_later(folder.checkpoints, start_step)
    reporter = Reporter(
        config,
        accelerator,
        folder,
        state,
        preview=preview,
        start_step=start_step,
        show_progress=show_progress,
    )
    batches = reporter.throughput.waiting(iter(data.batches(start_step)))
    preemption = PreemptionHandler()

    with reporter.progress, preemption:
        if reporter.is_pending:
            reporter.report(start_step)
        for step in range(start_step + 1, options.steps + 1):
            # ---- one step of both networks and of the average -------------------------------
            reporter.throughput.start_step()
            seed_step(options.seed, step, accelerator.process_index)
            micro_batches = islice(batches, options.accumulation_steps)
            pairs = tokenizer_step(config, accelerator, state, micro_batches, step)
            if pairs is not None:
                if state.discriminator is not None:
                    discriminator_step(config, accelerator, state, state.discriminator, pairs, step)
                state.ema.update(state.tokenizer)
            reporter.throughput.end_step()
            reporter.progress.advance()
            # A run that was asked to stop saves, and does nothing else that takes time.
            stopped = preemption.on_any_rank(accelerator)

            # ---- save, then report ----------------------------------------------------------
            if stopped or is_due(step, options.checkpoint_every_steps, options.steps):
                checkpoint = {"step": step, "world_size": world_size}
                checkpoint |= state.state_dict(accelerator)
                if is_main:
                    save_checkpoint(
                        folder.checkpoints,
                        checkpoint,
                        config.to_tree(),
                        keep_last=options.keep_last,
                        protect_step=reporter.best.step,
                    )
            reporter.report(step, stopped)
            if stopped:
                log.warning("stopped by a signal after step %d; start again to resume", step)
                close_trackers(accelerator)
                return RunResult(step, None)

    # ---- export -----------------------------------------------------------------------------
    save_tokenizer(folder, state.ema.gather(), data)
    close_trackers(accelerator)
    return RunResult(options.steps, folder.tokenizer)


def tokenizer_step(
    config: RunConfig,
    accelerator: Accelerator,
    state: RunState,
    micro_batches: Iterable[Tensor],
    step: int,
) -> list[tuple[Tensor, Tensor]] | None:
    """Update the tokenizer with the micro-batches of a step.

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
    """Update the discriminator with originals and the reconstructions of the same step."""
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
