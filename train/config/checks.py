"""Every check of a run config that needs no data: all problems are found at once.

A problem in one section does not hide those of the others: what compares sections, or builds the
networks, runs as soon as the sections that it reads are valid.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from pydantic import ValidationError

from ...component import find_problems
from ...config import Tree
from ...eval.protocols.protocol import WINDOW_SIDES
from ...tokenizers.tokenizer import VisualTokenizer
from .prior import with_prior
from .run_config import RunConfig, component_problems

NO_SOURCE = "data.source is not set: set the training data, --set data.source=FOLDER"


def check_run_config(
    tree: Tree, previous: Tree | None = None
) -> tuple[RunConfig | None, list[str]]:
    """Check plain settings, and fill in defaults.

    Args:
        tree: settings of a run.
        previous: settings of the stage before it, as this function completed them.

    Returns:
        The config, None where it cannot be used, and one line per problem.
    """
    data = tree.get("data")
    lacks_source = data is None or (isinstance(data, dict) and data.get("source") is None)
    if lacks_source:  # a name that stands for it, so that everything else is checked
        tree = {**tree, "data": {**(data or {}), "source": "unset"}}
    tree, of_prior = with_prior(tree, previous)
    if of_prior:  # what else is wrong with the halves follows from it
        return None, of_prior
    problems, known = find_problems(RunConfig, tree)
    config, valid = _partial_config(known)
    # The contradictions of a config whose sections are all valid were found with it.
    if len(valid) < len(RunConfig.model_fields):
        problems += config.contradictions(valid)
    if "model" not in valid and isinstance(known.get("model"), dict):
        with torch.device("meta"):
            problems += component_problems(known["model"])
    problems += network_problems(config, valid)
    lines = list(dict.fromkeys([NO_SOURCE] * lacks_source + problems))
    return (None if lines else RunConfig.model_validate(tree)), lines


def network_problems(config: RunConfig, valid: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the networks of a config, and with the crops that they take.

    Args:
        config: the run.
        valid: names of the sections that can be read.
    """
    if "model" in valid:
        with torch.device("meta"):
            yield from _model_problems(config, valid)
    if {"data", "eval"} <= set(valid) and config.eval.source is not None:
        side, smallest = config.held_out_size, WINDOW_SIDES["gaussian11"]
        if side < smallest:
            yield f"eval.size must be at least {smallest} pixels for SSIM, got {side}"
    if {"data", "train"} <= set(valid) and config.train.losses.adversarial_weight:
        with torch.device("meta"):
            yield from _discriminator_problems(config)


def _model_problems(config: RunConfig, valid: Collection[str]) -> Iterator[str]:
    """Yield what the components refuse, or else what does not fit the tokenizer."""
    problems = config.model.problems()
    yield from problems
    if problems:
        return
    tokenizer = config.build_tokenizer()
    if "data" in valid:
        yield from _crop_problems(config, tokenizer, valid)
    if "train" in valid:
        yield from _freeze_problems(tokenizer, config.train.freeze)
        if config.train.gradient_checkpointing:
            try:
                tokenizer.enable_gradient_checkpointing()
            except ValueError as error:
                yield f"train.gradient_checkpointing: {error}"


def _freeze_problems(tokenizer: VisualTokenizer, frozen: Sequence[str]) -> Iterator[str]:
    """Yield parts that the tokenizer does not have, or that nothing is left to train."""
    parts = [name for name, part in tokenizer.named_children() if [*part.parameters()]]
    for part in frozen:
        half, _, inside = part.partition(".")
        if inside and not hasattr(tokenizer.get_submodule(half), inside):
            yield f"train.freeze: {part} is a part of kind diffusers only; use {half}"
            return
    prefixes = tuple(f"{part}." for part in frozen)
    if all(name.startswith(prefixes) for name, _ in tokenizer.named_parameters()):
        yield (
            "nothing to train: train.freeze holds every part of the tokenizer that has "
            f"weights, {' and '.join(parts)}"
        )


def _crop_problems(
    config: RunConfig, tokenizer: VisualTokenizer, valid: Collection[str]
) -> Iterator[str]:
    """Yield the sizes of crops that the tokenizer cannot take."""
    for settings, size in _sample_sizes(config, "eval" in valid):
        try:
            tokenizer.layout(size)
        except ValueError as error:
            yield f"{settings}: {error}"


def _sample_sizes(
    config: RunConfig, with_held_out: bool
) -> Iterator[tuple[str, tuple[int, int, int]]]:
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
    sides = {"data.size": data.size}
    if with_held_out and config.held_out_size != data.size:
        sides["eval.size"] = config.held_out_size
    for name, side in sides.items():
        settings = f"{name}={side} x {side}, data.frames={data.frames}"
        yield settings, (data.frames, side, side)


def _discriminator_problems(config: RunConfig) -> Iterator[str]:
    """Yield what the discriminator refuses: its options, or crops that are too small for it."""
    try:
        discriminator = config.train.adversarial.build_discriminator()
    except ValueError as error:
        yield str(error)
        return
    for H, W in config.data.shapes:
        try:
            discriminator.check_size(H, W)
        except ValueError as error:
            yield str(error)


def _partial_config(tree: Tree) -> tuple[RunConfig, set[str]]:
    """Return a config of the sections that are valid by themselves, and their names."""
    sections: dict[str, Any] = {}
    for name, field in RunConfig.model_fields.items():
        section: Any = field.annotation
        if not field.is_required() and name not in tree:
            sections[name] = field.get_default(call_default_factory=True)
            continue
        try:
            sections[name] = section.model_validate(tree.get(name))
        except ValidationError:
            continue
    return RunConfig.model_construct(**sections), set(sections)
