"""`vistok train`: train a tokenizer from a config, or resume a run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Plugins, complete_config, is_main_process
from .plugins import load_plugins


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or the name of a shipped config.", autocompletion=complete_config
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder of the run; default runs/CONFIG.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=c", help="Override a setting; may be repeated."),
    ] = None,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Short for --set train.seed=N.")] = None,
    from_checkpoint: Annotated[
        int | None,
        typer.Option(
            metavar="STEP",
            min=1,
            help="Resume from this step's checkpoint instead of the newest; later ones are set "
            "aside. With stages: of the stage reached.",
        ),
    ] = None,
    allow_change: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Resume although this setting, or one in this section, has changed; may be "
            "repeated. With stages: of the stage reached.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved config and stop.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Train a tokenizer; run again with the same --output to resume exactly."""
    from ..train.config.files import dump_stages, load_stages

    load_plugins(plugins)
    overrides = [*(settings or []), *([] if seed is None else [f"train.seed={seed}"])]
    stages = load_stages(config, overrides)
    if dry_run:
        print(dump_stages(stages), end="")
        return
    from ..output_file import check_output_folder
    from ..train.run.preemption import exit_on_signal
    from ..train.stages import train_stages

    folder = output or Path("runs") / Path(config).stem
    check_output_folder(folder)
    if is_main_process():
        sys.stderr.write(dump_stages(stages))
    with exit_on_signal():
        result = train_stages(
            stages,
            folder,
            device,
            from_checkpoint=from_checkpoint,
            allow_change=allow_change or (),
        )
    if not is_main_process():
        return
    if result.tokenizer is None:
        print(f"stopped after step {result.step}: {folder}")
    else:
        print(f"tokenizer: {result.tokenizer}")
