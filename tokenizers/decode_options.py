"""What may be asked of a decoder besides the codes, and the inputs it gets from that.

The keywords are written down once, here, and shared by all decode functions of `VisualTokenizer`.
A keyword that the decoder has no use for raises; only `generator` may be passed to any decoder.
"""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from ..component import did_you_mean
from ..models.blocks.conditions import Conditions
from ..models.causal_autoencoder import CausalDecoder
from .noise_source import Generators, NoiseSource

Grids = Tensor | Sequence[Tensor]

# What the published denoising decoders are told at inference.
USUAL_TIMESTEP = 0.05


class ForwardOptions(TypedDict, total=False):
    """Keywords of the training forward.

    Attributes:
        noise: for generative decoders, of the codes' shape; a tensor, or a tuple of one.
        generator: source of drawn noise, one for the batch or one per clip. In training the default
            is torch's global one; otherwise every clip gets the noise of seed 0, so that decoding
            is a function of the codes.
        temperature: factor on the noise of generative decoders; 0 leaves it out.
        timestep: noise level in [0, 1], a number or (B,), for decoders that denoise; 0.05 if None.
    """

    noise: Grids | None
    generator: Generators | None
    temperature: float
    timestep: float | Tensor | None


class DecodeOptions(ForwardOptions, total=False):
    """Keywords of all ways to decode: those of the forward, and two more.

    Attributes:
        num_samples: how often a generative decoder decodes each clip, with noise of its own; they
            come out side by side, as (B * num_samples, 3, T, H, W).
        tile: side in pixels of the tiles that large frames are cut into; see `tiling.py`.
    """

    num_samples: int
    tile: int | None


class DecoderInputs:
    """The inputs of a decoder, chunk after chunk of one batch of clips.

    Args:
        decoder: who will be called.
        options: what the user asked for.

    Raises:
        TypeError: an unknown keyword.
        ValueError: a keyword that this decoder has no use for, or a value out of range.
    """

    def __init__(self, decoder: CausalDecoder, options: DecodeOptions) -> None:
        _check_options(decoder, options)
        self.decoder = decoder
        self.num_samples = options.get("num_samples", 1)
        self.timestep = options.get("timestep")
        if self.timestep is None and decoder.denoises:
            self.timestep = USUAL_TIMESTEP
        self.generator = options.get("generator")
        noise = options.get("noise")
        self.source = NoiseSource(
            noise=None if noise is None else only_grid(noise),
            generator=self.generator,
            temperature=float(options.get("temperature", 1.0)),
            num_samples=self.num_samples,
        )

    def next(self, codes: Tensor) -> tuple[Tensor, Conditions]:
        """What the decoder gets for the next latent frames (B, C, t, h, w) of the clips."""
        # Codes from indices lie channels last; on a CPU group norms are less exact over them.
        codes, timestep = codes.contiguous(), None
        if self.timestep is not None:
            levels = torch.as_tensor(self.timestep, device=codes.device, dtype=torch.float32)
            timestep = levels.expand(codes.shape[0])
        if self.num_samples > 1:
            codes = codes.repeat_interleave(self.num_samples, dim=0)
            timestep = None if timestep is None else timestep.repeat_interleave(self.num_samples)
        noise = self.source.next(codes) if self.decoder.generative else None
        return codes, Conditions(timestep=timestep, noise=noise, generator=self._injected())

    def _injected(self) -> torch.Generator | None:
        """The generator behind injected noise, whose planes all clips of a batch share."""
        if not self.decoder.injects_noise:
            return None
        if isinstance(self.generator, Sequence):
            raise ValueError(
                "this decoder injects planes of noise that the clips share: "
                f"give one generator, not {len(self.generator)}"
            )
        return self.generator


def only_grid(grids: Grids) -> Tensor:
    """The tensor itself, or the only one of a tuple."""
    if isinstance(grids, Tensor):
        return grids
    (grid,) = grids
    return grid


def _check_options(decoder: CausalDecoder, options: DecodeOptions) -> None:
    for name in options:
        known = DecodeOptions.__optional_keys__
        if name not in known:
            raise TypeError(f"unknown keyword {name!r} for a decoder{did_you_mean(name, known)}")
    asked = {
        "noise": options.get("noise") is not None,
        "temperature": options.get("temperature", 1.0) != 1.0,
        "num_samples": options.get("num_samples", 1) != 1,
    }
    for name, is_asked in asked.items():
        if is_asked and not decoder.generative:
            raise ValueError(
                f"{name} belongs to generative decoders, and this one is not: "
                "it has one answer to every code"
            )
