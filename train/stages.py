"""Several stages in one config: each is a run of its own that starts where the last one ended.

    stages:
      - name: reconstruction
        train: {steps: 100000}
      - name: decoder
        start: {source: previous, adapt: widen}
        train: {steps: 50000, freeze: [encoder, bottleneck]}

Every entry is laid over the rest of the file. The runs lie in folders of their names; the last
one's tokenizer is copied to the top when it is finished.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from accelerate import PartialState

from ..output_file import replaced_folder
from .config.run_config import RunConfig
from .loop import RunResult, train


def train_stages(stages: Mapping[str, RunConfig], output: Path, device: str = "auto") -> RunResult:
    """Train every stage in its turn, or go on in the middle of one.

    Args:
        stages: runs by name, in order; a single one without a name lies in `output` itself.
        output: folder of everything.
        device: see `train`.

    Returns:
        Where the last stage that was reached stands.

    Raises:
        ValueError: see `train`.
    """
    try:
        return _train_in_turn(stages, output, device)
    finally:
        PartialState().destroy_process_group()


def _train_in_turn(stages: Mapping[str, RunConfig], output: Path, device: str) -> RunResult:
    if list(stages) == [""]:
        return train(stages[""], output, device)
    previous: Path | None = None
    step, tokenizer, target = 0, output, output / "tokenizer"
    for name, config in stages.items():
        result = train(config, output / name, device, previous=previous)
        if result.tokenizer is None:
            return result
        previous, step, tokenizer = output / name, result.step, result.tokenizer
    if PartialState().is_main_process:
        with replaced_folder(target) as partial:
            shutil.copytree(tokenizer, partial, dirs_exist_ok=True)
    return RunResult(step, target)
