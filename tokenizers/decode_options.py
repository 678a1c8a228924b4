"""Keyword options of all decode functions, and the decoder inputs that they determine.

The options are declared once, here, and shared by all decode functions of `VisualTokenizer`. An
option that has no effect on the decoder raises; only `generator` may be passed to any decoder.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

from ..models.blocks.conditions import Conditions
from ..models.network import Decoder
from ..option_errors import did_you_mean
from .noise_source import Generators, NoiseSource

Grids = Tensor | Sequence[Tensor]

# The noise level at which published denoising decoders are run.
DEFAULT_TIMESTEP = 0.05


class ForwardOptions(TypedDict, total=False):
    """Keywords of the training forward.

    Attributes:
        noise: for generative decoders, of the codes' shape; a tensor, or a tuple of one.
        generator: random generator of the noise, one for the batch or one per clip. In training
            the default is torch's global one; otherwise every clip gets the noise of seed 0, so
            that decoding is a function of the codes.
        temperature: factor on the noise of generative decoders; 0 disables it.
        timestep: noise level in [0, 1], a number or (B,), for decoders that denoise; 0.05 if None.
    """

    noise: Grids | None
    generator: Generators | None
    temperature: float
    timestep: float | Tensor | None


class DecodeOptions(ForwardOptions, total=False):
    """Keywords of the decode functions: those of the training forward, and two more.

    Attributes:
        num_samples: number of times a generative decoder decodes each clip, every time with
            different noise; the result is (B * num_samples, 3, T, H, W), the samples of a clip
            adjacent.
        tile: side in pixels of the tiles that large frames are cut into; see `tiling.py`.
    """

    num_samples: int
    tile: int | None


class DecoderInputs:
    """The inputs of a decoder, chunk after chunk of one batch of clips.

    Args:
        decoder: the decoder that will be called.
        options: keywords that the user passed.

    Raises:
        TypeError: an unknown keyword.
        ValueError: a keyword without effect on this decoder, or a value out of range.
    """

    def __init__(self, decoder: Decoder, options: DecodeOptions) -> None:
        _check_options(decoder, options)
        self.decoder = decoder
        self.num_samples = options.get("num_samples", 1)
        self.timestep = options.get("timestep")
        if self.timestep is None and decoder.denoises:
            self.timestep = DEFAULT_TIMESTEP
        self.generator = options.get("generator")
        noise = options.get("noise")
        self.source = NoiseSource(
            noise=None if noise is None else only_grid(noise),
            generator=self.generator,
            temperature=float(options.get("temperature", 1.0)),
            num_samples=self.num_samples,
        )

    def next(self, codes: Tensor) -> tuple[Tensor, Conditions]:
        """Return codes and conditions for the clips' next latent frames (B, C, t, h, w)."""
        # Codes made from indices are channels last, where group norms on a CPU are less exact.
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
        """Return the generator of injected noise, whose planes all clips of a batch share."""
        if not self.decoder.injects_noise:
            return None
        if isinstance(self.generator, Sequence):
            raise ValueError(
                "this decoder injects planes of noise that the clips share: "
                f"pass one generator, not {len(self.generator)}"
            )
        return self.generator


def only_grid(grids: Any) -> Any:
    """Return the only grid of a tuple; anything else, which the caller checks, as it is.

    Raises:
        ValueError: a tuple of another number of grids.
    """
    if not isinstance(grids, tuple | list):
        return grids
    if len(grids) != 1:
        raise ValueError(f"this tokenizer has one grid per encoding, got {len(grids)}")
    return grids[0]


def _check_options(decoder: Decoder, options: DecodeOptions) -> None:
    for name in options:
        known = DecodeOptions.__optional_keys__
        if name not in known:
            raise TypeError(f"unknown keyword {name!r} for a decoder{did_you_mean(name, known)}")
    given = {
        "noise": options.get("noise") is not None,
        "temperature": options.get("temperature", 1.0) != 1.0,
        "num_samples": options.get("num_samples", 1) != 1,
    }
    for name, is_given in given.items():
        if is_given and not decoder.generative:
            raise ValueError(
                f"{name} has no effect: this decoder is not generative, it decodes codes in one way"
            )
