"""Several stages in one config: each is a run of its own that starts where the last one ended.

    stages:
      - name: reconstruction
        train: {steps: 100000}
      - name: decoder
        start: {source: previous, adapt: widen}
        train: {steps: 50000, freeze: [encoder, bottleneck]}

The settings of every entry override the rest of the file. Each run has a folder named after its
stage; the tokenizer of the last one is copied to the top when it is finished.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from accelerate import PartialState

from ..folder_lock import folder_lock
from ..output_file import replaced_folder
from ..rank_failure import failing_together
from .config.run_config import RunConfig
from .loop import RunResult, train
from .run.preflight import check_later_stages
from .run.run_folder import RunFolder


def train_stages(
    stages: Mapping[str, RunConfig],
    output: Path,
    device: str = "auto",
    *,
    from_checkpoint: int | None = None,
    allow_change: Sequence[str] = (),
) -> RunResult:
    """Train all stages in order, or resume in the middle of one.

    Args:
        stages: runs by name, in order; a single one without a name uses `output` itself.
        output: folder of all stages.
        device: see `train`.
        from_checkpoint: step of the stage reached to resume from; None resumes from its newest
            checkpoint.
        allow_change: settings of the stage reached that may differ from those of the run; finished
            stages keep theirs.

    Returns:
        The result of the last stage that was reached, with the tokenizer at the top if all stages
        are finished.

    Raises:
        ValueError: see `train`, and `check_later_stages`, which fails before any stage starts; or
            another process is writing to the folder.
        FileNotFoundError: see `check_later_stages`.
    """
    check_later_stages(stages, output)
    with folder_lock(output), failing_together():
        result = _train_in_order(stages, output, device, from_checkpoint, allow_change)
        # Not after a failure: with NCCL, leaving waits for the other ranks.
        PartialState().destroy_process_group()
        return result


def _train_in_order(
    stages: Mapping[str, RunConfig],
    output: Path,
    device: str,
    from_checkpoint: int | None,
    allow_change: Sequence[str],
) -> RunResult:
    previous: Path | None = None
    result = RunResult(0, None)
    reached, last = _reached(stages, output), list(stages)[-1]
    changed: set[str] = set()  # settings of earlier stages that differ
    for name, config in stages.items():
        folder = output / name
        step = from_checkpoint if name == reached else None
        run, allowed = RunFolder(folder), allow_change
        if step is None and name != last and run.finished(config.train.steps):
            config, differing = run.as_finished(config, allow_change)
            changed |= differing
            allowed = ()
        elif run.newest_checkpoint() is None:  # every setting of this stage may change
            allowed = [key for key in allow_change if key not in changed]
        result = train(
            config,
            folder,
            device,
            previous=previous,
            from_checkpoint=step,
            allow_change=allowed,
        )
        changed |= set(allowed)
        if result.tokenizer is None or not name:
            return result
        previous = folder
    assert result.tokenizer is not None, "a config has at least one stage"
    target = output / "tokenizer"
    if PartialState().is_main_process:
        with replaced_folder(target) as partial:
            shutil.copytree(result.tokenizer, partial, dirs_exist_ok=True)
    return RunResult(result.step, target)


def _reached(stages: Mapping[str, RunConfig], output: Path) -> str:
    """Return the last stage that has a checkpoint, or the first one."""
    saved = [name for name in stages if RunFolder(output / name).newest_checkpoint() is not None]
    return saved[-1] if saved else next(iter(stages))
