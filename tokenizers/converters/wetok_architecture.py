"""The sizes of a WeTok, inferred from a checkpoint's shapes or a tokenizer's layers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ...models.causal_autoencoder import CausalDecoder, CausalEncoder
from ...models.published.wetok import wetok_options
from ..bottlenecks.gq import GQ
from ..bottlenecks.lfq import LFQ
from ..tokenizer import VisualTokenizer
from .converter import complete_options

# The 3-D variant wraps every convolution in a module that pads.
PADDED = "conv_1"

NO_WETOK = (
    "this tokenizer is not a WeTok: its layers are not those of the reference, or its "
    "bottleneck is neither gq nor lfq"
)


@dataclass(frozen=True)
class Architecture:
    """The sizes of one WeTok, as `wetok_options` takes them.

    Attributes:
        width: channels at full resolution.
        multipliers: factor on the width of each level.
        blocks: number of residual blocks per level.
        generative: whether the decoder receives noise.
        times: temporal compression of each level of the 3-D variant, or None.
        shortcut_kernel: kernel of convolutions on shortcuts.
    """

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    generative: bool
    times: tuple[int, ...] | None
    shortcut_kernel: int

    @property
    def is_video(self) -> bool:
        """True for the 3-D variant."""
        return self.times is not None

    def options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options of encoder and decoder."""
        return wetok_options(
            width=self.width,
            multipliers=self.multipliers,
            blocks=self.blocks,
            generative=self.generative,
            times=self.times,
            shortcut_kernel=self.shortcut_kernel,
        )


def infer_architecture(state: Mapping[str, Tensor], source: Path) -> Architecture:
    """Infer the sizes from the shapes of the encoder's and decoder's tensors.

    Raises:
        ValueError: a tensor is missing, or the shapes are not those of a WeTok.
    """

    def shape(name: str) -> tuple[int, ...]:
        return shape_of(state, name, source)

    width = shape("encoder.conv_in")[0]
    levels = _count(state, r"encoder\.down\.(\d+)\.")
    widths = [shape(f"encoder.down.{level}.block.0.conv1")[0] for level in range(levels)]
    if any(w % width for w in widths):
        raise ValueError(f"{source}: level widths {widths} are not multiples of {width}")
    times = None
    if len(shape("encoder.conv_in")) == 5:
        rows = [shape(f"decoder.up.{level}.upsample.conv1")[0] for level in range(1, levels)]
        times = tuple(row // (4 * w) for row, w in zip(rows, widths[1:], strict=True))
    return Architecture(
        width=width,
        multipliers=tuple(w // width for w in widths),
        blocks=_count(state, r"encoder\.mid_block\.(\d+)\."),
        generative=shape("decoder.conv_in")[1] == 2 * shape("encoder.conv_out")[0],
        times=times,
        shortcut_kernel=3 if any(".conv_shortcut." in name for name in state) else 1,
    )


def architecture_of(tokenizer: VisualTokenizer) -> Architecture:
    """Return the sizes of a tokenizer that is a WeTok.

    Raises:
        ValueError: the tokenizer is not a WeTok.
    """
    encoder, decoder = tokenizer.config["encoder_config"], tokenizer.config["decoder_config"]
    if not isinstance(tokenizer.encoder, CausalEncoder):
        raise ValueError(NO_WETOK)
    table = tokenizer.encoder.stage_table
    levels = table[1:-1]
    is_video = tokenizer.encoder.norm == "clip_group"
    found = Architecture(
        width=table[0].width,
        multipliers=tuple(stage.width // table[0].width for stage in levels),
        blocks=table[-1].blocks,
        generative=tokenizer.decoder.generative,
        times=tuple(stage.time for stage in levels[:-1]) if is_video else None,
        shortcut_kernel=encoder.get("shortcut_kernel", 1),
    )
    is_wetok = (
        bool(levels)
        and complete_options(CausalEncoder, found.options()[0])
        == complete_options(CausalEncoder, encoder)
        and complete_options(CausalDecoder, found.options()[1])
        == complete_options(CausalDecoder, decoder)
        and isinstance(tokenizer.bottleneck, GQ | LFQ)
    )
    if not is_wetok:
        raise ValueError(NO_WETOK)
    return found


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = (re.match(pattern, name) for name in state)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def shape_of(state: Mapping[str, Tensor], layer: str, source: Path) -> tuple[int, ...]:
    """Return the shape of a layer's weight.

    Raises:
        ValueError: the file has no such layer.
    """
    for name in (f"{layer}.weight", f"{layer}.{PADDED}.weight"):
        if name in state:
            return tuple(state[name].shape)
    raise ValueError(f"{source} is not a WeTok checkpoint: it has no {layer}.weight")
