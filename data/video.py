"""Reading video frame by frame with PyAV, as upright 8-bit RGB, in constant memory."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from av.error import FFmpegError
from jaxtyping import UInt8
from torch import Tensor


@dataclass(frozen=True)
class VideoInfo:
    """What the container says of a video.

    Attributes:
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        fps: frames per second.
        num_frames: frames, or None where the container does not say.
    """

    width: int
    height: int
    fps: Fraction
    num_frames: int | None


def probe_video(path: Path | str) -> VideoInfo:
    """Read a video's header and its first frame.

    Raises:
        OSError: the file is missing, damaged, or holds no video.
    """
    with closing(read_frames(path)) as frames:
        first = next(frames, None)
    if first is None:
        raise OSError(f"{path}: no decodable video frame")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        _, height, width = first.shape
        return VideoInfo(width, height, Fraction(fps), stream.frames or None)


def read_frames(path: Path | str) -> Generator[UInt8[Tensor, "3 H W"], None, None]:
    """Decode a video one frame at a time.

    Raises:
        OSError: the file is missing, damaged, or holds no video.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise OSError(f"{path}: no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                yield _upright(frame)
    except FFmpegError as error:
        raise OSError(f"{path}: {type(error).__name__}: {error}") from error


def read_clip(
    path: Path | str, frames: int, start: int = 0, stride: int = 1
) -> UInt8[Tensor, "3 T H W"]:
    """Read `frames` frames, every `stride`-th from `start` on.

    Raises:
        ValueError: the video is too short.
        OSError: the file is missing, damaged, or holds no video.
    """
    stop = start + (frames - 1) * stride + 1
    with closing(read_frames(path)) as decoded:
        clip = list(islice(decoded, start, stop, stride))
    if len(clip) < frames:
        raise ValueError(
            f"{path}: {frames} frames with stride {stride} from frame {start} need {stop} frames, "
            f"the video is shorter"
        )
    return torch.stack(clip, dim=1)


def count_frames(path: Path | str) -> int:
    """Frames of a video: from the container, or by decoding where it does not say."""
    info = probe_video(path)
    return info.num_frames or sum(1 for _ in read_frames(path))


def _upright(frame: av.VideoFrame) -> Tensor:
    """One frame as RGB, turned by its display matrix (90-degree steps, counter-clockwise)."""
    picture = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return torch.from_numpy(np.ascontiguousarray(np.rot90(picture, turns))).permute(2, 0, 1)
