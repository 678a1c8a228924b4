"""The class and config of the diffusers autoencoder that a run starts from, where they are unset.

    model: {encoder: {kind: diffusers}, bottleneck: {kind: fsq}, decoder: {kind: diffusers}}
    start: {source: diffusers:AutoencoderKL:folder}

becomes a complete description, which is kept with the run. What a config states itself has to agree
with the source.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ...config import Tree
from ...tokenizers.diffusers_source import (
    DiffusersSource,
    is_diffusers,
    parse_source,
    read_options,
)


def with_prior(tree: Tree) -> tuple[Tree, list[str]]:
    """Return plain settings completed by the autoencoder in `start.source`, if it is one.

    Returns:
        The settings, and one line per problem.
    """
    start, model = tree.get("start"), tree.get("model")
    name = start.get("source") if isinstance(start, Mapping) else None
    if not is_diffusers(name) or not isinstance(model, Mapping):
        return tree, []
    halves = [part for part in ("encoder", "decoder") if _is_wrapped(model.get(part))]
    if not halves:
        return tree, []
    try:
        source = parse_source(str(name))
        lacking = [part for part in halves if _lacks_config(model, part)]
        options = read_options(source) if lacking or source.folder is not None else None
    except (ValueError, FileNotFoundError) as error:
        return tree, [f"start.source: {error}"]
    tree = copy.deepcopy(tree)
    problems = []
    for part in halves:
        half = tree["model"][part]
        problems += _contradictions(part, half, source, options)
        if part == "encoder" or part in lacking:
            half["class"] = half.get("class") or source.wrapped.name
            half["config"] = half.get("config") or options
    return tree, problems


def _is_wrapped(half: Any) -> bool:
    return isinstance(half, Mapping) and half.get("kind") == "diffusers"


def _lacks_config(model: Mapping[str, Any], part: str) -> bool:
    """Return whether a half needs the source's config: a decoder first takes the encoder's."""
    if model[part].get("config") is not None:
        return False
    return part == "encoder" or not _is_wrapped(model.get("encoder"))


def _contradictions(
    part: str, half: Mapping[str, Any], source: DiffusersSource, options: dict[str, Any] | None
) -> Iterator[str]:
    """Yield what a half states otherwise than the source has it."""
    name, config = half.get("class"), half.get("config")
    if name not in (None, source.wrapped.name):
        yield f"model.{part}.class={name}, but start.source={source}; they must be the same class"
        return
    if options is None or not isinstance(config, Mapping):
        return
    for key, value in config.items():
        theirs = options.get(key)
        if key in options and _plain(value) != _plain(theirs):
            yield (
                f"model.{part}.config.{key} is {value!r}, but {theirs!r} in start.source; remove "
                f"model.{part}.config to take the source's"
            )


def _plain(value: Any) -> Any:
    """Return sequences as lists, and whole numbers and others as floats, for comparison."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else value
