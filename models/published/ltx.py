"""The LTX-Video VAE (arXiv 2501.00103) as data: versions 0.9.0 and 0.9.5.

Pixel norm, replicated frames before the clip, 4x4 patches packed column first, a decoder that sees
past and future frames. 0.9.0 downsamples by strided convolutions, 0.9.5 by space to depth.
"""

from collections.abc import Sequence
from typing import Any

Options = dict[str, Any]
PATCH = {"patch_size": 4, "patch_order": "column_first"}
SHARED = {"norm": "pixel", "shortcut_norm": True, "zero_init": False, **PATCH}


def ltx_090_options(
    widths: Sequence[int], encoder_blocks: Sequence[int], decoder_blocks: Sequence[int]
) -> tuple[Options, Options]:
    """Return the options of the 0.9.0 encoder and decoder.

    Args:
        widths: channels per level, from the pixels down (128, 256, 512, 512).
        encoder_blocks: residual blocks per level and in the middle (4, 3, 3, 3, 4), not counting
            the block after a resampling that changes the width.
        decoder_blocks: residual blocks of the decoder, in the same order.

    Returns:
        Keyword options of `CausalEncoder` and `CausalDecoder`, without latent channels.
    """
    down = _level(widths[0], encoder_blocks[0], resample="strided", time=2)
    encoder = [down]
    for index in (1, 2):
        widens = widths[index] != widths[index - 1]
        blocks = encoder_blocks[index] + widens
        encoder.append(_level(widths[index], blocks, resample="strided", time=2))
    # The last level and the middle have one width in every published version.
    widens = widths[3] != widths[2]
    encoder.append(_level(widths[3], widens + encoder_blocks[3] + encoder_blocks[4]))

    decoder = [_level(widths[3], decoder_blocks[4] + decoder_blocks[3])]
    for index in (2, 1, 0):
        widens = widths[index] != widths[index + 1]
        up = _level(widths[index], int(widens), resample="depth_to_space", time=2)
        decoder += [
            {**up, "resample_shortcut": False},
            _level(widths[index], decoder_blocks[index]),
        ]
    return {**SHARED, "stages": encoder}, {**SHARED, "stages": decoder, "causal": False}


def ltx_095_options(
    widths: Sequence[int],
    encoder_blocks: Sequence[int],
    decoder_widths: Sequence[int],
    decoder_blocks: Sequence[int],
) -> tuple[Options, Options]:
    """Return the options of the 0.9.5 (to 0.9.8) encoder and timestep-conditioned decoder.

    Args:
        widths: encoder channels per level, from the pixels down (128, 256, 512, 1024, 2048).
        encoder_blocks: residual blocks per level (4, 6, 6, 2, 2).
        decoder_widths: decoder channels per level, from the latents up (1024, 512, 256, 128).
        decoder_blocks: residual blocks per level (5, 5, 5, 5).

    Returns:
        Keyword options of `CausalEncoder` and `CausalDecoder`, without latent channels.
    """
    factors = [
        {"space": 2},
        {"space": 1, "time": 2},
        {"space": 2, "time": 2},
        {"space": 2, "time": 2},
    ]
    encoder = [
        _level(width, blocks, resample="space_to_depth", resample_width=after, **factor)
        for width, after, blocks, factor in zip(
            widths[:-1], widths[1:], encoder_blocks, factors, strict=False
        )
    ]
    encoder.append(_level(widths[-1], encoder_blocks[-1]))
    decoder = [
        _level(width, blocks, resample="depth_to_space", time=2, resample_width=after)
        for width, after, blocks in zip(
            decoder_widths[:-1], decoder_widths[1:], decoder_blocks, strict=False
        )
    ]
    decoder.append(_level(decoder_widths[-1], decoder_blocks[-1]))
    return (
        {**SHARED, "stages": encoder},
        {**SHARED, "stages": decoder, "causal": False, "timestep": True},
    )


def _level(width: int, blocks: int, **resample: Any) -> Options:
    return {"width": width, "blocks": blocks, "temporal_kernel": 3, **resample}
