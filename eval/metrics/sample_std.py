"""Spread of a generative decoder's samples: how much its output depends on the noise.

A second stage of WeTok (arXiv 2508.05599) starts with zero weights on the noise. Only the
adversarial loss moves them, while reconstruction losses pull them back to zero. The spread over
samples shows whether the decoder uses the noise.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ...eval_mode import eval_mode
from ...tokenizers.decode_options import Grids
from ...tokenizers.noise_source import Generators
from ...tokenizers.tokenizer import VisualTokenizer


@torch.no_grad()
def sample_std(
    tokenizer: VisualTokenizer,
    codes: Grids,
    num_samples: int = 4,
    generator: Generators | None = None,
) -> Float[Tensor, ""]:
    """Compute the root mean square, over clips and pixels, of the standard deviation over samples.

    Args:
        tokenizer: tokenizer with a generative decoder; decodes in eval mode.
        codes: (B, C, t, h, w), or a tuple with one such grid.
        num_samples: decoded samples per clip, at least 2.
        generator: as in `VisualTokenizer.decode`; without one every call uses the same noise, so
            that values of one training run are comparable.

    Returns:
        A scalar in the unit of pixels in [-1, 1]; 0 if the noise has no effect.

    Raises:
        ValueError: fewer than two samples, or a decoder that is not generative.
    """
    if num_samples < 2:
        raise ValueError(f"num_samples must be >= 2 to have a spread, got {num_samples}")
    with eval_mode(tokenizer):
        pixels = tokenizer.decode(codes, num_samples=num_samples, generator=generator)
    samples = pixels.float().clamp(-1, 1).unflatten(0, (-1, num_samples))
    return samples.var(dim=1).mean().sqrt()
