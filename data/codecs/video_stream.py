"""An open video: packets and frames of its first video stream, with a single kind of error.

Damage is an error of the container or the decoder, or a frame that the decoder marks as corrupt; it
is raised where decoding meets it. The frames before it have been delivered and are intact; those
after it, up to the next keyframe, are predicted from it. Decoding uses one thread, so that the
position of an error never depends on timing; worker processes provide the parallelism.

FFmpeg may open only containers of FORMATS, and no protocol but the file itself: other formats (SDP,
HLS, concatenation lists) name further files or hosts, and would let a clip open sockets.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream as AvStream

from ..sources.location import Location, local_path
from .frame import MAX_FRAME_PIXELS

# FFmpeg's names of the containers that `media_kind` recognizes.
FORMATS = (
    "asf", "avi", "flv", "h264", "hevc", "ivf", "matroska", "mov", "mpeg", "mpegts", "mpegvideo",
    "ogg", "yuv4mpegpipe",
)  # fmt: skip


class VideoStream:
    """The first video stream of a location, as a context manager.

    Raises:
        OSError: the file is missing, damaged, too large, or contains no video.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._open = ExitStack()
        with self._errors(), ExitStack() as opened:
            path = local_path(location)
            # The prefix keeps FFmpeg from reading a colon in a name as a protocol
            source: Any = f"file:{path}" if path else opened.enter_context(location.open())
            container = opened.enter_context(_open_container(source))
            self.container = cast(InputContainer, container)
            if not self.container.streams.video:
                raise OSError("no video stream")
            self.stream = cast(AvStream, self.container.streams.video[0])
            codec: Any = self.stream.codec_context  # None if FFmpeg has no decoder
            if codec is None:
                raise OSError("no decoder for the codec of the video stream")
            if codec.width * codec.height > MAX_FRAME_PIXELS:
                raise OSError(
                    f"frames of {codec.width} x {codec.height} pixels, more than the "
                    f"maximum of {MAX_FRAME_PIXELS}"
                )
            codec.thread_count = 1
            codec.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            self._open = opened.pop_all()

    def __enter__(self) -> "VideoStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def packets(self) -> Iterator[Packet]:
        """Yield the remaining packets without decoding them, up to the first damaged one."""
        with self._errors():
            for packet in self.container.demux(self.stream):
                if packet.is_corrupt:
                    return
                if packet.size:
                    yield packet

    def frames(self, since: int | None = None) -> Iterator[av.VideoFrame]:
        """Decode the remaining frames.

        Args:
            since: drop frames before this timestamp; after a seek they may be incomplete.

        Raises:
            OSError: decoding met damage.
        """
        with self._errors():
            for packet in self.container.demux(self.stream):
                if packet.is_corrupt:
                    raise OSError("the file is damaged or ends early")
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame), "a video stream has video frames"
                    if since is not None and (frame.pts is None or frame.pts < since):
                        continue
                    if frame.is_corrupt:
                        raise OSError("the decoder found damage in a frame")
                    yield frame

    def seek(self, timestamp: int) -> None:
        """Seek to the keyframe at or before a timestamp, according to the container."""
        with self._errors():
            self.container.seek(timestamp, stream=self.stream, backward=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of FFmpeg and our own into OSError with the name of the file."""
        try:
            yield
        except (FFmpegError, OSError) as error:
            message = str(error)
            if not message.startswith(str(self.location)):
                message = f"{self.location}: {type(error).__name__}: {error}"
            raise OSError(message) from (None if type(error) is OSError else error)


def _open_container(source: Any) -> Any:
    """Open a `file:` URL or a stream, as one of FORMATS and without any other protocol."""
    allowed = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}
    try:
        return av.open(source, container_options=allowed)
    except ArgumentError as error:
        raise OSError("not a supported container of video, or its header is damaged") from error
