"""Reconstructing image and video files of any size and length with a tokenizer.

Videos are streamed chunk by chunk, so that memory does not grow with their length, except with
tokenizers whose norms span whole clips.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, tee
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from ...data.codecs.image import read_image, to_tensor
from ...data.codecs.video import probe_video, read_frames
from ...data.codecs.write import write_image, write_video
from ...data.pixels import to_pixels, to_uint8
from ...data.sources.media import MediaFile
from ...data.sources.source import list_source
from ...tokenizers.open import open_tokenizer
from ...tokenizers.tokenizer import VisualTokenizer
from ..metrics.psnr import clip_psnr, squared_errors

CHUNK_FRAMES = 16
STRIP_FRAMES = 5
MAX_UNTILED_SIDE = 1536
TILE_SIDE = 1024

Frame = UInt8[Tensor, "3 H W"]


@dataclass(frozen=True)
class ReconstructedFile:
    """A reconstructed image or video file.

    Attributes:
        key: name of the input.
        path: the reconstruction, a PNG or MP4 file.
        side_by_side: PNG file with the input to the left of (or above) the reconstruction.
        frames: number of frames.
        width: width of input and reconstruction, in pixels.
        height: height of input and reconstruction, in pixels.
        psnr: PSNR in dB of 8-bit values before video compression, mean over frames.
    """

    key: str
    path: Path
    side_by_side: Path
    frames: int
    width: int
    height: int
    psnr: float


def output_paths(file: MediaFile, output: Path) -> tuple[Path, Path]:
    """Return the paths of a file's reconstruction and of its side-by-side image."""
    base = output / file.key
    suffix = ".png" if file.kind == "image" else ".mp4"
    return base.with_name(base.name + suffix), base.with_name(base.name + ".side_by_side.png")


def check_outputs(files: Sequence[MediaFile], output: Path) -> None:
    """Raise if two inputs would be written to one file, or if a result exists already.

    Raises:
        ValueError: with the path of the first conflict.
    """
    paths = [path for file in files for path in output_paths(file, output)]
    shared = [path for path, uses in Counter(paths).items() if uses > 1]
    if shared:
        raise ValueError(f"two inputs would both be written to {shared[0]}; run them separately")
    existing = [path for path in paths if path.exists()]
    if existing:
        raise ValueError(f"{existing[0]} exists already; choose another --output")


def reconstruct_file(
    file: MediaFile | str | Path,
    tokenizer: VisualTokenizer | str | Path,
    output: str | Path,
    frames: int | None = None,
    tile: int | None = None,
) -> ReconstructedFile:
    """Encode and decode one image or video of any size and length, and write the result.

    Args:
        file: image or video to read, its path or its URL.
        tokenizer: tokenizer to use, which streams videos chunk by chunk; or the folder or hub id of
            a saved one, which runs on the CPU.
        output: folder of the results, which replace those of an earlier call.
        frames: maximum number of frames of a video; None takes all.
        tile: side of tiles in pixels, 0 for none; None tiles frames with a side above 1536 pixels
            into tiles of 1024.

    Raises:
        OSError: the file cannot be read.
        ValueError: the path leads to several files, or to none that is an image or video.
    """
    file = file if isinstance(file, MediaFile) else _single_file(file)
    tokenizer = open_tokenizer(tokenizer)
    path, side_by_side = output_paths(file, Path(output))
    if file.kind == "image":
        images: Iterator[Frame] = iter([to_tensor(read_image(file.location))])
        fps = Fraction(1)
    else:
        images = islice(read_frames(file.location), frames)
        fps = probe_video(file.location).fps
    comparison = _Comparison()
    originals, inputs = tee(images)
    restored = comparison.record(originals, reconstruct_frames(inputs, tokenizer, tile))
    if file.kind == "image":
        write_image(path, next(restored))
    else:
        write_video(path, restored, fps)
    comparison.draw(side_by_side)
    return ReconstructedFile(
        key=file.key,
        path=path,
        side_by_side=side_by_side,
        frames=len(comparison.errors),
        width=comparison.size[0],
        height=comparison.size[1],
        psnr=clip_psnr(comparison.errors),
    )


def _single_file(path: str | Path) -> MediaFile:
    files = list_source(path).files
    if len(files) != 1:
        raise ValueError(
            f"reconstruct_file takes one image or video, {path} has {len(files)}; "
            "call it for each of list_source(path).files"
        )
    return files[0]


def reconstruct_frames(
    frames: Iterable[Frame], tokenizer: VisualTokenizer, tile: int | None = None
) -> Iterator[Frame]:
    """Stream the frames of one clip through a tokenizer and yield as many reconstructions.

    Args:
        frames: images of one size.
        tokenizer: tokenizer that encodes and decodes chunk by chunk.
        tile: see `reconstruct_file`.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        return
    side = _default_tile(first, tokenizer) if tile is None else tile or None
    yield from _stream(chain([first], iterator), tokenizer, side)


def _default_tile(frame: Frame, tokenizer: VisualTokenizer) -> int | None:
    """Return the side of tiles for frames that are too large to be processed whole, else None."""
    if max(frame.shape[1:]) <= MAX_UNTILED_SIDE:
        return None
    space = tokenizer.spatial_compression
    return max(1, TILE_SIDE // space) * space


def _stream(
    frames: Iterable[Frame], tokenizer: VisualTokenizer, tile: int | None
) -> Iterator[Frame]:
    """Chunk, pad, encode and decode frames; drop the frames that pad the last chunk."""
    num_read = 0

    def chunks() -> Iterator[Float[Tensor, "1 3 T H W"]]:
        nonlocal num_read
        for chunk, count in _padded_chunks(frames, tokenizer):
            num_read += count
            pixels = to_pixels(chunk).unsqueeze(0).to(tokenizer.device, tokenizer.dtype)
            yield _pad_space(pixels, tokenizer)

    num_yielded = 0
    codes = (encoding.codes for encoding in tokenizer.encode_stream(chunks(), tile))
    decoded = tokenizer.decode_stream(codes, tile=tile)
    while True:
        # Not around the yield: the caller would otherwise run in inference mode, too.
        with torch.inference_mode():
            piece = next(decoded, None)
        if piece is None:
            return
        if not piece.isfinite().all():
            raise FloatingPointError("the tokenizer decodes to NaN or infinity; check its weights")
        images = to_uint8(piece[0]).cpu()
        # Padding frames come last, when the number of frames read is final.
        count = min(images.shape[1], num_read - num_yielded)
        num_yielded += count
        yield from images[:, :count].unbind(dim=1)


def _padded_chunks(
    frames: Iterable[Frame], tokenizer: VisualTokenizer
) -> Iterator[tuple[UInt8[Tensor, "3 T H W"], int]]:
    """Yield chunks of legal length, padded with their last frame, and their unpadded lengths."""
    step, first_frames = tokenizer.size_rule.step, tokenizer.size_rule.first_frames
    iterator = iter(frames)
    # A clip's first frame is coded separately; tokenizers of whole clips get all frames at once.
    length = first_frames if tokenizer.streams else None
    while chunk := list(islice(iterator, length)):
        count = len(chunk)
        chunk += [chunk[-1]] * (-(count - first_frames) % step)
        yield torch.stack(chunk, dim=1), count
        length, first_frames = max(1, CHUNK_FRAMES // step) * step, 0


def _pad_space(pixels: Tensor, tokenizer: VisualTokenizer) -> Tensor:
    """Pad height and width to legal sizes; `_Comparison` crops the reconstructions again."""
    H, W = pixels.shape[3:]
    _, full_H, full_W = tokenizer.size_rule.padded((1, H, W))
    return F.pad(pixels, (0, full_W - W, 0, full_H - H, 0, 0), mode="replicate")


class _Comparison:
    """Compares a stream of reconstructions with its originals, keeping only a few frames."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.size = (0, 0)
        self._strip: list[tuple[Frame, Frame]] = []

    def record(
        self, originals: Iterator[Frame], reconstructions: Iterator[Frame]
    ) -> Iterator[Frame]:
        """Yield the reconstructions, cropped to the size of their originals."""
        for original, padded in zip(originals, reconstructions, strict=True):
            _, H, W = original.shape
            restored = padded[:, :H, :W]
            self.size = (W, H)
            error = squared_errors(original[None, :, None], restored[None, :, None])
            self.errors.append(error.item())
            self._keep(original, restored)
            yield restored

    def _keep(self, original: Frame, restored: Frame) -> None:
        """Keep frames 0, 8, 16, ... up to the strip's length."""
        if (len(self.errors) - 1) % 8 == 0 and len(self._strip) < STRIP_FRAMES:
            self._strip.append((original, restored.contiguous()))

    def draw(self, path: Path) -> None:
        """Write one image: an image beside its reconstruction, or a clip as two rows of frames."""
        top = torch.cat([original for original, _ in self._strip], dim=2)
        bottom = torch.cat([restored for _, restored in self._strip], dim=2)
        is_image = len(self.errors) == 1
        write_image(path, torch.cat([top, bottom], dim=2 if is_image else 1))
