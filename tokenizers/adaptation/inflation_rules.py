"""The differences between two networks that `inflate` allows; others are refused by name.

Stages are matched in order. A stage of the target may have a larger `temporal_kernel`, a `time`
where its counterpart has none, another `first_frame`, and temporal attention where its counterpart
has no attention. Stages without blocks that only resample time may be added.
"""

from collections.abc import Iterator
from dataclasses import asdict, fields, replace

from ...models.blocks.block_config import BlockConfig
from ...models.blocks.causal_conv import CausalConv3d
from ...models.blocks.norm import DEFAULT_EPS
from ...models.blocks.stage import Stage
from ...models.causal_autoencoder import CausalDecoder, CausalEncoder, CausalNetwork

# The resampling whose identity in space a stage of its own may add, by side of the tokenizer.
ADDED = {"encoder": "strided", "decoder": "nearest"}


def networks_of(side: str, source: object, target: object) -> tuple[CausalNetwork, CausalNetwork]:
    """Return both networks of one side, checked to be of the kind that can be inflated.

    Args:
        side: encoder or decoder, for error messages.
        source: the network of the image autoencoder.
        target: the network to be initialized.

    Raises:
        ValueError: a network of another kind, or options that change what it makes of an image.
    """
    for place, network in (("start.source", source), ("model", target)):
        if not isinstance(network, CausalEncoder | CausalDecoder):
            raise ValueError(
                f"adapt: inflate: the {side} of {place} is of class {type(network).__name__}; "
                "only networks of kind causal can be inflated (`vistok convert kl` makes one of "
                "diffusers' AutoencoderKL)"
            )
    assert isinstance(source, CausalEncoder | CausalDecoder)
    assert isinstance(target, CausalEncoder | CausalDecoder)
    theirs, ours = _options(source), _options(target)
    # Frames beyond the clip do not matter to kernels of one frame; one frame is a whole clip.
    free = set() if _sees_past(source) else {"temporal_padding", "causal"}
    if (theirs["norm"], ours["norm"]) == ("group", "clip_group"):
        free.add("norm")
    for name, value in ours.items():
        if value != theirs[name] and name not in free:
            raise ValueError(
                f"adapt: inflate: {side}.{name} is {theirs[name]} in start.source and {value} in "
                f"the model, so images would change; set model.{side}.{name} to {theirs[name]}"
            )
    return source, target


def match_stages_in_time(
    side: str, source: CausalNetwork, target: CausalNetwork
) -> dict[int, int | None]:
    """Return the stage of the source for every stage of the target; None for an added one.

    Args:
        side: encoder or decoder, for error messages.
        source: the network of the image autoencoder.
        target: the network to be initialized.

    Raises:
        ValueError: the tables differ by more than what may be added.
    """
    theirs = source.stage_table
    matches: dict[int, int | None] = {}
    taken = 0
    for index, stage in enumerate(target.stage_table):
        counterpart = theirs[taken] if taken < len(theirs) else None
        is_next = counterpart is not None and _only_resamples_time(counterpart)
        if _only_resamples_time(stage) and stage.resample == ADDED[side] and not is_next:
            matches[index] = None
            continue
        if counterpart is None:
            raise _lengths_differ(side, source, target)
        _check_stage(f"{side} stage {index}", side, counterpart, stage)
        matches[index], taken = taken, taken + 1
    if taken != len(theirs):
        raise _lengths_differ(side, source, target)
    return matches


def _options(network: CausalNetwork) -> dict[str, object]:
    """Return the options of a whole network that matter to the image it makes."""
    config: BlockConfig = network.conv_in.config
    options = {name: value for name, value in asdict(config).items() if name != "zero_init"}
    if config.norm_eps is None:
        options["norm_eps"] = DEFAULT_EPS.get(config.norm)
    return {**options, "patch_size": network.patch_size, "patch_order": network.patch_order}


def _sees_past(network: CausalNetwork) -> bool:
    return any(
        module.kernel_size[0] > 1
        for module in network.modules()
        if isinstance(module, CausalConv3d)
    )


def _only_resamples_time(stage: Stage) -> bool:
    return stage.blocks == 0 and stage.resample != "none" and stage.space == 1


def _check_stage(where: str, side: str, source: Stage, target: Stage) -> None:
    """Raise unless the target's stage is the source's with more time."""
    for name, theirs, ours in _differences(source, target):
        raise ValueError(
            f"adapt: inflate: {where} has {name}={theirs} in start.source and {ours} in the model; "
            "give the model the source's stages, to which only temporal_kernel, time, first_frame "
            f"and temporal attention may be added, and stages {_added_stage(side)}"
        )
    if target.resample == "space_to_depth" and target.time != source.time:
        raise ValueError(
            f"adapt: inflate: {where} has time={target.time} with resample space_to_depth, whose "
            "channels hold the frames of a cell one by one, while those of an image are all equal: "
            "no weights leave images unchanged; set time back to 1 and add a stage "
            f"{_added_stage(side, target.out_width, target.time)} after it"
        )


def _differences(source: Stage, target: Stage) -> Iterator[tuple[str, object, object]]:
    """Yield the options that differ by more than added time: name, source's and target's value."""
    if target.temporal_kernel < source.temporal_kernel:
        yield "temporal_kernel", source.temporal_kernel, target.temporal_kernel
    if source.resample != "none" and source.time not in (1, target.time):
        yield "time", source.time, target.time
    if source.attention == "none" and target.attention == "temporal":
        target = replace(
            target,
            attention="none",
            attention_after=source.attention_after,
            attention_window=source.attention_window,
        )
    free = {"temporal_kernel", "time", "first_frame"}
    theirs, ours = (replace(stage, resample_width=stage.out_width) for stage in (source, target))
    for field in fields(Stage):
        values = getattr(theirs, field.name), getattr(ours, field.name)
        if field.name not in free and values[0] != values[1]:
            yield field.name, *values


def _lengths_differ(side: str, source: CausalNetwork, target: CausalNetwork) -> ValueError:
    return ValueError(
        f"adapt: inflate: the {side} has {len(source.stage_table)} stages in start.source and "
        f"{len(target.stage_table)} in the model; give the model the source's stages, to which "
        f"only stages {_added_stage(side)} may be added"
    )


def _added_stage(side: str, width: int | str = "W", time: int | str = "T") -> str:
    return f"{{width: {width}, blocks: 0, resample: {ADDED[side]}, space: 1, time: {time}}}"
