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
from collections.abc import Mapping
from pathlib import Path

from accelerate import PartialState

from ..output_file import replaced_folder
from .config.run_config import RunConfig
from .loop import RunResult, train
from .run.preflight import check_later_stages


def train_stages(stages: Mapping[str, RunConfig], output: Path, device: str = "auto") -> RunResult:
    """Train all stages in order, or resume in the middle of one.

    Args:
        stages: runs by name, in order; a single one without a name uses `output` itself.
        output: folder of all stages.
        device: see `train`.

    Returns:
        The result of the last stage that was reached, with the tokenizer at the top if all stages
        are finished.

    Raises:
        ValueError: see `train`, and `check_later_stages`, which fails before any stage starts.
        FileNotFoundError: likewise.
    """
    check_later_stages(stages, output)
    previous: Path | None = None
    result = RunResult(0, None)
    try:
        for name, config in stages.items():
            folder = output / name
            result = train(config, folder, device, previous=previous)
            if result.tokenizer is None or not name:
                return result
            previous = folder
        assert result.tokenizer is not None, "a config has at least one stage"
        target = output / "tokenizer"
        if PartialState().is_main_process:
            with replaced_folder(target) as partial:
                shutil.copytree(result.tokenizer, partial, dirs_exist_ok=True)
        return RunResult(result.step, target)
    finally:
        PartialState().destroy_process_group()
