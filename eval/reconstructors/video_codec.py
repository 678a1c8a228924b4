"""H.264, HEVC and AV1 with PyAV; an image is coded as one intra frame.

Colors are converted to BT.709, limited range, 4:2:0, and back with the same accurate conversion.
Odd sizes are padded by one row or column, which is cropped again after decoding.
"""

import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import torch
import torch.nn.functional as F
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from .bitstream import av1_payload, h264_payload, hevc_payload
from .codec import Codec, CodedClip

FRAME_RATE = Fraction(30)
REORDER_FRAMES = 16
"""Upper bound of the distance over which an encoder reorders frames."""

ACCURATE = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


@dataclass(frozen=True)
class VideoFormat:
    """A video format and its FFmpeg encoder.

    Attributes:
        encoder: name of the encoder in FFmpeg.
        factors: lowest and highest constant rate factor; lower factors give higher quality.
        payload: counts the bytes of image data in a packet.
        options: options that silence the encoder; its preset stays at the default.
    """

    encoder: str
    factors: tuple[int, int]
    payload: Callable[[bytes], int]
    options: dict[str, str] = field(default_factory=dict)


VIDEO_FORMATS = {
    "h264": VideoFormat("libx264", (0, 51), h264_payload),
    "hevc": VideoFormat("libx265", (0, 51), hevc_payload, {"x265-params": "log-level=error"}),
    # FFmpeg treats 0 as "not set" here and would use SVT-AV1's default of 35.
    "av1": VideoFormat("libsvtav1", (1, 63), av1_payload),
}


class VideoCodec(Codec):
    """A video encoder at one constant rate factor.

    Args:
        kind: h264, hevc or av1.
        crf: constant rate factor.

    Raises:
        ValueError: the factor is out of range, or PyAV was built without the encoder.
    """

    def __init__(self, kind: str, crf: int) -> None:
        self.format, self.crf = VIDEO_FORMATS[kind], crf
        lowest, highest = self.format.factors
        if not lowest <= crf <= highest:
            raise ValueError(f"{kind} crf must be in {lowest} ... {highest}, got {crf}")
        if self.format.encoder not in av.codecs_available:
            raise ValueError(
                f"{kind}: this PyAV was built without {self.format.encoder}; "
                "`pip install --upgrade av` installs a build that has it"
            )
        self.name = f"{kind}:crf={crf}"
        self.settings = (
            f"PyAV {av.__version__}, {self.format.encoder} at its default preset, crf {crf}, "
            "BT.709 limited range, 4:2:0, MP4"
        )
        # SVT-AV1 writes its settings to stderr unless its own variable says otherwise.
        os.environ.setdefault("SVT_LOG", "1")

    def code(self, clip: UInt8[Tensor, "3 T H W"]) -> CodedClip:
        """Code the clip as one MP4 file.

        Raises:
            RuntimeError: the decoder returned another number of frames.
        """
        _, T, H, W = clip.shape
        start = time.perf_counter()
        file, payload = self._encode(clip)
        encoded = time.perf_counter()
        frames = list(_decode(file))
        end = time.perf_counter()
        if len(frames) != T:
            raise RuntimeError(f"{self.name} returned {len(frames)} of {T} frames")
        return CodedClip(
            clip=torch.stack(frames, dim=1)[:, :, :H, :W],
            payload_bytes=payload,
            stored_bytes=len(file),
            encode_seconds=encoded - start,
            decode_seconds=end - encoded,
        )

    def _encode(self, clip: Tensor) -> tuple[bytes, int]:
        """Return an MP4 file, and the number of its bytes that are image data."""
        _, _, H, W = clip.shape
        # Pairs of pixels share a color sample; in float, since PyTorch does not pad integers.
        even = F.pad(clip.float(), (0, W % 2, 0, H % 2), mode="replicate").to(torch.uint8)
        buffer, payload = io.BytesIO(), 0
        with av.open(buffer, "w", format="mp4") as container:
            stream: Any = container.add_stream(self.format.encoder, rate=FRAME_RATE)
            stream.height, stream.width = even.shape[2:]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(self.crf), **self.format.options}
            stream.codec_context.colorspace = int(Colorspace.ITU709)
            stream.codec_context.color_range = int(ColorRange.MPEG)
            frames = [*_yuv_frames(even), None]
            packets = chain.from_iterable(stream.encode(frame) for frame in frames)
            for order, packet in enumerate(packets):
                payload += self.format.payload(bytes(packet))
                # libx265 leaves it undefined if a clip ends before its frames are reordered.
                packet.dts = order - REORDER_FRAMES
                container.mux(packet)
        return buffer.getvalue(), payload


def _yuv_frames(clip: UInt8[Tensor, "3 T H W"]) -> Iterator[av.VideoFrame]:
    reformatter = VideoReformatter()
    for number, image in enumerate(clip.unbind(1)):
        frame = av.VideoFrame.from_ndarray(
            image.permute(1, 2, 0).contiguous().numpy(), format="rgb24"
        )
        converted = reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=ACCURATE,
        )
        converted.pts, converted.time_base = number, 1 / FRAME_RATE
        yield converted


def _decode(file: bytes) -> Iterator[UInt8[Tensor, "3 H W"]]:
    reformatter = VideoReformatter()
    with av.open(io.BytesIO(file), "r") as container:
        for frame in container.decode(video=0):
            image = reformatter.reformat(
                frame,
                format="rgb24",
                src_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.MPEG,
                interpolation=ACCURATE,
            ).to_ndarray()
            yield torch.from_numpy(image).permute(2, 0, 1)
