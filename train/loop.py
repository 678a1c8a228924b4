"""The training loop: one straight line for every model of the toolkit.

Progress is counted in optimizer steps. Data, random numbers and learning rate are functions of the
step, so a checkpoint is weights, optimizer and EMA, and starting again is going on at step k.
"""

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from ..data.order import BatchPositions
from ..data.pixels import to_pixels, to_uint8
from ..data.training_loader import training_loader
from ..eval.harness import evaluate
from ..progress import ProgressLine
from ..tokenizers.code_statistics import CodeStatistics
from ..tokenizers.quantizer import NonFiniteLatentsError
from ..tokenizers.tokenizer import VisualTokenizer
from .checkpoint import load_checkpoint, save_checkpoint
from .ema import EMA
from .guards import check_gradients, check_loss, check_resume, name_latents_error
from .log_entry import log_entry, progress_note
from .metrics_log import MetricsLog
from .objective import Objective, generator_objective
from .optimizer import build_optimizer, set_learning_rate
from .run_config import RunConfig
from .run_data import open_training_set, shown_clips
from .run_folder import RunFolder
from .sample_grid import write_sample_grid
from .schedule import learning_rate_factor
from .seeding import seed_step
from .stop_signal import StopSignal
from .throughput_clock import ThroughputClock

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
    config: RunConfig, output: Path, device: str = "auto", show_progress: bool = True
) -> RunResult:
    """Train a tokenizer, or go on with a run that was stopped.

    Args:
        config: the run.
        output: its folder; started again with the same config it resumes exactly.
        device: auto leaves the choice to accelerate; cpu keeps accelerators out of it.
        show_progress: whether to show a bar on stderr.

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
    torch.manual_seed(options.seed)
    tokenizer = config.build_tokenizer()
    # An image leaves the temporal layers of a video tokenizer without gradient.
    unused = DistributedDataParallelKwargs(
        find_unused_parameters=tokenizer.temporal_compression > 1
    )
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.accumulation_steps,
        kwargs_handlers=[unused],
    )
    rank, world_size = accelerator.process_index, accelerator.num_processes
    dataset = open_training_set(config)
    shown = shown_clips(config, dataset)
    folder = RunFolder(output)
    if accelerator.is_main_process:
        for note in folder.claim(config.to_tree()):
            log.warning("%s", note)
    accelerator.wait_for_everyone()

    # ---- model ------------------------------------------------------------------------------
    ema = EMA(tokenizer, options.ema_decay, options.ema_warmup)
    ema.shadow.to(accelerator.device)
    optimizer = build_optimizer(
        tokenizer, options.optimizer_recipe, options.lr, options.lr_factors.model_dump()
    )
    factor = learning_rate_factor(
        options.schedule,
        options.warmup_steps,
        options.steps,
        options.final_lr_factor,
        options.warmup_start,
    )
    model, optimizer = accelerator.prepare(tokenizer, optimizer)

    # ---- resume -----------------------------------------------------------------------------
    start_step = 0
    newest = folder.newest_checkpoint()
    if newest is not None:
        state = load_checkpoint(newest)
        start_step = state["step"]
        check_resume(state, options.steps, world_size)
        tokenizer.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        ema.shadow.load_state_dict(state["ema"])
        ema.num_updates = state["ema_updates"]
        if accelerator.scaler is not None and state["scaler"] is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        log.info("resuming from %s", newest)
    metrics = MetricsLog(folder.metrics, start_step) if accelerator.is_main_process else None

    # ---- data: step k of the run begins at micro-step k * accumulation_steps ---------------------
    micro_steps = options.accumulation_steps
    positions = BatchPositions(
        options.batch_size,
        start_step * micro_steps,
        options.steps * micro_steps,
        rank,
        world_size,
        dataset.schedule,
    )
    loader = training_loader(dataset, positions, config.data.workers, config.data.max_bad)
    batches = iter(loader)

    group_sizes = tokenizer.quantizer.group_sizes if tokenizer.is_discrete else ()
    code_use = CodeStatistics(group_sizes)
    stop = StopSignal()
    model.train()
    progress = ProgressLine(
        "training", options.steps, start_step, show_progress and accelerator.is_main_process
    )
    norm = 0.0
    with progress, stop:
        clock = ThroughputClock(options.batch_size * micro_steps * world_size)
        for step in range(start_step + 1, options.steps + 1):
            # ---- generator step -------------------------------------------------------------
            seed_step(options.seed, step, rank)
            lr = options.lr * factor(step - 1)
            set_learning_rate(optimizer, lr)
            objectives: list[Objective] = []
            with clock.step():
                for clips in clock.waiting(islice(batches, micro_steps)):
                    pixels = to_pixels(clips.to(accelerator.device, non_blocking=True))
                    with accelerator.accumulate(model):
                        try:
                            with accelerator.autocast():
                                result = model(pixels)
                        except NonFiniteLatentsError as error:
                            raise name_latents_error(error, step, folder) from error
                        for grid in result.encoding.indices or ():
                            code_use.add(grid)
                        objective = generator_objective(result, pixels, options.losses)
                        check_loss(objective, step, folder)
                        objectives.append(objective.detached())
                        accelerator.backward(objective.loss)
                        if accelerator.sync_gradients:
                            norm = _clip_gradients(accelerator, model, options.grad_clip_norm)
                            check_gradients(norm, accelerator, step, folder)
                        optimizer.step()
                        optimizer.zero_grad()

                # ---- moving average ---------------------------------------------------------
                ema.update(accelerator.unwrap_model(model))
            stopped = _on_any_rank(stop.requested, accelerator)
            last = step == options.steps or stopped

            # ---- log, evaluate --------------------------------------------------------------
            evaluated = config.eval.source is not None and (
                step % config.eval.every_steps == 0 or last
            )
            logged = step % options.log_every_steps == 0 or evaluated or last
            use: dict[str, float] = {}
            if logged and group_sizes:
                use = code_use.over_all_ranks().use().means
                code_use = CodeStatistics(group_sizes)
            if metrics and logged:
                scores = _scores(config, ema.shadow) if evaluated else {}
                entry = log_entry(step, objectives, norm, lr, clock.figures(), scores, use)
                metrics.write(entry)
                progress.advance(0, progress_note(entry))
            progress.advance()

            # ---- sample ---------------------------------------------------------------------
            if metrics and (step % options.sample_every_steps == 0 or last):
                _draw(folder, step, ema.shadow, shown)

            # ---- save -----------------------------------------------------------------------
            if metrics and (step % options.checkpoint_every_steps == 0 or last):
                state = {
                    "step": step,
                    "world_size": world_size,
                    "model": accelerator.unwrap_model(model).state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "ema": ema.shadow.state_dict(),
                    "ema_updates": ema.num_updates,
                    "scaler": accelerator.scaler and accelerator.scaler.state_dict(),
                }
                save_checkpoint(
                    folder.checkpoints, step, state, config.to_tree(), options.keep_last
                )
            if stopped:
                log.warning("stopped by a signal after step %d; start again to go on", step)
                accelerator.end_training()
                return RunResult(step, None)

    # ---- the trained tokenizer --------------------------------------------------------------
    if accelerator.is_main_process:
        ema.shadow.save_pretrained(folder.tokenizer)
    accelerator.end_training()
    return RunResult(options.steps, folder.tokenizer)


def _on_any_rank(flag: bool, accelerator: Accelerator) -> bool:
    """Whether the flag is set on some rank, so that all of them leave at the same step."""
    if accelerator.num_processes == 1:
        return flag
    flags: Any = accelerator.gather(torch.tensor([flag], device=accelerator.device))
    return bool(flags.any())


def _clip_gradients(accelerator: Accelerator, model: torch.nn.Module, limit: float) -> float:
    """Bound the norm of all gradients together and return what it was."""
    norm = accelerator.clip_grad_norm_(model.parameters(), limit)
    return float("nan") if norm is None else float(norm)


def _scores(config: RunConfig, tokenizer: VisualTokenizer) -> dict[str, float]:
    assert config.eval.source is not None, "called only where held-out data is configured"
    size = config.eval.size or config.data.size
    return evaluate(
        config.eval.source,
        tokenizer,
        size=size,
        frames=config.data.frames,
        batch_size=config.eval.batch_size,
        limit=config.eval.limit,
    )[0].metrics


@torch.no_grad()
def _draw(folder: RunFolder, step: int, tokenizer: VisualTokenizer, clips: Tensor) -> None:
    """Write the sample grid of a step."""
    restored = tokenizer.reconstruct(to_pixels(clips).to(tokenizer.device))
    path = folder.samples / f"step-{step:08d}.png"
    write_sample_grid(path, clips, to_uint8(restored).cpu())
