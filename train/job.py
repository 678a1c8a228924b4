"""The training job: from a config in any form to a saved tokenizer, as `vistok train` runs it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..output_file import check_output_folder
from .config.files import load_stages
from .config.run_config import RunConfig
from .loop import RunResult
from .stages import train_stages


def train_tokenizer(
    config: str | Path | Mapping[str, Any] | RunConfig,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    device: str = "auto",
    from_checkpoint: int | None = None,
    allow_change: Sequence[str] = (),
) -> RunResult:
    """Train a tokenizer, or resume its run exactly if the output folder holds one.

    The config goes through the same checks as on the command line, and the folder is locked.

        train_tokenizer({"extends": "quickstart", "train": {"steps": 100}}, "runs/mine")

    Args:
        config: name of a shipped config, path of a YAML file, mapping of settings as in such a file
            (`extends` and `stages` included), or a `RunConfig`.
        output: folder of the run.
        overrides: settings that take precedence, such as `train.steps=100`.
        device: auto, cpu, cuda, cuda:1, ...
        from_checkpoint: step of the checkpoint to resume from; None resumes from the newest one.
        allow_change: settings that may differ from those of the run that is resumed.

    Returns:
        The last step, and the folder of the tokenizer for `VisualTokenizer.from_pretrained`; its
        folder is None where a signal stopped the run.

    Raises:
        FileNotFoundError: no such config.
        ValueError: settings that are wrong, differ from those of the run that is resumed, or cannot
            be trained with; or an output folder that cannot be written or is in use.
    """
    folder = Path(output)
    stages = load_stages(config.to_tree() if isinstance(config, RunConfig) else config, overrides)
    check_output_folder(folder)
    return train_stages(
        stages, folder, device, from_checkpoint=from_checkpoint, allow_change=allow_change
    )
