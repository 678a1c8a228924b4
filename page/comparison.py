"""Comparing one image or clip with what several tokenizers and codecs make of it.

PSNR, SSIM and rates are those of `vistok eval` under its own protocol, except that the whole image
is measured instead of a center crop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

import torch
from jaxtyping import UInt8
from torch import Tensor

from ..encode.shard import token_schema
from ..eval.harness.scores import measure
from ..eval.metrics.catalog import MetricContext, Metrics, open_metrics
from ..eval.protocols.protocol import CANONICAL
from ..eval.reconstructors.reconstructor import Reconstruction, Reconstructor
from ..eval.report.latent_image import latent_images
from .clip import OpenedClip
from .code_image import code_images

METRICS = ("psnr", "ssim")
LATENT_BYTES = 2  # `vistok encode` stores latents in half precision
SEED = 0

# Exceptions of one reconstructor that do not prevent the comparison of the others.
FAILURES = (ValueError, ArithmeticError, OSError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Compared:
    """The result of one tokenizer or codec.

    Attributes:
        name: name of the tokenizer or codec.
        clip: its reconstruction, 8 bit.
        psnr: PSNR in dB; infinite for an exact match.
        ssim: SSIM; None for images smaller than its window.
        bits_per_pixel: rate of the code; None if there is no code.
        stored_bytes: size on disk of a codec's file, or of the tokens or latents as `vistok encode`
            stores them, before Parquet compresses them; None if nothing is stored.
        num_tokens: number of indices; None without a codebook.
        codes: images of the codes, one per group, or one of the latents; empty for codecs.
        group_sizes: number of codes of each group; empty without a codebook.
        encode_seconds: time to encode; None if it was not measured.
        decode_seconds: time to decode; None if it was not measured.
    """

    name: str
    clip: UInt8[Tensor, "3 T H W"] = field(repr=False)
    psnr: float
    ssim: float | None
    bits_per_pixel: float | None
    stored_bytes: int | None
    num_tokens: int | None
    codes: tuple[UInt8[Tensor, "3 _ _ _"], ...] = field(repr=False)
    group_sizes: tuple[int, ...]
    encode_seconds: float | None
    decode_seconds: float | None

    def codes_at(self, frame: int) -> tuple[UInt8[Tensor, "3 _ _"], ...]:
        """Return the images of the codes that belong to a frame; the first frame has its own."""
        last = max(1, self.clip.shape[1] - 1)
        return tuple(
            image[:, min(image.shape[1] - 1, ceil(frame * (image.shape[1] - 1) / last))]
            for image in self.codes
        )


@dataclass(frozen=True)
class Failure:
    """A tokenizer or codec that could not reconstruct the clip, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """An image or clip with its reconstructions.

    Attributes:
        original: the image or clip.
        results: one result per tokenizer or codec that worked, in the order given.
        failures: tokenizers and codecs that did not.
    """

    original: OpenedClip
    results: tuple[Compared, ...]
    failures: tuple[Failure, ...]

    @property
    def num_frames(self) -> int:
        """Number of frames; 1 for an image."""
        return self.original.pixels.shape[1]


def compare(
    original: OpenedClip,
    reconstructors: Sequence[Reconstructor],
    on_start: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Reconstruct an image or clip with every reconstructor and measure the results.

    Args:
        original: the image or clip.
        reconstructors: tokenizers and codecs with unique names.
        on_start: called with the name of each reconstructor before its work begins.
    """
    _, T, H, W = original.pixels.shape
    context = MetricContext(
        protocol=CANONICAL, size=min(H, W), frames=T, device="cpu", seed=SEED, force=False
    )
    metrics = open_metrics(METRICS, context)
    results: list[Compared] = []
    failures: list[Failure] = []
    for reconstructor in reconstructors:
        on_start(reconstructor.name)
        try:
            results.append(_compare(original, reconstructor, metrics))
        except FAILURES as error:
            failures.append(Failure(reconstructor.name, str(error) or type(error).__name__))
    return Comparison(original, tuple(results), tuple(failures))


def _compare(original: OpenedClip, reconstructor: Reconstructor, metrics: Metrics) -> Compared:
    clips, keys = original.pixels[None], (original.name,)
    devices = [reconstructor.device] if reconstructor.device.startswith("cuda") else []
    with torch.random.fork_rng(devices):  # decoders that inject noise repeat their result
        torch.manual_seed(SEED)
        result = reconstructor.reconstruct(clips, keys)
    scores = measure(
        positions=(0,),
        keys=keys,
        clips=clips,
        result=result,
        metrics=metrics,
        originals_for=(),
        device="cpu",
    )
    values = {name: column[0] for name, column in scores.columns.items()}
    return Compared(
        name=reconstructor.name,
        clip=result.clips[0],
        psnr=values["psnr"],
        ssim=values.get("ssim"),
        bits_per_pixel=values.get("bits_per_pixel"),
        stored_bytes=_stored_bytes(result, reconstructor.group_sizes),
        num_tokens=sum(grid[0].numel() for grid in result.indices) if result.indices else None,
        codes=_codes(result, reconstructor.group_sizes),
        group_sizes=reconstructor.group_sizes,
        encode_seconds=result.encode_seconds,
        decode_seconds=result.decode_seconds,
    )


def _stored_bytes(result: Reconstruction, group_sizes: tuple[int, ...]) -> int | None:
    """Return the size on disk of the code of the only clip."""
    num_pixels = result.clips[0, 0].numel()
    if result.stored_bits_per_pixel is not None:
        return round(result.stored_bits_per_pixel[0] * num_pixels / 8)
    if result.indices is not None:
        bits = token_schema(max(group_sizes)).field("tokens").type.value_type.bit_width
        return sum(grid[0].numel() for grid in result.indices) * bits // 8
    if result.values_per_pixel is not None:
        return round(result.values_per_pixel * num_pixels) * LATENT_BYTES
    return None


def _codes(result: Reconstruction, group_sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Draw the codes of the only clip; of several grids the last, which is the largest."""
    if result.indices is not None:
        return code_images(result.indices[-1][0], group_sizes)
    if result.latents is None:
        return ()
    grid = result.latents[-1][0].float().cpu()
    _, t, h, w = grid.shape
    (strip,) = latent_images([grid], factor=1)
    return (strip.view(3, h, t, w).transpose(1, 2).contiguous(),)
