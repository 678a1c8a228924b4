"""The autoencoder of latent diffusion (arXiv 2112.10752), diffusers' AutoencoderKL, as data.

Group norm, attention in the middle, strided convolutions down (with zeros below and to the right),
nearest neighbors and a convolution up. Stable Diffusion 1 to 3, SDXL and Flux have this network.

The 3-D variant is not published by latent diffusion. It is the target of `adapt: inflate`: the same
stages, whose convolutions see three frames.
"""

from collections.abc import Sequence
from typing import Any

Options = dict[str, Any]


def kl_options(
    widths: Sequence[int],
    blocks: int = 2,
    *,
    middle_attention: bool = True,
    quant_conv: bool = True,
    post_quant_conv: bool = True,
    times: Sequence[int] | None = None,
) -> tuple[Options, Options]:
    """Return the options of the encoder and the decoder.

    Args:
        widths: channels per level, from full resolution down (128, 256, 512, 512).
        blocks: residual blocks per level of the encoder; the decoder has one more.
        middle_attention: whether the two blocks next to the latents have attention between them.
        quant_conv: whether a 1x1 convolution follows the encoder.
        post_quant_conv: whether a 1x1 convolution precedes the decoder.
        times: factor in time per downsampling, from full resolution down, for the 3-D variant; None
            selects the 2-D one.

    Returns:
        Keyword options of `CausalEncoder` and `CausalDecoder`, without latent channels.
    """
    factors: list[Options] = [{}] * (len(widths) - 1)
    if times is not None:
        if len(times) != len(widths) - 1:
            raise ValueError(
                f"times needs one factor per downsampling, {len(widths) - 1}, got {len(times)}"
            )
        factors = [{"time": time} for time in times]
    level: Options = {} if times is None else {"temporal_kernel": 3}
    middle = {**level, "width": widths[-1], "blocks": 2}
    if middle_attention:
        middle |= {"attention": "spatial", "attention_after": "inner"}
    down = [
        {**level, "width": width, "blocks": blocks, "resample": "split", **factor}
        for width, factor in zip(widths, factors, strict=False)
    ]
    bottom = {**level, "width": widths[-1], "blocks": blocks}
    up = [
        {**level, "width": width, "blocks": blocks + 1, "resample": "split", **factor}
        for width, factor in zip(reversed(widths[1:]), reversed(factors), strict=True)
    ]
    top = {**level, "width": widths[0], "blocks": blocks + 1}
    shared: Options = {"norm": "group", "zero_init": False}
    encoder = {**shared, "stages": [*down, bottom, middle], "quant_conv": quant_conv}
    decoder = {**shared, "stages": [middle, *up, top], "post_quant_conv": post_quant_conv}
    return encoder, decoder
