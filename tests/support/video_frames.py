"""The number of frames of a video, for tests of files that were written."""

from pathlib import Path

from vistok.data.codecs.video_index import index_video
from vistok.data.sources.location import Location, as_location


def count_frames(source: Location | Path | str) -> int:
    """Number of frames that can be read."""
    return len(index_video(as_location(source)))
