"""NoiseSource: the noise of a generative decoder, given or drawn.

A generative decoder decodes one code to many images, one for each noise. The noise is either given
or drawn from N(0, temperature^2) by seeded generators, so that every result can be reproduced. Each
latent frame is drawn separately: a stream of chunks gets the same noise as the whole clip.
"""

from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

DEFAULT_SEED = 0

Generators = torch.Generator | Sequence[torch.Generator]


class NoiseSource:
    """Noise for one batch of clips, frame after frame.

    Args:
        noise: the noise of whole clips, (B * num_samples, C, t, h, w), the samples of a clip
            adjacent; None draws it.
        generator: one for the batch, or one for each clip, which makes a clip's noise independent
            of its batch. Without one every clip gets the same noise, that of seed 0: decoding is
            then a function of the codes.
        temperature: factor on the noise; 0 disables it.
        num_samples: number of draws per clip.

    Raises:
        ValueError: a negative temperature, no sample, or both noise and a generator.
    """

    def __init__(
        self,
        noise: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float = 1.0,
        num_samples: int = 1,
    ) -> None:
        if temperature < 0:
            raise ValueError(f"temperature must be >= 0, got {temperature}")
        if num_samples < 1:
            raise ValueError(f"num_samples must be >= 1, got {num_samples}")
        if noise is not None and generator is not None:
            raise ValueError("noise is given, so a generator has no effect: pass one of the two")
        self.noise, self.temperature, self.num_samples = noise, temperature, num_samples
        self.generator = generator
        self._shared: torch.Generator | None = None
        self._taken = 0

    def next(self, codes: Float[Tensor, "B C t h w"]) -> Float[Tensor, "B C t h w"]:
        """Return the noise of the clips' next latent frames.

        Args:
            codes: the codes that the noise is for, each clip `num_samples` times in a row.
        """
        if self.noise is not None:
            frames = self._given(self.noise, codes)
        elif self.temperature == 0:
            return torch.zeros_like(codes)
        else:
            frames = torch.stack([self._draw(codes) for _ in range(codes.shape[2])], dim=2)
        return self.temperature * frames.to(codes.device, codes.dtype)

    def check_used_up(self) -> None:
        """Raise if more latent frames of noise were given than of codes."""
        if self.noise is not None and self._taken != self.noise.shape[2]:
            raise ValueError(
                f"noise must have as many latent frames as the codes, {self._taken}, "
                f"got {self.noise.shape[2]}"
            )

    def _given(self, noise: Tensor, codes: Tensor) -> Tensor:
        frames = noise[:, :, self._taken : self._taken + codes.shape[2]]
        if frames.shape != codes.shape:
            raise ValueError(
                "noise must have the shape of the codes"
                f"{', repeated num_samples times' if self.num_samples > 1 else ''}, "
                f"{tuple(codes.shape)}, got {tuple(noise.shape)}"
            )
        self._taken += codes.shape[2]
        return frames

    def _draw(self, codes: Tensor) -> Float[Tensor, "B C h w"]:
        """Draw one latent frame of all clips, in fp32 so that it is the same for every dtype."""
        batch, frame = codes.shape[0], (codes.shape[1], *codes.shape[3:])
        clips = batch // self.num_samples
        if self.generator is None:
            if self._shared is None:
                self._shared = torch.Generator().manual_seed(DEFAULT_SEED)
            drawn = randn_tensor((self.num_samples, *frame), self._shared, codes.device)
            return drawn.repeat(clips, 1, 1, 1)
        generator = self.generator
        if isinstance(generator, Sequence):
            if len(generator) != clips:
                raise ValueError(
                    f"generator must be a single one or one for each of the {clips} clips, "
                    f"got {len(generator)}"
                )
            generator = [one for one in generator for _ in range(self.num_samples)]
        return randn_tensor((batch, *frame), generator, codes.device)
