"""The training loop: one straight line for every model of the toolkit.

Progress is counted in optimizer steps. Data, random numbers and learning rates are functions of the
step, so a checkpoint holds networks, optimizers and averages, and a resumed run starts at step k.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..distributed import run_on_main_process
from ..rank_failure import watch_ranks
from ..seeding import seed_step
from .build_state import open_run_state
from .config.run_config import RunConfig
from .monitor.trackers import close_trackers
from .monitor.validation import check_scores
from .reporter import Reporter, is_due
from .run.accelerator import build_accelerator
from .run.checkpoint import save_checkpoint, set_aside_later
from .run.determinism import deterministic_where_set
from .run.export import save_tokenizer
from .run.preemption import PreemptionHandler
from .run.run_folder import RunFolder
from .run.training_data import open_training_data, preview_clips
from .steps import discriminator_step, tokenizer_step

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
    if run_on_main_process(lambda: from_checkpoint is None and folder.finished(options.steps)):
        run_on_main_process(lambda: folder.claim(tree, resume))
        log.info("%s is already finished", output)
        return RunResult(options.steps, folder.tokenizer)

    # ---- networks, new or from a checkpoint -------------------------------------------------
    state, start_step = open_run_state(config, accelerator, folder, previous, resume)
    run_on_main_process(lambda: folder.claim(tree, resume))  # nothing is refused any more
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
                        tree,
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
