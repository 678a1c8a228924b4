"""Reconstructing files of any size and length: what a tokenizer does to your own images.

Videos are streamed chunk by chunk, so memory does not grow with their length, but for tokenizers
whose norms span whole clips.
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

from ..data.codecs.image import read_image, to_tensor
from ..data.codecs.video import probe_video, read_frames
from ..data.codecs.write import write_image, write_video
from ..data.pixels import to_pixels, to_uint8
from ..data.sources.media import MediaFile
from ..tokenizers.tokenizer import VisualTokenizer
from .metrics.psnr import psnr, squared_errors

CHUNK_FRAMES = 16
STRIP_FRAMES = 5
LARGEST_WHOLE_SIDE = 1536
TILE_SIDE = 1024

Frame = UInt8[Tensor, "3 H W"]


@dataclass(frozen=True)
class ReconstructedFile:
    """One file after the round trip.

    Attributes:
        key: name of the input.
        path: the reconstruction, PNG or MP4.
        side_by_side: PNG with the input to the left (or above) and the reconstruction beside it.
        frames: number of frames.
        width: in pixels, as the input's.
        height: in pixels, as the input's.
        psnr: in dB on 8-bit values before any video compression, mean over frames.
    """

    key: str
    path: Path
    side_by_side: Path
    frames: int
    width: int
    height: int
    psnr: float


def output_paths(file: MediaFile, output: Path) -> tuple[Path, Path]:
    """Where a file's reconstruction and its side-by-side image go."""
    base = output / file.key
    suffix = ".png" if file.kind == "image" else ".mp4"
    return base.with_name(base.name + suffix), base.with_name(base.name + ".side_by_side.png")


def check_outputs(files: Sequence[MediaFile], output: Path) -> None:
    """Raise where two inputs would share a result, or a result exists already."""
    paths = [path for file in files for path in output_paths(file, output)]
    twice = [path for path, uses in Counter(paths).items() if uses > 1]
    if twice:
        raise ValueError(f"two inputs would both be written to {twice[0]}; run them separately")
    taken = [path for path in paths if path.exists()]
    if taken:
        raise ValueError(f"{taken[0]} exists already; choose another --output")


def reconstruct_file(
    file: MediaFile,
    tokenizer: VisualTokenizer,
    output: Path,
    frames: int | None = None,
    tile: int | None = None,
) -> ReconstructedFile:
    """Encode and decode one image or video and write the result.

    Args:
        file: what to read.
        tokenizer: streams videos chunk by chunk.
        output: folder of the results.
        frames: at most so many frames of a video; None takes all.
        tile: side of tiles in pixels, 0 for none; None tiles frames beyond 1536 pixels by 1024.

    Raises:
        OSError: the file cannot be read.
    """
    path, side_by_side = output_paths(file, output)
    if file.kind == "image":
        pictures: Iterator[Frame] = iter([to_tensor(read_image(file.location))])
        fps = Fraction(1)
    else:
        pictures = islice(read_frames(file.location), frames)
        fps = probe_video(file.location).fps
    comparison = _Comparison()
    originals, inputs = tee(pictures)
    restored = comparison.watch(originals, reconstruct_frames(inputs, tokenizer, tile))
    if file.kind == "image":
        write_image(path, next(restored))
    else:
        write_video(path, restored, fps)
    comparison.draw(side_by_side)
    return ReconstructedFile(
        key=file.key,
        path=path,
        side_by_side=side_by_side,
        frames=len(comparison.values),
        width=comparison.size[0],
        height=comparison.size[1],
        psnr=comparison.psnr,
    )


def reconstruct_frames(
    frames: Iterable[Frame], tokenizer: VisualTokenizer, tile: int | None = None
) -> Iterator[Frame]:
    """Stream the frames of one clip through a tokenizer; as many come out as went in.

    Args:
        frames: images of one size.
        tokenizer: encodes and decodes chunk by chunk.
        tile: see `reconstruct_file`.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        return
    side = _tile(first, tokenizer) if tile is None else tile or None
    yield from _stream(chain([first], iterator), tokenizer, side)


def _tile(frame: Frame, tokenizer: VisualTokenizer) -> int | None:
    """Tile side for frames too large to be computed in one piece."""
    if max(frame.shape[1:]) <= LARGEST_WHOLE_SIDE:
        return None
    space = tokenizer.spatial_compression
    return max(1, TILE_SIDE // space) * space


def _stream(
    frames: Iterable[Frame], tokenizer: VisualTokenizer, tile: int | None
) -> Iterator[Frame]:
    """Chunk, pad, encode, decode, and cut off what the last chunk was filled up with."""
    arrived = 0

    def chunks() -> Iterator[Float[Tensor, "1 3 T H W"]]:
        nonlocal arrived
        for chunk, count in _padded_chunks(frames, tokenizer):
            arrived += count
            pixels = to_pixels(chunk).unsqueeze(0).to(tokenizer.device, tokenizer.dtype)
            yield _pad_space(pixels, tokenizer)

    answered = 0
    codes = (encoding.codes for encoding in tokenizer.encode_stream(chunks(), tile))
    decoded = tokenizer.decode_stream(codes, tile=tile)
    while True:
        # Only around the work: a generator that yields inside would switch its caller over too.
        with torch.inference_mode():
            piece = next(decoded, None)
        if piece is None:
            return
        pictures = to_uint8(piece[0]).cpu()
        # Filled-up frames come last, and only after everything else has been asked for.
        wanted = min(pictures.shape[1], arrived - answered)
        answered += wanted
        yield from pictures[:, :wanted].unbind(dim=1)


def _padded_chunks(
    frames: Iterable[Frame], tokenizer: VisualTokenizer
) -> Iterator[tuple[UInt8[Tensor, "3 T H W"], int]]:
    """Chunks of legal length, the last one filled up with its last frame; and true lengths."""
    step = tokenizer.temporal_compression
    usual = max(1, CHUNK_FRAMES // step) * step
    iterator = iter(frames)
    # A tokenizer of whole clips gets everything at once.
    length, alone = (1 if tokenizer.streams else None), 1
    while chunk := list(islice(iterator, length)):
        count = len(chunk)
        # The clip's first frame stands alone, the others fill latent frames.
        chunk += [chunk[-1]] * (-(count - alone) % step)
        yield torch.stack(chunk, dim=1), count
        length, alone = usual, 0


def _pad_space(pixels: Tensor, tokenizer: VisualTokenizer) -> Tensor:
    """Extend height and width to legal sizes; the writer of frames crops them away again."""
    H, W = pixels.shape[3:]
    _, full_H, full_W = tokenizer.size_rule.padded((1, H, W))
    return F.pad(pixels, (0, full_W - W, 0, full_H - H, 0, 0), mode="replicate")


class _Comparison:
    """Compares a stream of reconstructions with its originals, keeping only a few frames."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.size = (0, 0)
        self._shown: list[tuple[Frame, Frame]] = []

    def watch(
        self, originals: Iterator[Frame], reconstructions: Iterator[Frame]
    ) -> Iterator[Frame]:
        """Pass reconstructions on, cropped to their originals' size."""
        for original, padded in zip(originals, reconstructions, strict=True):
            _, H, W = original.shape
            restored = padded[:, :H, :W]
            self.size = (W, H)
            error = squared_errors(original[None, :, None], restored[None, :, None])
            self.values.append(psnr(error.item()))
            self._keep(original, restored)
            yield restored

    def _keep(self, original: Frame, restored: Frame) -> None:
        """Frames 0, 8, 16, ... up to the strip's length, or the only one."""
        if (len(self.values) - 1) % 8 == 0 and len(self._shown) < STRIP_FRAMES:
            self._shown.append((original, restored.contiguous()))

    @property
    def psnr(self) -> float:
        """Mean over frames."""
        return sum(self.values) / len(self.values)

    def draw(self, path: Path) -> None:
        """One image: input beside reconstruction; clips as two rows of frames."""
        top = torch.cat([original for original, _ in self._shown], dim=2)
        bottom = torch.cat([restored for _, restored in self._shown], dim=2)
        beside = 2 if len(self.values) == 1 else 1
        write_image(path, torch.cat([top, bottom], dim=beside))
