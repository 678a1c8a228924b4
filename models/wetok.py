"""WeTok (arXiv 2508.05599) as data: the options of its encoder and decoder.

Fully convolutional, 2-D, group norm; strided convolutions down, convolution and depth-to-space up;
every level of the decoder begins with an adaptive norm driven by the latents.
"""

from collections.abc import Sequence
from typing import Any

Options = dict[str, Any]


def wetok_options(
    width: int, multipliers: Sequence[int], blocks: int = 4
) -> tuple[Options, Options]:
    """Options of the encoder and the decoder.

    Args:
        width: channels at full resolution (256 in all published models).
        multipliers: factor on the width per level, from full resolution down.
        blocks: residual blocks per level and in the middle.

    Returns:
        Keyword options of `CausalEncoder` and `CausalDecoder`, without latent channels.
    """
    widths = [width * multiplier for multiplier in multipliers]
    middle = {"width": widths[-1], "blocks": blocks}
    down = [{"width": w, "blocks": blocks, "resample": "strided"} for w in widths[:-1]]
    bottom = {"width": widths[-1], "blocks": blocks}
    up = [
        {
            "width": w,
            "blocks": blocks,
            "adaptive_norm": True,
            "resample": "depth_to_space",
            "resample_shortcut": False,
            "channel_order": "cell_first",
        }
        for w in reversed(widths[1:])
    ]
    top = {"width": widths[0], "blocks": blocks, "adaptive_norm": True}
    shared = {"norm": "group", "block_bias": False, "zero_init": False}
    encoder = {
        **shared,
        "stages": [{"width": widths[0], "blocks": 0}, *down, bottom, middle],
        "in_bias": False,
        "out_kernel": 1,
    }
    decoder = {**shared, "stages": [middle, *up, top]}
    return encoder, decoder
