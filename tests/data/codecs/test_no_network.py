"""A clip cannot make FFmpeg open a socket or another file, however it is stored."""

import socket
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vistok.data.codecs.video import read_frames
from vistok.data.codecs.video_stream import FORMATS, VideoStream
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.location import StoredFile
from vistok.data.sources.source import list_source
from vistok.data.sources.tar_shard import Span, TarMember

needs_ports = pytest.mark.skipif(
    not Path("/proc/self/net/udp").exists(), reason="needs Linux's list of open ports"
)

SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
# Formats whose headers name other files or hosts. `FLV` alone passes for a video.
REDIRECTIONS = {
    "sdp": SDP,
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/x.ts\n",
    "concat": "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/x.mp4'\n",
    "local": "ffconcat version 1.0\nfile '{clip}'\n",
}
CLIP = SAMPLES / "videos" / "iss_astronaut_0.mp4"


@pytest.fixture
def listener():
    """A port of this machine, and the connections that were made to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


def was_contacted(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


class OpenPorts:
    """The UDP ports of this machine that appear while a block runs."""

    def __enter__(self) -> "OpenPorts":
        self.before, self.seen, self.done = udp_ports(), set(), threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.001):
            self.seen |= udp_ports() - self.before

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def udp_ports() -> set[int]:
    lines = Path("/proc/self/net/udp").read_text().splitlines()[1:]
    return {int(line.split()[1].partition(":")[2], 16) for line in lines}


@needs_ports
@pytest.mark.parametrize("name", REDIRECTIONS)
@pytest.mark.parametrize("storage", ["file", "stream"])
def test_a_redirection_is_refused_and_opens_nothing(name, storage, listener, tmp_path):
    text = REDIRECTIONS[name].format(port=listener.getsockname()[1], clip=CLIP)
    path = tmp_path / f"clip.{'m3u8' if name == 'hls' else 'mp4'}"
    path.write_text(text)
    location = StoredFile(str(path))
    if storage == "stream":  # a member of a tar is a Python stream for FFmpeg
        location = TarMember(str(path), Span("clip", 0, path.stat().st_size))
    with OpenPorts() as ports, pytest.raises(OSError, match=r"supported container|Invalid data"):
        VideoStream(location)
    assert not ports.seen
    assert not was_contacted(listener)


@needs_ports
def test_a_clip_of_a_table_opens_no_port(tmp_path):
    text = ("FLV\n" + SDP.format(port=45678)).encode()
    pq.write_table(pa.table({"video": [text]}), tmp_path / "table.parquet")
    (file,) = list_source(tmp_path / "table.parquet").of_kind("video")
    with OpenPorts() as ports, pytest.raises(OSError, match="not a supported container"):
        next(read_frames(file.location))
    assert not ports.seen


def test_ffmpeg_knows_all_supported_containers():
    import av

    names = {part for name in av.formats_available for part in name.split(",")}
    assert set(FORMATS) <= names
