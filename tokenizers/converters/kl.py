"""diffusers' AutoencoderKL, the autoencoder of latent diffusion: reading folders, and writing them.

A folder holds `config.json` and `diffusion_pytorch_model.safetensors`. Some names in a network of
two levels, ours beside those of diffusers:

    encoder.stages.0.resample.space.weight     encoder.down_blocks.0.downsamplers.0.conv.weight
    encoder.stages.2.blocks.1.conv2.weight     encoder.mid_block.resnets.1.conv2.weight
    encoder.stages.2.attentions.0.proj.bias    encoder.mid_block.attentions.0.to_out.0.bias
    decoder.stages.2.blocks.0.shortcut.1.bias  decoder.up_blocks.1.resnets.0.conv_shortcut.bias
    decoder.post_quant_conv.weight             post_quant_conv.weight

Our `to_qkv` is theirs of q, k and v, one after another; attention may have the names of older
files. The latent scale is carried over. `sample_size` and `force_upcast`, which say how diffusers
runs the model, are not: a folder that is written has their defaults.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from ..pretrained import read_config
from ..tokenizer import VisualTokenizer
from .checkpoint_file import Tensors, read_checkpoint
from .converter import Conversion, Converter, account, load_exactly
from .diffusers_folder import CONFIG, check_empty, find_weights
from .kl_config import CLASS, check_config, config_of

# Ours -> theirs.
LEVEL = {
    "encoder": ("down_blocks", "downsamplers.0.conv."),
    "decoder": ("up_blocks", "upsamplers.0.conv."),
}
INSIDE = {
    "blocks.": "resnets.",
    ".shortcut.1.": ".conv_shortcut.",
    "attentions.0.norm.": "attentions.0.group_norm.",
    "attentions.0.proj.": "attentions.0.to_out.0.",
}
HEAD = {
    "encoder.quant_conv.": "quant_conv.",
    "decoder.post_quant_conv.": "post_quant_conv.",
    "norm_out.": "conv_norm_out.",
}
STACKED = ("to_q", "to_k", "to_v")
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class KLConverter(Converter):
    """The converter of diffusers' AutoencoderKL; every size is in its config."""

    def read(self, checkpoint: Path) -> Conversion:
        """Read a folder with config.json and weights in safetensors."""
        weights = find_weights(checkpoint, CLASS)
        state = read_checkpoint(weights)
        tokenizer = read_autoencoder(read_config(checkpoint / CONFIG), state)
        return Conversion(
            source=weights,
            tokenizer=tokenizer,
            weights=f"{len(state)} tensors",
            used=len(state),
            ignored={},
        )

    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write a folder that diffusers' AutoencoderKL.from_pretrained reads."""
        check_empty(folder)
        config, own = config_of(tokenizer), tokenizer.state_dict()
        state: Tensors = {}
        for ours, theirs in reference_names(own, config.levels).items():
            tensor = own[ours].squeeze(2) if own[ours].ndim == 5 else own[ours]
            parts = tensor.detach().cpu().chunk(len(theirs))
            state |= {name: part.clone() for name, part in zip(theirs, parts, strict=True)}
        with torch.device("meta"):
            model = AutoencoderKL(**config.model_dump())
        model.load_state_dict(state, strict=True, assign=True)
        model.save_pretrained(folder)
        return folder


def read_autoencoder(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> VisualTokenizer:
    """Return the tokenizer with the network and weights of an AutoencoderKL.

    Args:
        config: of the AutoencoderKL; settings that it lacks have the defaults of the class.
        state: its state dict.

    Returns:
        The tokenizer in eval mode, in float32 on the CPU.

    Raises:
        ValueError: the network is not one of our blocks', or tensors are missing or left over.
    """
    checked = check_config(config)
    with torch.device("meta"):
        tokenizer = checked.build()
    tensors = {_modern_name(name): tensor.cpu() for name, tensor in state.items()}
    own = tokenizer.state_dict()
    names = reference_names(own, checked.levels)
    used = {name for theirs in names.values() for name in theirs}
    missing = sorted(used - tensors.keys())
    if missing:
        raise ValueError(
            f"{len(missing)} tensor(s) of the AutoencoderKL are missing: {', '.join(missing[:5])}"
            f"{', …' if len(missing) > 5 else ''}"
        )
    account(tensors, used, {})
    weights = {
        ours: _joined([tensors[name] for name in theirs], theirs, own[ours])
        for ours, theirs in names.items()
    }
    load_exactly(tokenizer, weights, "AutoencoderKL")
    return tokenizer.eval()


def reference_names(names: Iterable[str], levels: int) -> dict[str, tuple[str, ...]]:
    """Return diffusers' names for each of ours: one, or those of q, k and v."""
    table = {name: _reference_names(name, levels) for name in names}
    flat = [theirs for group in table.values() for theirs in group]
    assert len(set(flat)) == len(flat), "two tensors would share a name"
    return table


def _reference_names(name: str, levels: int) -> tuple[str, ...]:
    side, _, inside = name.partition(".")
    found = re.fullmatch(r"stages\.(\d+)\.(.+)", inside)
    if found is None:
        for ours, theirs in HEAD.items():
            name = name.replace(ours, theirs)
        return (name,)
    stage, inside = int(found[1]), found[2]
    level = stage if side == "encoder" else stage - 1
    blocks, resample = LEVEL[side]
    place = f"{blocks}.{level}" if level in range(levels) else "mid_block"
    for ours, theirs in {**INSIDE, "resample.space.": resample}.items():
        inside = inside.replace(ours, theirs)
    parts = STACKED if ".to_qkv." in inside else ("to_qkv",)
    return tuple(f"{side}.{place}.{inside.replace('to_qkv', part)}" for part in parts)


def _joined(parts: Sequence[Tensor], names: Sequence[str], own: Tensor) -> Tensor:
    """Return the parts of one of our tensors, stacked, with the axis of time where it has one.

    Raises:
        ValueError: a part has another shape.
    """
    rows, *rest = own.shape[:2] + own.shape[-2:] if own.ndim == 5 else own.shape
    expected = (rows // len(parts), *rest)
    for name, part in zip(names, parts, strict=True):
        if part.shape != expected:
            raise ValueError(f"{name} should be {expected}, got {tuple(part.shape)}")
    return torch.cat(list(parts)).view(own.shape)


def _modern_name(name: str) -> str:
    """Return the name of a tensor in today's diffusers, which has renamed attention."""
    old = re.fullmatch(r"(.+\.attentions\.0)\.(query|key|value|proj_attn)\.(weight|bias)", name)
    return f"{old[1]}.{OLD_ATTENTION[old[2]]}.{old[3]}" if old else name
