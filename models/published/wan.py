"""The Wan 2.1 VAE (arXiv 2503.20314), also the network of OneVAE (arXiv 2508.09857), as data.

Causal 3-D convolutions with zeros before the clip, RMS norm, attention in the middle, and
resampling in space and time separately.
"""

from collections.abc import Sequence
from typing import Any

Options = dict[str, Any]


def wan_options(
    width: int,
    multipliers: Sequence[int],
    temporal: Sequence[bool],
    blocks: int = 2,
) -> tuple[Options, Options]:
    """Return the options of the encoder and the decoder.

    Args:
        width: channels at full resolution (96 in Wan 2.1).
        multipliers: factor on the width per level, from full resolution down.
        temporal: for each downsampling, from full resolution down, whether it also halves time.
        blocks: residual blocks per level of the encoder; the decoder has one more.

    Returns:
        Keyword options of `CausalEncoder` and `CausalDecoder`, without latent channels.
    """
    if len(temporal) != len(multipliers) - 1:
        raise ValueError(
            f"temporal needs one flag per downsampling, {len(multipliers) - 1}, got {len(temporal)}"
        )
    widths = [width * multiplier for multiplier in multipliers]
    times = [2 if flag else 1 for flag in temporal]
    level = {"temporal_kernel": 3}
    middle = {
        **level,
        "width": widths[-1],
        "blocks": 2,
        "attention": "spatial",
        "attention_after": "inner",
    }
    down = [
        {**level, "width": w, "blocks": blocks, "resample": "split", "time": time}
        for w, time in zip(widths, times, strict=False)
    ]
    bottom = {**level, "width": widths[-1], "blocks": blocks}
    up = [
        {
            **level,
            "width": w,
            "blocks": blocks + 1,
            "resample": "split",
            "time": time,
            "resample_width": w // 2,
        }
        for w, time in zip(reversed(widths[1:]), reversed(times), strict=True)
    ]
    top = {**level, "width": widths[0], "blocks": blocks + 1}
    shared = {"norm": "rms", "norm_eps": NORM_EPS, "temporal_padding": "zeros", "zero_init": False}
    encoder = {
        **shared,
        "stages": [{**level, "width": width, "blocks": 0}, *down, bottom, middle],
        "quant_conv": True,
    }
    decoder = {**shared, "stages": [middle, *up, top], "post_quant_conv": True}
    return encoder, decoder


# The reference divides by max(norm, 1e-12), which has no effect on fp32 activations.
NORM_EPS = 1e-24
