"""Run configs from files: files and overrides become checked configs, one for every stage.

`python -m vistok.train.config.files FILE` writes the JSON schema that editors use.
"""

import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...component import validate
from ...config import Tree, dump, load_config, merge, override_value
from ...eval.metrics.ssim import WINDOW_SIDES
from .run_config import RunConfig

# Folders that a run writes beside those of its stages.
RUN_FOLDERS = ("best", "checkpoints", "samples", "tensorboard", "tokenizer")


def load_run_config(name: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a run config, and fill in defaults; of several stages, return the last one.

    Raises:
        FileNotFoundError: no such config.
        ValueError: an unknown key, a wrong type, or a shape the model cannot take.
    """
    *_, last = load_stages(name, overrides).values()
    return last


def load_stages(name: str | Path, overrides: Sequence[str] = ()) -> dict[str, RunConfig]:
    """Return the stages of a config by name, in order; one without a name if it has no stages.

    Overrides apply to every stage unless they name one: `stages.0.train.steps=10`, which takes
    precedence over `train.steps=5`.

    Raises:
        FileNotFoundError: no such config.
        ValueError: as `load_run_config`, or a stage whose name is taken.
    """
    tree = load_config(name)
    stages: Any = tree.pop("stages", None)
    if stages is None:
        stages = [{"name": ""}]
    elif not isinstance(stages, list) or not all(map(_has_folder_name, stages)):
        raise ValueError("stages must be a list of mappings, each with a name for its folder")
    names = [str(stage.pop("name")) for stage in stages]
    for stage_name in names:
        if names.count(stage_name) > 1:
            raise ValueError(f"stages need unique names, got {stage_name} twice")
        if stage_name.casefold() in RUN_FOLDERS:
            raise ValueError(
                f"a stage cannot be called {stage_name}, which is a folder of the run itself; "
                f"choose a name other than {', '.join(RUN_FOLDERS)}"
            )
    merged = [copy.deepcopy(merge(tree, stage)) for stage in stages]
    _override_stages(merged, overrides)
    return {stage_name: _checked(stage) for stage_name, stage in zip(names, merged, strict=True)}


def _override_stages(stages: list[Tree], overrides: Sequence[str]) -> None:
    """Apply overrides for all stages first, so that those for one stage take precedence."""
    named = [override for override in overrides if override.startswith("stages.")]
    for override in overrides:
        if override not in named:
            for stage in stages:
                override_value(stage, override)
    for override in named:
        if override.partition("=")[0].count(".") < 2:
            raise ValueError(f"--set takes stages.NUMBER.key.path=value, got {override!r}")
        override_value({"stages": stages}, override)


def _has_folder_name(stage: Any) -> bool:
    return isinstance(stage, dict) and bool(re.fullmatch(r"[\w-]+", str(stage.get("name", ""))))


def dump_stages(stages: Mapping[str, RunConfig]) -> str:
    """Return the resolved configs as YAML, one document per stage."""
    documents = [
        (f"# stage: {name}\n" if name else "") + dump(config.to_tree())
        for name, config in stages.items()
    ]
    return "---\n".join(documents)


def _checked(tree: Tree) -> RunConfig:
    data = tree.get("data")
    if data is None or (isinstance(data, dict) and data.get("source") is None):
        raise ValueError("data.source is not set: set the training data, --set data.source=FOLDER")
    config: RunConfig = validate(RunConfig, tree)
    check_shapes(config)
    side = config.held_out_size
    if config.eval.source is not None and side < WINDOW_SIDES["gaussian11"]:
        raise ValueError(
            f"eval.size must be at least {WINDOW_SIDES['gaussian11']} pixels for SSIM, got {side}"
        )
    return config


def check_shapes(config: RunConfig) -> None:
    """Raise a `ValueError` unless the crops of training and evaluation fit the networks."""
    import torch

    with torch.device("meta"):
        tokenizer = config.build_tokenizer()
    for settings, size in _sample_sizes(config):
        try:
            tokenizer.layout(size)
        except ValueError as error:
            raise ValueError(f"{settings}: {error}") from error
    if config.train.losses.adversarial_weight:
        with torch.device("meta"):
            discriminator = config.train.adversarial.build_discriminator()
        for H, W in config.data.shapes:
            discriminator.check_size(H, W)


def _sample_sizes(config: RunConfig) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Yield frames, height and width of all samples, each after the settings that they are of."""
    data = config.data
    if data.rows:
        for number, kind in enumerate(data.kinds):
            for H, W in kind.shapes:
                settings = f"data.buckets.{number}: size={H} x {W}, frames={kind.frames}"
                yield settings, (kind.frames, H, W)
    elif data.buckets:
        for H, W in data.shapes:
            yield f"data.buckets={H} x {W}, data.frames={data.frames}", (data.frames, H, W)
    for name, side in (("data.size", data.size), ("eval.size", config.held_out_size)):
        settings = f"{name}={side} x {side}, data.frames={data.frames}"
        yield settings, (data.frames, side, side)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of config files; a base may supply what a file leaves out."""
    schema = RunConfig.model_json_schema()
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Name or path of a base config, whose settings apply unless set here.",
    }
    schema["properties"]["stages"] = {
        "type": "array",
        "items": {"type": "object", "properties": {"name": {"type": "string"}}},
        "description": "Consecutive runs; the settings of each override the rest of the file.",
    }
    for section in (schema, *schema["$defs"].values()):
        section.pop("required", None)
    return schema


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
