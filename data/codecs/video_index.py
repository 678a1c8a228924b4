"""The index of a video: the time of each of its frames, and the frames where decoding can start.

It is read from the packets, without decoding them. Videos whose packets do not correspond to frames
one to one, because of their codec or container, are decoded once instead; they can only be read
from the start.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.packet import Packet

from ..sources.location import Location
from ..sources.media import HEAD_BYTES, media_kind, skip_reason
from .animation import animation_times
from .video_stream import VideoStream

# One frame per packet. MPEG transport and program streams may carry fields, AVIs may pack frames.
_SIMPLE_CODECS = {
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mjpeg",
    "prores", "dnxhd", "ffv1", "mpeg1video", "mpeg2video", "png", "rawvideo", "theora",
}  # fmt: skip
_COMPLEX_CONTAINERS = {"mpegts", "mpeg", "mpegvideo"}
_VP8_SHOWN = 0x10


@dataclass(frozen=True)
class VideoIndex:
    """Presentation times of the frames of a video.

    Attributes:
        times: time of every frame, in units of `time_base`, increasing.
        time_base: seconds per unit.
        keyframes: times of the frames where decoding can start; empty if it can only start at the
            first frame.
    """

    times: tuple[int, ...]
    time_base: Fraction
    keyframes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.times)

    def seconds(self, frame: int) -> Fraction:
        """Return the time of a frame relative to the first one."""
        return (self.times[frame] - self.times[0]) * self.time_base

    def length(self, fps: Fraction | None) -> int:
        """Return the number of frames, as stored (None) or resampled to a rate."""
        if fps is None or not self.times:
            return len(self.times)
        return int(self.seconds(-1) * fps) + 1

    def position(self, frame: int, fps: Fraction | None) -> int:
        """Return the stored frame nearest in time to frame `frame` of the resampled video."""
        if fps is None:
            return frame
        time = Fraction(frame) / fps / self.time_base + self.times[0]
        after = bisect_left(self.times, time)
        if after == 0 or after == len(self.times):
            return min(after, len(self.times) - 1)
        return after - 1 if time - self.times[after - 1] <= self.times[after] - time else after

    def number(self, time: int | None) -> int:
        """Return the frame that is shown at exactly this time, or -1 if there is none."""
        if time is None:
            return -1
        frame = bisect_left(self.times, time)
        return frame if frame < len(self.times) and self.times[frame] == time else -1

    def keyframe_before(self, time: int) -> int | None:
        """Return the last keyframe at or before a time, or None to start at the beginning."""
        count = bisect_right(self.keyframes, time)
        return self.keyframes[count - 1] if count > 1 else None


def index_video(location: Location) -> VideoIndex:
    """Read the index of a video or an animated image.

    Raises:
        OSError: the file is missing, damaged from the start, or contains no video.
    """
    if kind_of(location) == "image":
        *times, _ = animation_times(location)
        return VideoIndex(tuple(int(time * 10**6) for time in times), Fraction(1, 10**6), ())
    with VideoStream(location) as video:
        time_base = Fraction(video.stream.time_base or Fraction(1, 1000))
        packets = [_PacketInfo.of(packet) for packet in video.packets()]
        simple = _one_frame_per_packet(video)
    keyframes = tuple(sorted(p.time for p in packets if p.keyframe and p.time is not None))
    shown = [p.time for p in packets if p.shown]
    times = sorted(time for time in shown if time is not None)
    if keyframes:
        times = times[bisect_left(times, keyframes[0]) :]
    if simple and keyframes and None not in shown and len(set(times)) == len(times):
        return VideoIndex(tuple(times), time_base, keyframes)
    return VideoIndex(tuple(_decoded_times(location)), time_base, ())


def kind_of(location: Location) -> str:
    """Return image or video, from the first bytes of a file.

    Raises:
        OSError: the file is neither.
    """
    with location.open() as stream:
        head = stream.read(HEAD_BYTES)
    kind = media_kind(head)
    if kind is None:
        raise OSError(f"{location}: {skip_reason(head)}")
    return kind


@dataclass(frozen=True, slots=True)
class _PacketInfo:
    """Properties of a packet that the index needs."""

    time: int | None
    keyframe: bool
    shown: bool

    @classmethod
    def of(cls, packet: Packet) -> "_PacketInfo":
        hidden = packet.is_discard
        if packet.stream.codec_context.name in ("vp8", "libvpx"):
            hidden |= not bytes(packet)[0] & _VP8_SHOWN
        return cls(packet.pts, packet.is_keyframe, not hidden)


def _one_frame_per_packet(video: VideoStream) -> bool:
    codec, container = video.stream.codec_context.name, video.container.format.name
    packed = codec == "mpeg4" and container == "avi"
    return codec in _SIMPLE_CODECS and container not in _COMPLEX_CONTAINERS and not packed


def _decoded_times(location: Location) -> Iterator[int]:
    """Yield the times of all frames up to damage, by decoding; counts for frames without times."""
    with VideoStream(location) as video:
        frames: Iterator[av.VideoFrame] = video.frames()
        last = -1
        while True:
            try:
                frame = next(frames, None)
            except OSError:
                if last < 0:
                    raise
                return
            if frame is None:
                return
            last = frame.pts if frame.pts is not None and frame.pts > last else last + 1
            yield last
