"""The class and config of the diffusers autoencoder that a run starts from, where they are unset.

    model: {encoder: {kind: diffusers}, bottleneck: {kind: fsq}, decoder: {kind: diffusers}}
    start: {source: diffusers:AutoencoderKL:folder}

becomes a complete description, which is kept with the run. The source may also be a saved tokenizer
with such halves, or the previous stage. What a config states itself has to agree with the source.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...config import Tree
from ...tokenizers.diffusers_source import is_diffusers, parse_source, read_options
from ...tokenizers.pretrained import read_config

HALVES = ("encoder", "decoder")
SAVED = ("config.json", "tokenizer/config.json")


def with_prior(tree: Tree, previous: Tree | None = None) -> tuple[Tree, list[str]]:
    """Return plain settings completed by what `start.source` describes.

    Args:
        tree: settings of a run.
        previous: completed settings of the stage before it.

    Returns:
        The settings, and one line per problem.
    """
    start, model = tree.get("start"), tree.get("model")
    source = start.get("source") if isinstance(start, Mapping) else None
    if not isinstance(source, str) or not isinstance(model, Mapping):
        return tree, []
    lacking = [part for part in HALVES if _lacks(model, part)]
    try:
        described = _described(source, previous, [model[part] for part in lacking])
    except (ValueError, FileNotFoundError) as error:
        return tree, [f"start.source: {error}"] if _wrapped_halves(model) else []
    problems = [
        problem
        for part in _wrapped_halves(model)
        for problem in _contradictions(part, model[part], described, source)
    ]
    if problems or described is None:
        return tree, problems
    tree = copy.deepcopy(tree)
    for part in lacking:
        for key, value in described.items():
            if tree["model"][part].get(key) is None:
                tree["model"][part][key] = value
    return tree, []


def _described(
    source: str, previous: Tree | None, lacking: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return class and config of a source, or None if it has none.

    A remote config is read for halves that lack it only; otherwise it is None.
    """
    if source == "previous":
        model = previous.get("model") if previous is not None else None
        return _class_of(model.get("encoder")) if isinstance(model, Mapping) else None
    if not is_diffusers(source):
        for file in (Path(source) / name for name in SAVED):
            if file.is_file():
                return _class_of(read_config(file).get("encoder_config"))
        return None
    is_here = Path(source.split(":", 2)[-1]).expanduser().is_dir()
    if not lacking and not is_here:
        return None
    found = parse_source(source)
    is_needed = is_here or any(half.get("config") is None for half in lacking)
    return {"class": found.wrapped.name, "config": read_options(found) if is_needed else None}


def _class_of(half: Any) -> dict[str, Any] | None:
    """Return the class and config of a half of kind diffusers that states both, else None."""
    if not isinstance(half, Mapping) or half.get("kind") != "diffusers":
        return None
    if half.get("class") is None or half.get("config") is None:
        return None
    return {"class": half["class"], "config": half["config"]}


def _is_wrapped(half: Any) -> bool:
    return isinstance(half, Mapping) and half.get("kind") == "diffusers"


def _wrapped_halves(model: Mapping[str, Any]) -> list[str]:
    return [part for part in HALVES if _is_wrapped(model.get(part))]


def _lacks(model: Mapping[str, Any], part: str) -> bool:
    """Return whether a half needs what the source describes: a decoder first asks the encoder."""
    if part not in _wrapped_halves(model) or (part == "decoder" and _is_wrapped(model["encoder"])):
        return False
    return model[part].get("class") is None or model[part].get("config") is None


def _contradictions(
    part: str, half: Mapping[str, Any], described: Mapping[str, Any] | None, source: str
) -> Iterator[str]:
    """Yield what a half states otherwise than the source has it."""
    if described is None:
        return
    name, config, options = half.get("class"), half.get("config"), described["config"]
    if name not in (None, described["class"]):
        yield f"model.{part}.class={name}, but start.source={source}; they must be the same class"
        return
    if options is None or not isinstance(config, Mapping):
        return
    for key, value in config.items():
        if key in options and _plain(value) != _plain(options[key]):
            yield (
                f"model.{part}.config.{key} is {value!r}, but {options[key]!r} in start.source; "
                f"remove model.{part}.config to take the source's"
            )


def _plain(value: Any) -> Any:
    """Return sequences as lists, and whole numbers and others as floats, for comparison."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else value
