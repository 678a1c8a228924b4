"""Run configs from files: files and overrides become checked configs, one for every stage.

`python -m vistok.train.config.files FILE [MODULE...]` writes the JSON schema that editors use, with
the kinds that these modules register.
"""

import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ...config import Tree, dump, load_config, merge, override_value
from .checks import check_run_config
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


def load_stages(
    config: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()
) -> dict[str, RunConfig]:
    """Return the stages of a config by name, in order; one without a name if it has no stages.

    The config is the name of a shipped one, the path of a YAML file, or the settings themselves.
    Overrides apply to every stage unless they name one: `stages.0.train.steps=10`, which takes
    precedence over `train.steps=5`.

    Raises:
        FileNotFoundError: no such config.
        ValueError: as `load_run_config`, or a stage whose name is taken.
    """
    tree = load_config(config)
    stages: Any = tree.pop("stages", None)
    if stages is None:
        stages = [{"name": ""}]
    elif not isinstance(stages, list) or not stages or not all(map(_has_folder_name, stages)):
        raise ValueError("stages must be a list of mappings, each with a name for its folder")
    names = [str(stage.pop("name")) for stage in stages]
    merged = [copy.deepcopy(merge(tree, stage)) for stage in stages]
    problems = [*_name_problems(names), *_override_stages(merged, overrides)]
    checked = [*_check_in_order(merged)]
    problems += _problems_of_stages(names, [lines for _, lines in checked])
    first = checked[0][0]
    if first is not None and first.start.source == "previous":
        problems.append("start.source=previous needs a stage before this one")
    if problems:
        raise ValueError("\n".join(problems))
    return {
        name: config for name, (config, _) in zip(names, checked, strict=True) if config is not None
    }


def _check_in_order(stages: Sequence[Tree]) -> Iterator[tuple[RunConfig | None, list[str]]]:
    """Yield the config and the problems of every stage, which may take halves from the last one."""
    previous = None
    for stage in stages:
        config, problems = check_run_config(stage, previous)
        previous = stage if config is None else config.to_tree()
        yield config, problems


def _name_problems(names: Sequence[str]) -> Iterator[str]:
    """Yield the names that cannot be folders of stages."""
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"stages need unique names, got {name} twice"
        if name.casefold() in RUN_FOLDERS:
            yield (
                f"a stage cannot be called {name}, which is a folder of the run itself; "
                f"choose a name other than {', '.join(RUN_FOLDERS)}"
            )


def _problems_of_stages(names: Sequence[str], found: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each problem once, with the stage's name unless all stages have it."""
    for name, lines in zip(names, found, strict=True):
        for line in lines:
            if not all(line in others for others in found):
                yield f"stage {name}: {line}"
            elif lines is found[0]:
                yield line


def _override_stages(stages: list[Tree], overrides: Sequence[str]) -> list[str]:
    """Apply overrides for all stages first, so that those for one stage take precedence.

    Returns:
        One line per override that cannot be applied.
    """
    named = [override for override in overrides if override.startswith("stages.")]
    for_all = [override for override in overrides if override not in named]
    problems: dict[str, None] = {}  # in order, each once
    for tree, settings in [(stage, for_all) for stage in stages] + [({"stages": stages}, named)]:
        for override in settings:
            try:
                if override in named and override.partition("=")[0].count(".") < 2:
                    raise ValueError(f"--set takes stages.NUMBER.key.path=value, got {override!r}")
                override_value(tree, override)
            except ValueError as error:
                problems |= dict.fromkeys(str(error).splitlines())
    return list(problems)


def _has_folder_name(stage: Any) -> bool:
    return isinstance(stage, dict) and bool(re.fullmatch(r"[\w-]+", str(stage.get("name", ""))))


def dump_stages(stages: Mapping[str, RunConfig]) -> str:
    """Return the resolved configs as YAML, one document per stage."""
    documents = [
        (f"# stage: {name}\n" if name else "") + dump(config.to_tree())
        for name, config in stages.items()
    ]
    return "---\n".join(documents)


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
    for module in sys.argv[2:]:
        import_module(module)
    Path(sys.argv[1]).write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
