"""The training loop: one straight line for every model of the toolkit.

Progress is counted in optimizer steps. Data, random numbers and learning rates are functions of the
step, so a checkpoint is networks, optimizers and averages, and starting again goes on at step k.
"""

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from ..data.pixels import to_pixels
from ..progress import ProgressLine
from ..seeding import seed_step
from ..tokenizers.bottlenecks.bottleneck import NonFiniteLatentsError
from ..tokenizers.code_statistics import CodeStatistics
from .config.run_config import RunConfig
from .losses.discriminator import discriminator_objective
from .losses.generator import generator_objective
from .monitor.best_checkpoint import BestCheckpoint
from .monitor.gan_monitor import GANMonitor
from .monitor.metrics_log import MetricsLog, metrics_row, progress_note
from .monitor.running_means import RunningMeans
from .monitor.throughput import ThroughputMeter
from .monitor.trackers import check_trackers, close_trackers, start_trackers
from .monitor.validation import check_scores, draw_samples, held_out_scores, score_names
from .run.checkpoint import load_checkpoint, save_checkpoint
from .run.export import save_tokenizer
from .run.finite_check import Guard, check_precision, check_resume
from .run.preemption import PreemptionHandler
from .run.run_folder import RunFolder
from .run.training_data import open_training_set, preview_clips, training_batches
from .run_state import build_run_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """How a call of `train` ended.

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
    previous: Path | None = None,
) -> RunResult:
    """Train a tokenizer, or go on with a run that was stopped.

    Args:
        config: the run.
        output: its folder; started again with the same config it resumes exactly.
        device: auto leaves the choice to accelerate; cpu keeps accelerators out of it.
        show_progress: whether to show a bar on stderr.
        previous: folder of the run before, for `start.source: previous`.

    Returns:
        Where the run stands, and the trained tokenizer (EMA weights) if it is finished.

    Raises:
        ValueError: the folder holds another run, or the data does not fit the config.
        FloatingPointError: the latents or the loss are no longer finite.
    """
    options = config.train

    # ---- set up -----------------------------------------------------------------------------
    if device not in ("auto", "cpu"):
        raise ValueError(
            f"train runs on device auto or cpu, got {device!r}; to choose accelerators, "
            "set CUDA_VISIBLE_DEVICES or use accelerate launch"
        )
    check_trackers(options.trackers)
    data_parallel = DistributedDataParallelKwargs(
        find_unused_parameters=config.skips_layers(),
        # Codebooks move alike on all ranks; batch statistics may differ and are not read.
        broadcast_buffers=False,
    )
    AcceleratorState._reset_state()  # or the stage before would settle the precision of this one
    accelerator = Accelerator(
        # Said aloud where there is nothing else, or several CPU processes would not find together.
        cpu=device == "cpu" or not torch.accelerator.is_available(),
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.accumulation_steps,
        log_with=list(options.trackers) or None,
        project_dir=output / "tensorboard",
        kwargs_handlers=[data_parallel],
    )
    check_precision(accelerator)
    check_scores(config, str(accelerator.device))
    world_size = accelerator.num_processes
    dataset = open_training_set(config)
    shown = preview_clips(config, dataset)
    folder = RunFolder(output)
    if accelerator.is_main_process:
        for note in folder.claim(config.to_tree()):
            log.warning("%s", note)
    accelerator.wait_for_everyone()
    if folder.finished(options.steps):
        log.info("%s is finished already", output)
        return RunResult(options.steps, folder.tokenizer)

    # ---- networks, or where they stood ------------------------------------------------------
    newest = folder.newest_checkpoint()
    state = build_run_state(config, accelerator, previous, resumes=newest is not None)
    tokenizer, generator, judge = state.tokenizer, state.generator, state.judge
    start_step = 0
    if newest is not None:
        checkpoint = load_checkpoint(newest)
        start_step = checkpoint["step"]
        check_resume(checkpoint, world_size)
        state.load(checkpoint, accelerator)
        log.info("resuming from %s", newest)
    state.train_mode(options.freeze)
    factor = options.learning_rate_factor()

    # ---- data -------------------------------------------------------------------------------
    micro_steps = options.accumulation_steps
    batches = iter(training_batches(config, dataset, accelerator, start_step))

    # ---- figures ----------------------------------------------------------------------------
    metrics = MetricsLog(folder.metrics, start_step) if accelerator.is_main_process else None
    start_trackers(accelerator, start_step, output)
    group_sizes = tokenizer.quantizer.group_sizes if tokenizer.is_discrete else ()
    code_use, means = CodeStatistics(group_sizes), RunningMeans()
    game_starts = options.adversarial.start_step if judge else options.steps
    watch = GANMonitor(game_starts, metrics.past if metrics else ())
    best = BestCheckpoint(folder.best, config, start_step)
    guard, stop = Guard(accelerator, folder, options.grad_clip_norm), PreemptionHandler()
    progress = ProgressLine(
        "training", options.steps, start_step, show_progress and accelerator.is_main_process
    )
    with progress, stop:
        clock = ThroughputMeter(options.batch_size * micro_steps * world_size)
        for step in range(start_step + 1, options.steps + 1):
            seed_step(options.seed, step, accelerator.process_index)
            seen: list[tuple[Tensor, Tensor]] = []
            with clock.step():
                # ---- generator step ---------------------------------------------------------
                generator.set_rate(factor(step - 1))
                for clips in clock.waiting(islice(batches, micro_steps)):
                    pixels = to_pixels(clips.to(accelerator.device, non_blocking=True))
                    with accelerator.accumulate(generator.model):
                        try:
                            with accelerator.autocast():
                                result = generator.model(pixels, path=config.path(step))
                        except NonFiniteLatentsError as error:
                            raise guard.latents_error(error, step) from error
                        objective = generator_objective(
                            result,
                            pixels,
                            options.losses,
                            step - 1,
                            state.perceptual,
                            state.adversary,
                            state.last_layer,
                        )
                        means.add(generator.learn(objective, step, guard))
                    for grid in result.encoding.indices or ():
                        code_use.add(grid)
                    if judge is not None:
                        seen.append((pixels, result.reconstructions.detach()))

                # ---- discriminator step -----------------------------------------------------
                if judge is not None and state.adversary is not None:
                    judge.set_rate(factor(step - 1))
                    judge.optimizer.zero_grad()
                    for pixels, reconstruction in seen:
                        with accelerator.accumulate(judge.model):
                            objective = discriminator_objective(
                                judge.model, pixels, reconstruction, state.adversary, step - 1
                            )
                            means.add(judge.learn(objective, step, guard))

                # ---- moving average ---------------------------------------------------------
                state.ema.update(tokenizer)
            # A run that was asked to stop saves, and does nothing else that takes time.
            stopped = stop.on_any_rank(accelerator)

            # ---- evaluate -------------------------------------------------------------------
            has_data = config.eval.source is not None and not stopped
            evaluated = has_data and _due(step, config.eval.every_steps, options.steps)
            scores: dict[str, float | None] = dict.fromkeys(score_names(config, tokenizer))
            if evaluated:
                scores |= held_out_scores(config, state.ema.gather(), shown)
            score = scores.get(best.metric)
            if metrics and score is not None:
                best.offer(step, score, state.ema.shadow)

            # ---- log ------------------------------------------------------------------------
            if evaluated or stopped or _due(step, options.log_every_steps, options.steps):
                figures = means.taken()
                counted, code_use = code_use.over_all_ranks(), CodeStatistics(group_sizes)
                use = counted.use().means if counted.num_vectors else {}
                if metrics:
                    rates = {"lr": generator.optimizer.param_groups[0]["lr"]}
                    entry = metrics_row(step, figures, rates, clock.figures(), scores, use)
                    metrics.write(entry)
                    accelerator.log({k: v for k, v in entry.items() if v is not None}, step)
                    watch.look(entry)
                    progress.advance(0, progress_note(entry))
            progress.advance()

            # ---- sample ---------------------------------------------------------------------
            if not stopped and _due(step, options.sample_every_steps, options.steps):
                shadow = state.ema.gather()
                if metrics:
                    draw_samples(config, folder, step, shadow, shown)

            # ---- save -----------------------------------------------------------------------
            if stopped or _due(step, options.checkpoint_every_steps, options.steps):
                kept = {"step": step, "world_size": world_size, **state.collect(accelerator)}
                if metrics:
                    tree = config.to_tree()
                    save_checkpoint(folder.checkpoints, kept, tree, options.keep_last, best.step)
            if stopped:
                log.warning("stopped by a signal after step %d; start again to go on", step)
                close_trackers(accelerator)
                return RunResult(step, None)

    # ---- the trained tokenizer --------------------------------------------------------------
    save_tokenizer(config, folder, state.ema.gather(), dataset, accelerator)
    close_trackers(accelerator)
    return RunResult(options.steps, folder.tokenizer)


def _due(step: int, every: int, last: int) -> bool:
    """Whether something is done after a step."""
    return step % every == 0 or step == last
