"""Checks of the tensors that users pass to a tokenizer.

A wrong range, dtype or layout would not fail but silently give a wrong result. Checks that read
values wait for the GPU, so they belong to the entry points for users and not to the training
forward; they are skipped where values do not exist (meta tensors) or while torch compiles.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .bottlenecks.bottleneck import all_finite
from .encoding import Encoding, Output
from .layout import Layout, Size, SizeRule

# Entry points answer a wrong type with an error of ours, which says what to call instead; the
# annotation is for editors, and the shape checker of the tests lets every type pass.
if TYPE_CHECKING:
    Given = Tensor
else:
    Given = Any

# Pixels are in [-1, 1], but bicubic and Lanczos filters overshoot (in two dimensions by at most
# 1.9, for the sharpest patterns), and reconstructions that are not clamped do, too.
MAX_ABS_PIXEL = 2.0


def check_pixels(pixels: Given) -> None:
    """Raise unless pixels are floats of the shape (B, 3, T, H, W)."""
    _check_type(pixels, "pixels", "use vistok.load_image or vistok.load_video to make one")
    if pixels.ndim != 5 or pixels.shape[1] != 3:
        raise ValueError(
            f"pixels must be (B, 3, T, H, W), got shape {tuple(pixels.shape)}; "
            f"{_shape_hint(pixels)}"
        )
    _check_float(pixels)


def check_images(images: Given) -> None:
    """Raise unless images are floats of the shape (B, 3, H, W)."""
    _check_type(images, "images", "use encode(vistok.load_image(image)) instead")
    if images.ndim != 4 or images.shape[1] != 3:
        hint = "for clips use encode" if images.ndim == 5 else _shape_hint(images)
        raise ValueError(f"images must be (B, 3, H, W), got shape {tuple(images.shape)}; {hint}")
    _check_float(images)


def check_chunks(chunks: Any) -> None:
    """Raise if the chunks of a stream are a single tensor or file, which iterates over its axes."""
    if isinstance(chunks, Tensor | str):
        raise TypeError(
            f"a stream is encoded from an iterable of chunks (B, 3, T, H, W), got {_type(chunks)}; "
            "split a clip by pixels.split(lengths, dim=2)"
        )


def _check_type(given: Any, name: str, instead: str) -> None:
    if not isinstance(given, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor in [-1, 1], got {_type(given)}; {instead}")


def _check_float(pixels: Tensor) -> None:
    if not pixels.is_floating_point():
        raise ValueError(
            f"pixels must be float in [-1, 1], got {pixels.dtype}; "
            "convert values in 0..255 by pixels.float() / 127.5 - 1"
        )


def _shape_hint(pixels: Tensor) -> str:
    """Return what to do about pixels whose axes are others than expected."""
    if pixels.ndim >= 3 and pixels.shape[-1] == 3:
        return "channels come second: vistok.load_image and load_video read (H, W, 3) arrays"
    if pixels.ndim == 5 and pixels.shape[2] == 3:
        return "for (B, T, 3, H, W) pass pixels.transpose(1, 2)"
    if pixels.ndim == 3:
        return "for one image (3, H, W) pass image[None] to encode_images"
    return "for images (B, 3, H, W) use encode_images, for one clip (3, T, H, W) pass clip[None]"


def _type(value: Any) -> str:
    """Return the name of a type, with its library unless it is built in."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__qualname__ if library == "builtins" else f"{library} {kind.__qualname__}"


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
def check_codes(codes: Given, channels: int) -> None:
    """Raise unless codes are finite floats of the shape (B, channels, t, h, w)."""
    if not isinstance(codes, Tensor):
        hint = "pass output.encoding" if isinstance(codes, Output) else "pass an encoding, or codes"
        raise TypeError(f"codes must be a torch.Tensor, got {_type(codes)}; {hint}")
    if not codes.is_floating_point():
        raise ValueError(
            f"codes must be float, got {codes.dtype}; for tokens and indices use "
            "decode(encoding) or decode_tokens(encoding.tokens, encoding.layout), or the "
            "quantizer's indices_to_codes"
        )
    if codes.ndim != 5 or codes.shape[1] != channels:
        raise ValueError(
            f"codes must be (B, {channels}, t, h, w), got shape {tuple(codes.shape)}; "
            f"{_codes_hint(codes)}"
        )
    if _has_values(codes) and not all_finite(codes):
        raise ValueError(
            f"codes must be finite, got {int(codes.isnan().sum())} NaN and "
            f"{int(codes.isinf().sum())} infinite of {codes.numel()} values"
        )


def _codes_hint(codes: Tensor) -> str:
    if codes.ndim == 5 and codes.shape[1] == 3:
        return "for pixels use reconstruct, or decode(encode(pixels))"
    if codes.ndim == 5:
        return "for the latents of a tokenizer with another path use decode_latents"
    return "for sequences of tokens use decode_tokens"


def check_tokens(tokens: Given, length: int, layout: Layout) -> None:
    """Raise unless tokens are integers of the shape (B, length)."""
    if not isinstance(tokens, Tensor):
        hint = "use decode(encoding)" if isinstance(tokens, Encoding) else "pass encoding.tokens"
        raise TypeError(f"tokens must be a torch.Tensor, got {_type(tokens)}; {hint}")
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise ValueError(f"tokens must be integers, got {tokens.dtype}; for codes use decode")
    if tokens.ndim != 2 or tokens.shape[1] != length:
        hint = "; for indices (B, t, h, w, groups) pass encoding.tokens" if tokens.ndim == 5 else ""
        raise ValueError(
            f"tokens must be (B, {length}) for {layout}, got shape {tuple(tokens.shape)}{hint}"
        )


def check_layout(layout: Layout, rule: SizeRule) -> Size:
    """Return the grid of a layout.

    Raises:
        TypeError: something else than a layout.
        ValueError: the grids are not those of clips of the layout's size.
    """
    if not isinstance(layout, Layout):
        raise TypeError(f"layout must be an encoding's layout, got {_type(layout)}")
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
