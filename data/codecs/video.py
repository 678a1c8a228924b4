"""Reading of videos with PyAV, as upright 8-bit RGB, in constant memory; for colors see frame.py.

    order        presentation order; sequential reading gives every frame once
    clips        `frames` frames, every `stride`-th from frame `start` on
    fps          with a rate, frames are counted in a video resampled to it: frame k is the stored
                 frame nearest in time to k / fps after the first (the earlier of two)
    seeking      from the last keyframe before a frame, exact: the same frame as in sequence
    damage       see video_stream.py: a clip is refused if decoding it meets damage
    work         a frame that needs more than MAX_DECODED_PIXELS decoded before it is refused
    animations   animated images are videos, too; see animation.py

Limits are in pixels, not in seconds: with a clock, the load of the machine would decide which files
are refused.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby, islice, repeat
from pathlib import Path

import av
import torch
from jaxtyping import UInt8
from torch import Tensor

from ..sources.location import Location, as_location
from .animation import animation_frames, animation_times
from .frame import FrameConverter
from .video_index import VideoIndex, index_video, kind_of
from .video_stream import VideoStream

# About ten seconds of decoding: 4 096 frames of 1920 x 1080.
MAX_DECODED_PIXELS = 2**33

Frame = UInt8[Tensor, "3 H W"]


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video, from its container and its first frame.

    Attributes:
        width: width of the upright image, in pixels.
        height: height of the upright image, in pixels.
        fps: frames per second, on average.
        num_frames: number of frames, or None if the container does not state it.
        codec: name of the codec.
        pixel_format: FFmpeg's name for the format of the stored pixels.
        interlaced: whether the first frame is marked as two fields.
    """

    width: int
    height: int
    fps: Fraction
    num_frames: int | None
    codec: str
    pixel_format: str
    interlaced: bool


def probe_video(source: Location | Path | str) -> VideoInfo:
    """Read the header and the first frame of a video.

    Raises:
        OSError: the file is missing, damaged, or contains no video.
    """
    location = as_location(source)
    if kind_of(location) == "image":
        times = animation_times(location)
        height, width = next(animation_frames(location)).shape[1:]
        fps, count = (len(times) - 1) / times[-1], len(times) - 1
        return VideoInfo(width, height, fps, count, "animation", "rgb24", False)
    with VideoStream(location) as video:
        first = next(video.frames(), None)
        if first is None:
            raise OSError(f"{location}: no decodable video frame")
        _, height, width = FrameConverter()(first).shape
        stream = video.stream
        return VideoInfo(
            width=width,
            height=height,
            fps=Fraction(stream.average_rate or stream.guessed_rate or Fraction(25)),
            num_frames=stream.frames or None,
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            interlaced=first.interlaced_frame,
        )


def read_frames(source: Location | Path | str) -> Generator[Frame, None, None]:
    """Decode a video one frame at a time.

    Raises:
        OSError: the file is missing, damaged, or contains no video.
    """
    location = as_location(source)
    if kind_of(location) == "image":
        yield from animation_frames(location)
        return
    convert = FrameConverter()
    with VideoStream(location) as video:
        for frame in video.frames():
            yield convert(frame)


def read_clip(
    source: Location | Path | str,
    frames: int,
    start: int = 0,
    stride: int = 1,
    fps: Fraction | None = None,
) -> UInt8[Tensor, "3 T H W"]:
    """Read `frames` frames, every `stride`-th from `start` on; for `fps` see the module.

    Raises:
        ValueError: the video is too short.
        OSError: the file is missing, damaged, or contains no video.
    """
    return torch.stack(list(clip_frames(source, frames, start, stride, fps)), dim=1)


def clip_frames(
    source: Location | Path | str,
    frames: int,
    start: int = 0,
    stride: int = 1,
    fps: Fraction | None = None,
    index: VideoIndex | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a clip one by one, so that each can be cropped before the next is read.

    Args:
        source: the video.
        frames: number of frames.
        start: position of the first frame.
        stride: step between the frames.
        fps: rate at which start and stride count; None counts stored frames.
        index: index of the video; read from the file if needed and not given.

    Raises:
        ValueError: the video is too short.
        OSError: the file is missing, damaged, or contains no video.
    """
    location = as_location(source)
    last = start + (frames - 1) * stride
    if start == 0 and fps is None and index is None:
        with closing(read_frames(location)) as decoded:
            wanted = islice(decoded, 0, last + 1, stride)
            for _ in range(frames):
                frame = next(wanted, None)
                if frame is None:
                    raise _too_short_error(location, frames, start, stride)
                yield frame
        return
    index = index or index_video(location)
    if last >= index.length(fps):
        raise _too_short_error(location, frames, start, stride)
    yield from _read_positions(
        location, index, [index.position(start + k * stride, fps) for k in range(frames)]
    )


def _too_short_error(location: Location, frames: int, start: int, stride: int) -> ValueError:
    """Describe a video that ends before the requested clip does."""
    stop = start + (frames - 1) * stride + 1
    return ValueError(
        f"{location}: {frames} frames with stride {stride} from frame {start} need {stop} frames, "
        f"the video is shorter"
    )


def _read_positions(
    location: Location, index: VideoIndex, positions: Sequence[int]
) -> Iterator[Frame]:
    """Yield frames by their positions in presentation order, which must not decrease."""
    if kind_of(location) == "image":
        for number, frame in enumerate(islice(animation_frames(location), positions[-1] + 1)):
            yield from repeat(frame, positions.count(number))
        return
    convert = FrameConverter()
    for run in _runs(index, positions):
        with closing(_numbered_frames(location, index, run[0])) as numbered:
            yield from _pick(location, numbered, run, convert)


def _runs(index: VideoIndex, positions: Sequence[int]) -> Iterator[list[int]]:
    """Split positions into runs to decode in one pass; a keyframe between two starts a new run."""
    run = [positions[0]]
    for position in positions[1:]:
        keyframe = index.keyframe_before(index.times[position])
        if keyframe is not None and keyframe > index.times[run[-1]]:
            yield run
            run = []
        run.append(position)
    yield run


def _numbered_frames(
    location: Location, index: VideoIndex, position: int
) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """Yield frames with their positions, starting at the keyframe before a position."""
    keyframe = index.keyframe_before(index.times[position])
    if keyframe is not None:
        with VideoStream(location) as video:
            video.seek(keyframe)
            frames = video.frames(since=keyframe)
            first = next(frames, None)
            if first is not None and first.pts == keyframe:
                for frame in chain([first], frames):
                    yield index.number(frame.pts), frame
                return
    # From the start, if there is no keyframe to seek to or the container cannot find it
    with VideoStream(location) as video:
        for order, frame in enumerate(video.frames()):
            yield (index.number(frame.pts) if index.keyframes else order), frame


def _pick(
    location: Location,
    numbered: Iterator[tuple[int, av.VideoFrame]],
    positions: Sequence[int],
    convert: FrameConverter,
) -> Iterator[Frame]:
    """Yield the frames at the given positions from a sequence of numbered frames."""
    remaining = [(number, len(list(same))) for number, same in groupby(positions)]
    work = 0
    for number, frame in numbered:
        work += frame.width * frame.height
        if work > MAX_DECODED_PIXELS:
            raise OSError(
                f"{location}: frame {remaining[0][0]} needs more than {MAX_DECODED_PIXELS} pixels "
                "decoded before it; encode the video again with closer keyframes"
            )
        if number < remaining[0][0]:
            continue
        if number > remaining[0][0]:
            break
        yield from repeat(convert(frame), remaining.pop(0)[1])
        work = 0
        if not remaining:
            return
    raise OSError(f"{location}: frame {remaining[0][0]} cannot be decoded")
