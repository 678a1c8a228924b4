"""Checks of the tensors that users pass to a tokenizer.

A wrong range, dtype or layout would not fail but silently give a wrong result. Checks that read
values wait for the GPU, so they belong to the entry points for users and not to the training
forward; they are skipped where values do not exist (meta tensors) or while torch compiles.
"""

import torch
from torch import Tensor

from .bottlenecks.bottleneck import all_finite
from .layout import Layout, Size, SizeRule

# Pixels are in [-1, 1], but bicubic and Lanczos filters overshoot (in two dimensions by at most
# 1.9, for the sharpest patterns), and reconstructions that are not clamped do, too.
MAX_ABS_PIXEL = 2.0


def check_pixels(pixels: Tensor) -> None:
    """Raise unless pixels are floats of the shape (B, 3, T, H, W)."""
    if pixels.ndim != 5 or pixels.shape[1] != 3:
        raise ValueError(
            f"pixels must be (B, 3, T, H, W), got shape {tuple(pixels.shape)}; "
            "for images (B, 3, H, W) use encode_images"
        )
    if not pixels.is_floating_point():
        raise ValueError(
            f"pixels must be float in [-1, 1], got {pixels.dtype}; "
            "convert values in 0..255 by pixels.float() / 127.5 - 1"
        )


@torch.no_grad()
def check_pixel_range(pixels: Tensor) -> None:
    """Raise if pixels are far outside [-1, 1], such as those in 0..255; NaN passes.

    The bottleneck refuses the latents that NaN leads to.
    """
    if not pixels.numel() or not _has_values(pixels):
        return
    low, high = torch.aminmax(pixels)
    if bool((low < -MAX_ABS_PIXEL) | (high > MAX_ABS_PIXEL)):
        raise ValueError(
            "pixels must lie in [-1, 1] (an overshoot up to "
            f"{MAX_ABS_PIXEL:g} is accepted), got {low:g} to {high:g}; "
            "convert values in 0..255 by pixels / 127.5 - 1"
        )


@torch.no_grad()
def check_codes(codes: Tensor, channels: int) -> None:
    """Raise unless codes are finite floats of the shape (B, channels, t, h, w)."""
    if codes.ndim != 5 or codes.shape[1] != channels:
        raise ValueError(
            f"codes must be (B, {channels}, t, h, w), got shape {tuple(codes.shape)}; "
            "for sequences of tokens use decode_tokens"
        )
    if not codes.is_floating_point():
        raise ValueError(
            f"codes must be float, got {codes.dtype}; for indices use decode_tokens, "
            "or the quantizer's indices_to_codes"
        )
    if _has_values(codes) and not all_finite(codes):
        raise ValueError(
            f"codes must be finite, got {int(codes.isnan().sum())} NaN and "
            f"{int(codes.isinf().sum())} infinite of {codes.numel()} values"
        )


def check_tokens(tokens: Tensor, length: int, layout: Layout) -> None:
    """Raise unless tokens are integers of the shape (B, length)."""
    if tokens.ndim != 2 or tokens.shape[1] != length:
        raise ValueError(
            f"tokens must be (B, {length}) for {layout}, got shape {tuple(tokens.shape)}"
        )
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise ValueError(f"tokens must be integers, got {tokens.dtype}; for codes use decode")


def check_layout(layout: Layout, rule: SizeRule) -> Size:
    """Return the grid of a layout.

    Raises:
        ValueError: the grids are not those of clips of the layout's size.
    """
    layout.check_size()
    grid = rule.grid(layout.size)
    if layout.grids != (grid,):
        raise ValueError(
            f"a clip of size (T, H, W) = {layout.size} does not have the grids {layout.grids}: "
            f"this tokenizer codes it as {grid}; pass the layout of the encoding (later chunks "
            "of a stream are decoded by decode_stream)"
        )
    return grid


def _has_values(x: Tensor) -> bool:
    return not (torch.compiler.is_compiling() or x.is_meta)
