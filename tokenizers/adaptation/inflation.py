"""Inflation: from an image autoencoder to a causal video one that treats images as before.

The video networks have the stages of the image networks and see time besides (`inflation_rules.py`
names what may be added). Their weights start so that an image, and so the first frame of a clip, is
coded and reconstructed as before, up to rounding:

    convolution          the image's kernel is the tap on the present frame; all others are zero
    strided, in time     so it keeps the last of `time` frames
    split, in time       the convolutions over time, which skip the first frame, keep the last of
                         two frames (down), and repeat a frame (up)
    nearest, in time     repeats a frame, as ever
    depth_to_space       makes each of the `time` frames from copies of the image's channels; where
                         that leaves the shortcut with other channels of its input than before, the
                         difference is added to the tap on the present position
    temporal attention   its output projection starts at zero
    stage for time only  an identity: the last of `time` frames (down), or a repeated frame (up)

That leaves open how later frames start. Here every one starts as an image: with norms of single
frames, a latent frame is that of the last of its `time` frames, and all of them are decoded to its
reconstruction. This choice is ours. A mean of the frames would blur motion, and dim the first frame
of a clip behind padding of zeros.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...eval_mode import eval_mode
from ...models.blocks.attention import TemporalAttention
from ...models.blocks.causal_conv import CausalConv3d
from ...models.blocks.downsample import SplitDown, StridedDown
from ...models.blocks.patchify import depth_to_space, space_to_depth
from ...models.blocks.stage import Stage
from ...models.blocks.upsample import DepthToSpaceUp, NearestUp, SplitUp
from ...models.causal_autoencoder import CausalNetwork
from ..bottlenecks.bottleneck import Bottleneck
from ..bottlenecks.dual_path import paths_of
from ..tokenizer import VisualTokenizer
from .inflation_rules import match_stages_in_time, networks_of

PROBED_VECTORS = 64


@dataclass(frozen=True)
class Inflation:
    """The weights of an inflated tokenizer that are not simply those of its source.

    Attributes:
        origin: for every name in the target that has a counterpart, its name in the source.
        weights: the tensors that differ from their counterpart, or that have none, by name in the
            target.
    """

    origin: dict[str, str]
    weights: dict[str, Tensor]


def inflate(source: VisualTokenizer, target: VisualTokenizer) -> Inflation:
    """Return weights with which `target` treats images as `source` does; neither is changed.

    Raises:
        ValueError: the models differ by more than inflation can add.
    """
    _check_bottlenecks(source.bottleneck, target.bottleneck)
    origin = {name: name for name in target.state_dict()}
    weights: dict[str, Tensor] = {}
    for side in ("encoder", "decoder"):
        theirs, ours = networks_of(side, getattr(source, side), getattr(target, side))
        stages = match_stages_in_time(side, theirs, ours)
        for name in ours.state_dict():
            old = _name_in_source(name, stages)
            del origin[f"{side}.{name}"]
            if old is not None:
                origin[f"{side}.{name}"] = f"{side}.{old}"
        inflated = _inflated_weights(theirs, ours, stages)
        weights |= {f"{side}.{name}": tensor for name, tensor in inflated.items()}
    return Inflation(origin, weights)


def _name_in_source(name: str, stages: Mapping[int, int | None]) -> str | None:
    """Return the name of a module or tensor in the source's network, None inside added stages."""
    head, *rest = name.split(".")
    if head != "stages" or not rest:
        return name
    index = stages[int(rest[0])]
    return None if index is None else ".".join([head, str(index), *rest[1:]])


def _inflated_weights(
    source: CausalNetwork, target: CausalNetwork, stages: Mapping[int, int | None]
) -> dict[str, Tensor]:
    """Return the weights of one network that the source does not have in this form."""
    modules = dict(source.named_modules())
    kernels: dict[str, Tensor] = {}
    layers: dict[str, Tensor] = {}
    for name, module in target.named_modules():
        old_name = _name_in_source(name, stages)
        old = None if old_name is None else modules.get(old_name)
        if isinstance(module, CausalConv3d) and isinstance(old, CausalConv3d):
            kernels |= _below(name, _placed(old, module))
        elif isinstance(module, DepthToSpaceUp) and isinstance(old, DepthToSpaceUp):
            layers |= _below(name, _repeated_channels(old, module))
        elif isinstance(module, SplitDown | SplitUp) and isinstance(old, SplitDown | SplitUp):
            layers |= _below(name, _kept_frames(old, module))
        elif isinstance(module, StridedDown | NearestUp) and old_name is None:
            layers |= _below(f"{name}.conv", _identity(module.conv))
        elif isinstance(module, TemporalAttention) and old is None:
            layers |= _below(name, _silent(module))
    return kernels | layers


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{leaf}": tensor for leaf, tensor in tensors.items()}


def _placed(old: CausalConv3d, new: CausalConv3d) -> dict[str, Tensor]:
    """Place a kernel in a longer one, so that both have the same tap on the present frame."""
    before = new.frames_before - old.frames_before
    after = new.frames_after - old.frames_after
    if before < 0 or after < 0 or (before, after) == (0, 0):
        return {}
    return {"weight": F.pad(old.weight.detach(), (0, 0, 0, 0, before, after))}


def _repeated_channels(old: DepthToSpaceUp, new: DepthToSpaceUp) -> dict[str, Tensor]:
    """Make every frame of a cell as the source makes its only one."""
    if new.stage.time == old.stage.time:
        return {}
    placed = _placed(old.conv, new.conv).get("weight", old.conv.weight.detach())
    # Packed channels last: one row per input channel and tap.
    rows = placed.flatten(1).transpose(0, 1)
    weight = _repeat_frames(rows, new.stage).transpose(0, 1).unflatten(1, placed.shape[1:])
    weight = weight.contiguous()
    center = new.conv.kernel_size[1] // 2
    weight[:, :, new.conv.frames_before, center, center] += _moved_shortcut(old, new).to(weight)
    assert old.conv.bias is not None, "convolutions that upsample have a bias"
    bias = _repeat_frames(old.conv.bias.detach()[None], new.stage)[0]
    return {"conv.weight": weight, "conv.bias": bias}


def _repeat_frames(packed: Tensor, stage: Stage) -> Tensor:
    """Repeat the only frame in packed channels (N, C) of a stage, once for each of its frames."""
    order, space = stage.channel_order, stage.space
    cells = depth_to_space(packed[:, :, None, None, None], 1, space, order)
    return space_to_depth(cells.repeat_interleave(stage.time, 2), stage.time, space, order).flatten(
        1
    )


def _moved_shortcut(old: DepthToSpaceUp, new: DepthToSpaceUp) -> Tensor:
    """Return the map from input to packed output channels by which two shortcuts differ."""
    stage = new.stage
    shape = stage.out_width * stage.cell, stage.width
    if not stage.resample_shortcut:
        return torch.zeros(shape)
    basis = torch.eye(stage.width)[:, :, None, None, None]

    def packed(time: int) -> Tensor:
        cells = depth_to_space(basis, time, stage.space, stage.channel_order)
        cells = cells.repeat(1, stage.out_width // cells.shape[1], 1, 1, 1)
        return space_to_depth(cells, time, stage.space, stage.channel_order).flatten(1)

    return (_repeat_frames(packed(1), stage) - packed(stage.time)).transpose(0, 1)


def _identity(conv: CausalConv3d) -> dict[str, Tensor]:
    """Return the weights of a convolution that copies the present frame."""
    center = conv.kernel_size[1] // 2
    weight = torch.zeros_like(conv.weight)
    nn.init.eye_(weight[:, :, conv.frames_before, center, center])
    return _with_bias(conv, weight)


def _kept_frames(old: SplitDown | SplitUp, new: SplitDown | SplitUp) -> dict[str, Tensor]:
    """Return the weights of a new convolution over time that copies the present frame(s)."""
    if new.time is None or old.time is not None:
        return {}
    weight = torch.zeros_like(new.time.weight)
    # One block of output channels (down), or one for each of two frames (up).
    for copies in weight[:, :, -1, 0, 0].split(weight.shape[1]):
        nn.init.eye_(copies)
    return _below("time", _with_bias(new.time, weight))


def _with_bias(conv: nn.Conv3d, weight: Tensor) -> dict[str, Tensor]:
    """Return the weight of a convolution, and a bias of zero if it has one."""
    bias = {} if conv.bias is None else {"bias": torch.zeros_like(conv.bias)}
    return {"weight": weight, **bias}


def _silent(attention: TemporalAttention) -> dict[str, Tensor]:
    """Return the layer's own weights, with an output of zero."""
    return {
        name: torch.zeros_like(tensor) if name.startswith("proj.") else tensor.clone()
        for name, tensor in attention.state_dict().items()
    }


def _check_bottlenecks(source: Bottleneck, target: Bottleneck) -> None:
    """Raise if latents would get other codes; other tensors are left to the general check.

    Codes are compared for random vectors, since not every option of a bottleneck matters to them.

    Raises:
        ValueError: bottlenecks of different kinds, or whose codes differ.
    """
    if type(source) is not type(target):
        raise ValueError(
            f"adapt: inflate: the bottleneck is {type(source).__name__} in start.source and "
            f"{type(target).__name__} in the model; inflate with the same kind, and change it in a "
            "later stage with adapt: align"
        )
    theirs, ours = source.state_dict(), target.state_dict()
    shapes = [{name: tensor.shape for name, tensor in side.items()} for side in (theirs, ours)]
    if shapes[0] != shapes[1] or source.dim != target.dim:
        return
    loaded = copy.deepcopy(target)
    loaded.load_state_dict(theirs)
    vectors = torch.randn(PROBED_VECTORS, source.dim, generator=torch.Generator().manual_seed(0))
    if not _same_codes(source, loaded, vectors):
        raise ValueError(
            "adapt: inflate: the bottlenecks of start.source and of the model give the same "
            "latents different codes, so images would change; give model.bottleneck the options of "
            "the source's (weights of losses may differ)"
        )


@torch.no_grad()
def _same_codes(source: Bottleneck, target: Bottleneck, vectors: Tensor) -> bool:
    results = []
    for bottleneck in (source, target):
        device = next(iter(bottleneck.state_dict().values()), vectors).device
        with eval_mode(bottleneck):
            given = vectors.to(device)
            results.append([path(given).codes.cpu() for path in paths_of(bottleneck).values()])
    return all(
        theirs.shape == ours.shape and torch.allclose(theirs, ours, rtol=1e-5, atol=1e-6)
        for theirs, ours in zip(*results, strict=True)
    )
