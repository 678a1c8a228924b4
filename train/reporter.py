"""Reporter: what a run reports after a step: held-out scores, a row of metrics, a sample grid.

A report follows the checkpoint of its step; one that a kill cut off is made up for when the run
resumes. An evaluation, sample grid or tracker that fails is a warning: no reason to lose a run.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from jaxtyping import UInt8
from torch import Tensor

from ..distributed import broadcast_object
from ..progress import ProgressLine
from .config.changed_settings import last_change
from .config.run_config import RunConfig
from .monitor.best_checkpoint import BestCheckpoint
from .monitor.gan_monitor import GANMonitor
from .monitor.metrics_log import MetricsLog, metrics_row, progress_note
from .monitor.throughput import ThroughputMeter
from .monitor.trackers import start_trackers
from .monitor.validation import Validation
from .run.run_folder import RunFolder
from .run_state import RunState

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Reporter:
    """Evaluates, logs and draws at the steps at which this is due.

    Args:
        config: the run.
        accelerator: of the run.
        folder: of the run.
        state: networks, and the metrics since the last logged step.
        preview: clips of the sample grids.
        start_step: the step that the run resumes from.
        show_progress: whether to show a progress bar on stderr.

    Attributes:
        best: the best held-out score so far.
        throughput: measures the training steps.
        progress: the progress bar.
        is_pending: whether the report of `start_step` is still to be made.
    """

    def __init__(
        self,
        config: RunConfig,
        accelerator: Accelerator,
        folder: RunFolder,
        state: RunState,
        *,
        preview: UInt8[Tensor, "B 3 T H W"],
        start_step: int,
        show_progress: bool,
    ) -> None:
        options, size, frames = config.train, config.held_out_size, config.data.frames
        self.options, self.held_out, self.accelerator = options, config.eval, accelerator
        self.folder, self.state = folder, state
        self.is_main = accelerator.is_main_process
        self.throughput = ThroughputMeter(accelerator.num_processes)
        self.progress = ProgressLine(
            "training", options.steps, start_step, show_progress and self.is_main
        )
        self.validation = Validation(
            config.eval, path_mode=options.path_mode, preview=preview, size=size, frames=frames
        )
        self.best = BestCheckpoint(folder.best, config.eval, size, start_step)
        changes = folder.changes() if self.is_main else ()
        self.metrics_log = MetricsLog(folder.metrics, start_step, changes) if self.is_main else None
        is_logged, self.is_pending = broadcast_object(self._found(start_step))
        if self.is_pending:
            start_step -= 1
            if self.metrics_log is not None:
                self.metrics_log.keep_until(start_step)
        elif is_logged:  # the metrics in the checkpoint, which was written first, are in that row
            state.reset_metrics()
        last = options.adversarial.start_step if state.discriminator else options.steps
        last = max(last, last_change(changes, "train.losses.adversarial_weight"))
        self.gan_monitor = GANMonitor(last, self.metrics_log.past if self.metrics_log else ())
        start_trackers(accelerator, start_step, folder.root)

    def report(self, step: int, stopped: bool = False) -> None:
        """Report on a step as far as something is due; all ranks must call this.

        Args:
            step: the last step taken.
            stopped: whether the run was asked to stop, so that only a row of metrics is written.
        """
        scores: dict[str, float | None] = dict.fromkeys(self.validation.names(self.state.tokenizer))
        evaluated = not stopped and self._evaluates_at(step)
        if evaluated:
            averaged = self.state.ema.gather()
            scores |= (
                self._attempt("evaluation", step, lambda: self.validation.scores(averaged)) or {}
            )
        score = scores.get(self.best.metric)
        if self.is_main and score is not None:
            self.best.update(step, score, self.state.ema.shadow)
        if evaluated or stopped or self._logs_at(step):
            self._log(step, scores)
        if not stopped and self._draws_at(step):
            averaged = self.state.ema.gather()
            if self.is_main:
                grid = self.folder.sample_grid(step)
                with self.accelerator.autocast():
                    self._attempt("sample grid", step, lambda: self.validation.draw(grid, averaged))

    def _log(self, step: int, scores: dict[str, float | None]) -> None:
        """Write a row of metrics; all ranks must call this."""
        state, options = self.state, self.options
        means, usage = state.means.compute_and_reset(), state.code_statistics.over_all_ranks()
        skipped = {"skipped_steps": state.finite.skipped}
        lrs = {"lr": options.learning_rate(step - 1)}
        if state.discriminator is not None:
            skipped["discriminator_skipped_steps"] = state.discriminator.finite.skipped
            lrs["discriminator_lr"] = options.discriminator_learning_rate(step - 1)
        state.reset_metrics()
        if self.metrics_log is None:
            return
        row = metrics_row(
            step,
            means=means,
            lrs=lrs,
            speed=self.throughput.compute_and_reset(),
            scores=scores,
            codebook_use=usage.use().means if usage.num_vectors else {},
            skipped=skipped,
        )
        self.metrics_log.write(row)
        tracked = {name: value for name, value in row.items() if value is not None}
        self._attempt("tracker", step, lambda: self.accelerator.log(tracked, step))
        self.gan_monitor.update(row)
        self.progress.advance(0, progress_note(row))

    def _attempt(self, what: str, step: int, work: Callable[[], Result]) -> Result | None:
        """Do what a run can do without: its failure is a warning."""
        try:
            return work()
        except Exception as error:
            if self.is_main:
                reason = str(error) or type(error).__name__
                log.warning("step %d: the %s failed, and is left out: %s", step, what, reason)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # what an evaluation too large for the memory had taken
            return None

    def _found(self, step: int) -> tuple[bool, bool]:
        """Return whether the row of a resumed step exists, and whether its report lacks a part."""
        if self.metrics_log is None or step == 0:
            return False, False
        last: dict[str, Any] = self.metrics_log.past[-1] if self.metrics_log.past else {}
        row = last if last.get("step") == step else None
        is_scored = row is not None and any(
            value is not None for name, value in row.items() if name.startswith("eval_")
        )
        lacks = (
            (self._logs_at(step) and row is None)
            or (self._evaluates_at(step) and not is_scored)
            or (self._draws_at(step) and not self.folder.sample_grid(step).exists())
        )
        return row is not None, lacks

    def _evaluates_at(self, step: int) -> bool:
        return self.held_out.source is not None and self._due(step, self.held_out.every_steps)

    def _logs_at(self, step: int) -> bool:
        return self._due(step, self.options.log_every_steps)

    def _draws_at(self, step: int) -> bool:
        return self._due(step, self.options.sample_every_steps)

    def _due(self, step: int, every: int) -> bool:
        return is_due(step, every, self.options.steps)


def is_due(step: int, every: int, last: int) -> bool:
    """Return whether a periodic task is due after a step, the last one included; 0 is never."""
    return every > 0 and (step % every == 0 or step == last)
