"""WeTok (arXiv 2508.05599) as data: the options of its encoder and decoder.

Fully convolutional with group norm; strided convolutions downsample, convolution and depth to space
upsample. Every level of the decoder starts with an adaptive norm driven by the latents. The
generative decoder also receives noise of the latents' shape.

The published models are 2-D. The 3-D variant, for which no weights are published, sees three frames
in every 3x3 convolution (zeros before the clip), and its group norms span whole clips.
"""

from collections.abc import Sequence
from typing import Any

Options = dict[str, Any]
UPSAMPLING = {
    "resample": "depth_to_space",
    "resample_shortcut": False,
    "channel_order": "cell_first",
}


def wetok_options(
    width: int,
    multipliers: Sequence[int],
    blocks: int = 4,
    generative: bool = False,
    times: Sequence[int] | None = None,
    shortcut_kernel: int = 1,
) -> tuple[Options, Options]:
    """Return the options of the encoder and the decoder.

    Args:
        width: channels of the first layer (256 in all published models).
        multipliers: factor on the width per level, from full resolution down.
        blocks: residual blocks per level and in the middle.
        generative: whether the decoder receives noise.
        times: factor in time per downsampling, from full resolution down, for the 3-D variant (see
            `wetok_times`); None selects the 2-D one.
        shortcut_kernel: spatial kernel size of the convolutions on shortcuts (1 in all published
            models).

    Returns:
        Keyword options of `CausalEncoder` and `CausalDecoder`, without latent channels.
    """
    if times is not None and len(times) != len(multipliers) - 1:
        raise ValueError(
            f"times needs one factor per downsampling, {len(multipliers) - 1}, got {len(times)}"
        )
    widths = [width * multiplier for multiplier in multipliers]
    level = {"blocks": blocks} if times is None else {"blocks": blocks, "temporal_kernel": 3}
    stem = {**level, "width": width, "blocks": 0}
    middle = {**level, "width": widths[-1]}
    factors = [{}] * (len(widths) - 1) if times is None else [{"time": time} for time in times]
    down = [
        {**level, "width": w, "resample": "strided", **factor}
        for w, factor in zip(widths, factors, strict=False)
    ]
    up = [
        {**level, "width": w, "adaptive_norm": True, **UPSAMPLING, **factor}
        for w, factor in zip(reversed(widths[1:]), reversed(factors), strict=True)
    ]
    if times is not None:
        up = [{**stage, "first_frame": "first"} for stage in up]
    top = {**level, "width": widths[0], "adaptive_norm": True}
    shared: Options = {"norm": "group", "block_bias": False, "zero_init": False}
    if times is not None:
        shared |= {"norm": "clip_group", "temporal_padding": "zeros"}
    if shortcut_kernel != 1:
        shared["shortcut_kernel"] = shortcut_kernel
    encoder = {
        **shared,
        "stages": [stem, *down, middle, middle],
        "in_bias": False,
        "out_kernel": 1,
    }
    decoder = {**shared, "stages": [middle, *up, top]}
    return encoder, {**decoder, "generative": True} if generative else decoder


def wetok_times(multipliers: Sequence[int]) -> tuple[int, ...]:
    """Return the reference's factors in time: levels of the base width keep the frame count."""
    return tuple(1 if multiplier == 1 else 2 for multiplier in multipliers[:-1])
