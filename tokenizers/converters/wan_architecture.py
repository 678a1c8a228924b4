"""The sizes of a network of Wan 2.1's kind, inferred from tensors or a tokenizer's layers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from torch import Tensor

from ...models.causal_autoencoder import CausalDecoder, CausalEncoder
from ...models.published.wan import wan_options
from ..tokenizer import VisualTokenizer
from .converter import complete_options

NO_WAN = "this tokenizer is not a Wan 2.1 VAE: its stages are not those of wan_options"

BLOCK = r"encoder\.downsamples\.(\d+)\.residual\."

REMEDY = (
    "diffusers:AutoencoderKLWan:FOLDER, with the folder of the model in diffusers' format, works "
    "wherever a tokenizer is"
)


@dataclass(frozen=True)
class WanArchitecture:
    """The sizes of one network, as `wan_options` takes them.

    Attributes:
        width: channels of the encoder at full resolution.
        decoder_width: channels of the decoder at full resolution.
        multipliers: factor on the width of each level.
        temporal: for each downsampling, whether it also halves time.
        blocks: number of residual blocks per level of the encoder.
        latent_channels: channels of the latents.
    """

    width: int
    decoder_width: int
    multipliers: tuple[int, ...]
    temporal: tuple[bool, ...]
    blocks: int
    latent_channels: int

    @property
    def levels(self) -> int:
        """Number of resolutions of the network."""
        return len(self.multipliers)

    def networks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options of encoder and decoder."""
        encoder, _ = wan_options(self.width, self.multipliers, self.temporal, self.blocks)
        _, decoder = wan_options(self.decoder_width, self.multipliers, self.temporal, self.blocks)
        return encoder, decoder

    def build(self, bottleneck: Mapping[str, Any], **scale: Any) -> VisualTokenizer:
        """Build the tokenizer of this network, its parameters on the meta device.

        Args:
            bottleneck: options of the bottleneck, with `kind`.
            scale: statistics of the latents, as `VisualTokenizer` takes them.
        """
        encoder, decoder = self.networks()
        with init_empty_weights(include_buffers=False):
            return VisualTokenizer(
                {"kind": "causal", **encoder}, bottleneck, {"kind": "causal", **decoder}, **scale
            )


def infer_architecture(state: Mapping[str, Tensor], source: Path) -> WanArchitecture:
    """Infer the sizes from tensors under the names of the original.

    Raises:
        ValueError: a tensor is missing, or the tensors are those of another network.
    """
    _check_names(state, source)

    def size(name: str, axis: int = 0) -> int:
        tensor = state.get(f"{name}.weight")
        if tensor is None or tensor.ndim < 2:
            raise ValueError(f"{source} is not a Wan 2.1 VAE: it has no kernel {name}.weight")
        return tensor.shape[axis]

    width, last = size("encoder.conv1"), size("decoder.head.2", axis=1)
    resampling = _numbers(state, r"encoder\.downsamples\.(\d+)\.resample\.")
    blocks = min(resampling) if resampling else len(_numbers(state, BLOCK))
    widths = [
        size(f"encoder.downsamples.{level * (blocks + 1)}.residual.6")
        for level in range(len(resampling) + 1)
    ]
    if any(w % width for w in widths):
        raise ValueError(f"{source}: level widths {widths} are not multiples of {width}")
    if last % (widths[0] // width):
        raise ValueError(
            f"{source}: the decoder's last width {last} is not a multiple of {widths[0] // width}"
        )
    return WanArchitecture(
        width=width,
        decoder_width=last // (widths[0] // width),
        multipliers=tuple(w // width for w in widths),
        temporal=tuple(
            f"encoder.downsamples.{number}.time_conv.weight" in state
            for number in sorted(resampling)
        ),
        blocks=blocks,
        latent_channels=size("conv2"),
    )


def _numbers(state: Mapping[str, Tensor], pattern: str) -> set[int]:
    return {int(found[1]) for found in (re.match(pattern, name) for name in state) if found}


def _check_names(state: Mapping[str, Tensor], source: Path) -> None:
    """Raise for networks that the original's names show to be others than Wan 2.1's.

    Raises:
        ValueError: Wan 2.2's residual variant, or attention within levels.
    """
    nested = re.compile(
        r"(encoder\.downsamples\.\d+\.downsamples|decoder\.upsamples\.\d+\.upsamples"
        r"|encoder\.downsamples\.\d+\.(resnets|downsampler)|decoder\.up_blocks\.\d+\.upsampler)\."
    )
    stem = state.get("encoder.conv1.weight")
    packed = stem is not None and stem.ndim > 1 and stem.shape[1] != 3
    if packed or any(nested.match(name) for name in state):
        raise ValueError(
            f"{source} is Wan 2.2's residual variant, which vistok's blocks cannot be; {REMEDY}"
        )
    within = re.compile(r"(encoder\.downsamples|decoder\.upsamples)\.\d+\.to_qkv\.")
    if any(within.match(name) for name in state):
        raise ValueError(
            f"{source} has attention within levels (attn_scales), which no published model has and "
            "vistok does not support"
        )


def architecture_of(tokenizer: VisualTokenizer) -> WanArchitecture:
    """Return the sizes of a tokenizer whose networks are Wan 2.1's, whatever its bottleneck.

    Raises:
        ValueError: networks of other layers.
    """
    encoder, decoder = tokenizer.encoder, tokenizer.decoder
    if not (isinstance(encoder, CausalEncoder) and isinstance(decoder, CausalDecoder)):
        raise ValueError(NO_WAN)
    first, *levels = encoder.stage_table[:-1] or encoder.stage_table
    if not levels or not levels[0].blocks or any(s.width % first.width for s in levels):
        raise ValueError(NO_WAN)
    multipliers = tuple(stage.width // first.width for stage in levels)
    found = WanArchitecture(
        width=first.width,
        decoder_width=decoder.stage_table[-1].width // multipliers[0],
        multipliers=multipliers,
        temporal=tuple(stage.time > 1 for stage in levels[:-1]),
        blocks=levels[0].blocks,
        latent_channels=tokenizer.bottleneck.code_dim,
    )
    for network, options, name in zip(
        (CausalEncoder, CausalDecoder), found.networks(), ("encoder", "decoder"), strict=True
    ):
        given = complete_options(network, tokenizer.config[f"{name}_config"])
        if complete_options(network, {"kind": "causal", **options}) != given:
            raise ValueError(NO_WAN)
    return found
