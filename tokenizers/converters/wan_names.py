"""The names of Wan 2.1's tensors: ours, those of the original file, and those of diffusers.

Some names in a network of three levels with two residual blocks each, ours beside the original:

    encoder.quant_conv.weight                  conv1.weight
    encoder.stages.2.blocks.0.shortcut.1.bias  encoder.downsamples.3.shortcut.bias
    encoder.stages.2.resample.time.weight      encoder.downsamples.5.time_conv.weight
    encoder.stages.4.attentions.0.norm.weight  encoder.middle.1.norm.gamma
    decoder.stages.1.blocks.2.norm2.weight     decoder.upsamples.2.residual.3.gamma
    decoder.conv_out.bias                      decoder.head.2.bias

The original numbers the layers of all levels in one sequence; diffusers' AutoencoderKLWan does so
in its encoder alone. OneVAE's networks have the names of the original. Those with first-frame
enhancement have two more layers, which `FirstFrameDecoder` holds beside its network.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

# Ours -> the original's, within a residual block, a resampling layer and the attention.
INSIDE = {
    "norm1.weight": "residual.0.gamma",
    "conv1.": "residual.2.",
    "norm2.weight": "residual.3.gamma",
    "conv2.": "residual.6.",
    "shortcut.1.": "shortcut.",
    "resample.space.": "resample.1.",
    "resample.time.": "time_conv.",
    "norm.weight": "norm.gamma",
}
OUTSIDE = {
    "encoder.quant_conv.": "conv1.",
    "decoder.post_quant_conv.": "conv2.",
    "decoder.downsample_first.space.": "decoder.downsample_highres_first.resample.1.",
    "decoder.widen_first.": "decoder.upsample_highres.resample.",
    "conv_in.": "conv1.",
    "norm_out.weight": "head.0.gamma",
    "conv_out.": "head.2.",
}

# diffusers' -> the original's, in this order; residual blocks are numbered by `original_names`.
DIFFUSERS = {
    r"\.norm1\.": ".residual.0.",
    r"\.conv1\.": ".residual.2.",
    r"\.norm2\.": ".residual.3.",
    r"\.conv2\.": ".residual.6.",
    r"\.conv_shortcut\.": ".shortcut.",
    r"\.mid_block\.resnets\.0\.": ".middle.0.",
    r"\.mid_block\.resnets\.1\.": ".middle.2.",
    r"\.mid_block\.attentions\.0\.": ".middle.1.",
    r"^encoder\.down_blocks\.": "encoder.downsamples.",
    r"^(encoder|decoder)\.conv_in\.": r"\1.conv1.",
    r"^(encoder|decoder)\.norm_out\.": r"\1.head.0.",
    r"^(encoder|decoder)\.conv_out\.": r"\1.head.2.",
    r"^quant_conv\.": "conv1.",
    r"^post_quant_conv\.": "conv2.",
}
UP_BLOCK = re.compile(r"decoder\.up_blocks\.(\d+)\.(?:resnets\.(\d+)|upsamplers\.0)\.(.+)")
# 2-D layers, which are convolutions over whole clips or linear layers in ours.
FLAT = (".resample.1.weight", ".to_qkv.weight", ".proj.weight", ".upsample_highres.resample.weight")


def reference_names(names: Iterable[str], levels: int, blocks: int) -> dict[str, str]:
    """Return the original's name for each of ours; one to one, so that it can be inverted.

    Args:
        names: of tensors of an encoder and a decoder, below `encoder.` and `decoder.`.
        levels: number of resolutions of the network.
        blocks: number of residual blocks per level of the encoder.
    """
    table = {name: _reference_name(name, levels, blocks) for name in names}
    assert len(set(table.values())) == len(table), "two tensors would share a name"
    return table


def _reference_name(name: str, levels: int, blocks: int) -> str:
    found = re.fullmatch(r"(encoder|decoder)\.stages\.(\d+)\.(.+)", name)
    if found is None:
        for ours, theirs in OUTSIDE.items():
            name = name.replace(ours, theirs)
        return name
    half, level, inside = found[1], int(found[2]) - 1, found[3]
    rename = re.compile("|".join(re.escape(ours) for ours in INSIDE))
    block = re.match(r"(?:blocks\.(\d+)|attentions\.0)\.", inside)
    rest = rename.sub(
        lambda match: INSIDE[match[0]], inside.removeprefix(block[0] if block else "")
    )
    # The stage next to the latents is the last of the encoder and the first of the decoder.
    if level == (levels if half == "encoder" else -1):
        assert block is not None, "the middle stage does not resample"
        place = 1 if block[1] is None else 2 * int(block[1])
        return f"{half}.middle.{place}.{rest}"
    per_level = blocks if half == "encoder" else blocks + 1
    place = level * (per_level + 1) + (int(block[1]) if block else per_level)
    return f"{half}.{'downsamples' if half == 'encoder' else 'upsamples'}.{place}.{rest}"


def reference_shape(theirs: str, own: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor in the original, given its name there and our tensor."""
    if theirs.endswith(".gamma"):
        return (*own.shape, 1, 1) if ".middle.1." in theirs else (*own.shape, 1, 1, 1)
    if theirs.endswith(FLAT):
        kernel = own.shape[-2:] if own.ndim > 2 else (1, 1)
        return (*own.shape[:2], *kernel)
    return tuple(own.shape)


def own_weights(
    names: Mapping[str, str], state: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of a file under our names and in our shapes, where the file has them.

    Args:
        names: of the tensors in the file, by our names.
        state: tensors of the file.
        own: our tensors, which may be on the meta device.

    Raises:
        ValueError: a tensor has another shape.
    """
    weights = {}
    for ours, theirs in names.items():
        if theirs not in state:
            continue
        expected, found = reference_shape(theirs, own[ours]), tuple(state[theirs].shape)
        if found != expected:
            raise ValueError(f"{theirs} should be {expected}, got {found}")
        weights[ours] = state[theirs].reshape(own[ours].shape)
    return weights


def reference_weights(names: Mapping[str, str], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our tensors under the names and in the shapes of the original."""
    return {
        theirs: own[ours].detach().cpu().reshape(reference_shape(theirs, own[ours])).clone()
        for ours, theirs in names.items()
    }


def original_names(names: Iterable[str], blocks: int) -> dict[str, str]:
    """Return the original's name for each of diffusers' AutoencoderKLWan.

    Args:
        names: of tensors of an AutoencoderKLWan; others are left as they are.
        blocks: number of residual blocks per level of its encoder, `num_res_blocks`.
    """
    return {name: _original_name(name, blocks) for name in names}


def _original_name(name: str, blocks: int) -> str:
    found = UP_BLOCK.fullmatch(name)
    if found is not None:
        inside = blocks + 1 if found[2] is None else int(found[2])
        name = f"decoder.upsamples.{int(found[1]) * (blocks + 2) + inside}.{found[3]}"
    for theirs, original in DIFFUSERS.items():
        name = re.sub(theirs, original, name)
    return name
