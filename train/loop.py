"""The training loop: one straight line for every model of the toolkit.

Progress is counted in optimizer steps. Data, random numbers and learning rates are functions of the
step, so a checkpoint holds networks, optimizers and averages, and a resumed run starts at step k.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..data.pixels import to_pixels
from ..distributed import run_on_main_process
from ..progress import ProgressLine
from ..rank_failure import watch_ranks
from ..seeding import seed_step
from .config.changed_settings import last_change
from .config.run_config import RunConfig
from .losses.discriminator import discriminator_objective
from .losses.generator import generator_objective
from .monitor.best_checkpoint import BestCheckpoint
from .monitor.gan_monitor import GANMonitor
from .monitor.metrics_log import MetricsLog, metrics_row, progress_note
from .monitor.throughput import ThroughputMeter
from .monitor.trackers import close_trackers, start_trackers
from .monitor.validation import Validation, check_scores
from .optimization.optimizer import set_learning_rate
from .run.accelerator import build_accelerator
from .run.checkpoint import save_checkpoint, set_aside_later
from .run.export import save_tokenizer
from .run.finite_check import at_step, check_finite, check_grad_norm, clip_grad_norm
from .run.preemption import PreemptionHandler
from .run.run_folder import RunFolder
from .run.training_data import open_training_data, preview_clips
from .run_state import open_run_state

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


def train(
    config: RunConfig,
    output: Path,
    device: str = "auto",
    show_progress: bool = True,
    *,
    previous: Path | None = None,
    from_checkpoint: int | None = None,
    allow_change: Sequence[str] = (),
) -> RunResult:
    """Train a tokenizer, or resume a run that was stopped.

    Args:
        config: the run.
        output: its folder; started again with the same config, the run resumes exactly.
        device: auto leaves the choice to accelerate; cpu keeps the run off accelerators.
        show_progress: whether to show a progress bar on stderr.
        previous: folder of the previous stage, for `start.source: previous`.
        from_checkpoint: step to resume from; None resumes from the newest checkpoint.
        allow_change: settings that may differ from those of the run, see `resume_rules`.

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
    tree = config.to_tree()
    resume = run_on_main_process(lambda: folder.check(tree, from_checkpoint, allow_change))
    if from_checkpoint is None and run_on_main_process(lambda: folder.finished(options.steps)):
        run_on_main_process(lambda: folder.claim(tree, resume))
        log.info("%s is already finished", output)
        return RunResult(options.steps, folder.tokenizer)

    # ---- networks, new or from the newest checkpoint ----------------------------------------
    state, start_step = open_run_state(config, accelerator, previous, resume)
    run_on_main_process(lambda: folder.claim(tree, resume))  # nothing is refused any more
    if is_main:
        set_aside_later(folder.checkpoints, start_step)
    tokenizer, model, optimizer, ema = state.tokenizer, state.model, state.optimizer, state.ema
    discriminator, means, codes = state.discriminator, state.means, state.code_statistics
    lr_factor, discriminator_lr = options.learning_rate_factor(), options.discriminator_lr()
    skipped = d_skipped = 0  # steps in a row that a gradient scaler skipped

    # ---- data and monitoring ----------------------------------------------------------------
    batches = iter(data.batches(start_step))
    start_trackers(accelerator, start_step, output)
    changes = folder.changes() if is_main else ()
    metrics_log = MetricsLog(folder.metrics, start_step, changes) if is_main else None
    validation = Validation(
        held_out, path_mode=options.path_mode, preview=preview, size=size, frames=frames
    )
    best = BestCheckpoint(folder.best, held_out, size, start_step)
    discriminator_start = options.adversarial.start_step if discriminator else options.steps
    switched_on = last_change(changes, "train.losses.adversarial_weight")
    discriminator_start = max(discriminator_start, switched_on)
    gan_monitor = GANMonitor(discriminator_start, metrics_log.past if metrics_log else ())
    throughput = ThroughputMeter(world_size)
    preemption = PreemptionHandler()
    progress = ProgressLine("training", options.steps, start_step, show_progress and is_main)

    with progress, preemption:
        for step in range(start_step + 1, options.steps + 1):
            # ---- tokenizer step -------------------------------------------------------------
            throughput.start_step()
            seed_step(options.seed, step, accelerator.process_index)
            lr = options.lr * lr_factor(step - 1)
            set_learning_rate(optimizer, lr)
            micro_batches: list[tuple[Tensor, Tensor]] = []
            for clips in throughput.waiting(islice(batches, options.accumulation_steps)):
                pixels = to_pixels(clips.to(accelerator.device, non_blocking=True))
                with accelerator.accumulate(model), accelerator.autocast(), at_step(step, folder):
                    result = model(pixels, path=config.path(step))
                objective = generator_objective(
                    result,
                    pixels,
                    options.losses,
                    step=step - 1,
                    perceptual=state.perceptual,
                    gan=state.gan,
                    last_layer=state.last_layer,
                    likelihood=state.likelihood,
                )
                check_finite(objective, step, folder)
                accelerator.backward(objective.loss)
                means.add({"loss": objective.loss.detach(), **objective.terms})
                for grid in result.encoding.indices or ():
                    codes.add(grid)
                if discriminator is not None:
                    micro_batches.append((pixels, result.reconstructions.detach()))
            accelerator.unscale_gradients(optimizer)
            grad_norm = clip_grad_norm(tokenizer, options.grad_clip_norm)
            skipped = check_grad_norm(grad_norm, skipped, accelerator, step=step, folder=folder)
            if state.likelihood is not None:
                state.likelihood.step(lr, accelerator.scaler, skip=skipped > 0)
            optimizer.step()
            optimizer.zero_grad()
            means.add({"gradient_norm": grad_norm})

            # ---- discriminator step ---------------------------------------------------------
            if discriminator is not None:
                gan, updates = discriminator.gan, discriminator.gan.updates(step - 1)
                set_learning_rate(discriminator.optimizer, discriminator_lr(step - 1))
                # The tokenizer's loss leaves gradients in a sharded discriminator.
                discriminator.optimizer.zero_grad()
                # Before its start the loss has no gradient, and one pass moves LeCam's averages.
                for _ in range(max(1, updates)):
                    for pixels, reconstruction in micro_batches:
                        with accelerator.accumulate(discriminator.model):
                            objective = discriminator_objective(
                                discriminator.model, pixels, reconstruction, gan=gan, step=step - 1
                            )
                        check_finite(objective, step, folder)
                        if updates:
                            accelerator.backward(objective.loss)
                        means.add({"discriminator_loss": objective.loss.detach()})
                        means.add(objective.terms)
                    grad_norm = torch.zeros_like(grad_norm)
                    if updates:
                        accelerator.unscale_gradients(discriminator.optimizer)
                        max_norm = options.discriminator_grad_clip_norm
                        grad_norm = clip_grad_norm(gan.discriminator, max_norm)
                        d_skipped = check_grad_norm(
                            grad_norm, d_skipped, accelerator, step=step, folder=folder
                        )
                        discriminator.optimizer.step()
                        discriminator.optimizer.zero_grad()
                    means.add({"discriminator_gradient_norm": grad_norm})

            # ---- moving average -------------------------------------------------------------
            ema.update(tokenizer)
            throughput.end_step()
            # A run that was asked to stop saves, and does nothing else that takes time.
            stopped = preemption.on_any_rank(accelerator)

            # ---- evaluate -------------------------------------------------------------------
            has_data = held_out.source is not None and not stopped
            evaluated = has_data and _due(step, held_out.every_steps, options.steps)
            scores: dict[str, float | None] = dict.fromkeys(validation.names(tokenizer))
            if evaluated:
                scores |= validation.scores(ema.gather())
            score = scores.get(best.metric)
            if is_main and score is not None:
                best.update(step, score, ema.shadow)

            # ---- log ------------------------------------------------------------------------
            if evaluated or stopped or _due(step, options.log_every_steps, options.steps):
                metrics, usage = means.compute_and_reset(), codes.over_all_ranks()
                codes.reset()
                lrs = {"lr": optimizer.param_groups[0]["lr"]}
                if discriminator is not None:
                    lrs["discriminator_lr"] = discriminator_lr(step - 1)
                if metrics_log is not None:
                    row = metrics_row(
                        step,
                        means=metrics,
                        lrs=lrs,
                        speed=throughput.compute_and_reset(),
                        scores=scores,
                        codebook_use=usage.use().means if usage.num_vectors else {},
                    )
                    metrics_log.write(row)
                    accelerator.log({k: v for k, v in row.items() if v is not None}, step)
                    gan_monitor.update(row)
                    progress.advance(0, progress_note(row))
            progress.advance()

            # ---- sample ---------------------------------------------------------------------
            if not stopped and _due(step, options.sample_every_steps, options.steps):
                averaged = ema.gather()
                if is_main:
                    validation.draw(folder.sample_grid(step), averaged)

            # ---- save -----------------------------------------------------------------------
            if stopped or _due(step, options.checkpoint_every_steps, options.steps):
                checkpoint = {"step": step, "world_size": world_size}
                checkpoint |= state.state_dict(accelerator)
                if is_main:
                    save_checkpoint(
                        folder.checkpoints,
                        checkpoint,
                        config.to_tree(),
                        keep_last=options.keep_last,
                        protect_step=best.step,
                    )
            if stopped:
                log.warning("stopped by a signal after step %d; start again to resume", step)
                close_trackers(accelerator)
                return RunResult(step, None)

    # ---- export -----------------------------------------------------------------------------
    save_tokenizer(folder, ema.gather(), data)
    close_trackers(accelerator)
    return RunResult(options.steps, folder.tokenizer)


def _due(step: int, every: int, last: int) -> bool:
    """Return whether a periodic task runs after a step; every task runs after the last one."""
    return step % every == 0 or step == last
