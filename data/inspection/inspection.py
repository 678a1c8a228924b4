"""Inspection of a source: every file is read once, counted and measured, or reported as bad."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import Image
from torch.utils.data import DataLoader, Dataset

from ...progress import track
from ..codecs.image import read_image, to_pil
from ..codecs.video import clip_frames, probe_video, read_frames
from ..codecs.video_index import index_video
from ..sources.media import READ_ERRORS, BadFile, MediaFile, bad_file
from ..sources.source import list_source

THUMBNAIL_SIDE = 160
MOST_COMMON = 5


@dataclass(frozen=True)
class FileReport:
    """Report on one file of a source.

    Attributes:
        file: the file.
        width: width of the upright image, in pixels.
        height: height of the upright image, in pixels.
        frames: number of frames that can be read; 1 for images.
        fps: frames per second, or None for images.
        seconds: duration, or None for images.
        codec: codec and pixel format of a video; empty for images.
        interlaced: whether a video is marked as interlaced.
        bad: reason why the file cannot be read (to its end), or None.
        thumbnail: a small image, if requested.
    """

    file: MediaFile
    width: int = 0
    height: int = 0
    frames: int = 0
    fps: float | None = None
    seconds: float | None = None
    codec: str = ""
    interlaced: bool = False
    bad: BadFile | None = None
    thumbnail: Image.Image | None = None


@dataclass(frozen=True)
class Span:
    """Minimum, median and maximum of some values."""

    smallest: float
    middle: float
    largest: float


@dataclass(frozen=True)
class Inspection:
    """Summary of the files of a source.

    Attributes:
        source: the source, as the user named it.
        num_images: number of readable images, including animated ones.
        num_animated: number of animated images among them.
        num_videos: number of videos that can be read to their end.
        num_interlaced: number of videos among them that are marked as interlaced.
        sizes: most common sizes (width x height) with their counts.
        short_side: short sides of images and videos, in pixels.
        frame_rates: most common frame rates with their counts.
        seconds: durations of videos.
        total_seconds: total duration of all videos.
        frames: numbers of frames per video.
        codecs: most common codecs and pixel formats of videos with their counts.
        bad: files that cannot be read to their end, with the reasons.
        skipped: files that are neither images nor videos.
    """

    source: str
    num_images: int
    num_animated: int
    num_videos: int
    num_interlaced: int
    sizes: dict[str, int]
    short_side: Span | None
    frame_rates: dict[str, int]
    seconds: Span | None
    total_seconds: float
    frames: Span | None
    codecs: dict[str, int]
    bad: tuple[BadFile, ...]
    skipped: tuple[BadFile, ...]


def inspect_source(
    source: str | Path,
    *,
    limit: int | None = None,
    quick: bool = False,
    thumbnails: int = 0,
    workers: int = 0,
    show_progress: bool = False,
) -> tuple[Inspection, list[FileReport]]:
    """Read the files of a source and summarize them.

    Args:
        source: images and videos to inspect; see `list_source`.
        limit: maximum number of files to read.
        quick: read only the header, the index and the first frame of videos, not every frame.
        thumbnails: number of files, evenly spaced, whose reports have a small image.
        workers: number of processes that read files.
        show_progress: whether to show a progress bar on stderr.

    Returns:
        The summary, and the report of each file.
    """
    listing = list_source(source)
    files = listing.files[:limit]
    every = max(1, -(-len(files) // max(1, thumbnails)))
    shown = range(0, len(files), every) if thumbnails else range(0)
    loader = DataLoader(
        _Reports(files, quick, shown), batch_size=4, num_workers=workers, collate_fn=list
    )
    stream = (report for batch in loader for report in batch)
    reports = list(track(stream, "inspecting", len(files), show_progress))
    return _summarize(str(source), reports, listing.skipped), reports


class _Reports(Dataset[FileReport]):
    """The reports on files, by index."""

    def __init__(self, files: Sequence[MediaFile], quick: bool, shown: range) -> None:
        self.files, self.quick, self.shown = tuple(files), quick, shown

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> FileReport:
        file, shown = self.files[index], index in self.shown
        try:
            if file.kind == "image":
                return _image_report(file, shown)
            return _video_report(file, shown, self.quick)
        except READ_ERRORS as error:
            return FileReport(file, bad=bad_file(file.path, error))


def _image_report(file: MediaFile, shown: bool) -> FileReport:
    image = read_image(file.location)
    width, height = image.size
    return FileReport(file, width, height, 1, thumbnail=_thumbnail(image) if shown else None)


def _video_report(file: MediaFile, shown: bool, quick: bool) -> FileReport:
    info, index = probe_video(file.location), index_video(file.location)
    bad, count = None, len(index)
    if not quick:
        count = 0
        try:
            with closing(read_frames(file.location)) as frames:
                for _ in frames:
                    count += 1
        except READ_ERRORS as error:
            bad = bad_file(file.path, error)
    thumbnail = None
    if shown and count:
        (frame,) = clip_frames(file.location, 1, count // 2, index=index)
        thumbnail = _thumbnail(to_pil(frame))
    return FileReport(
        file,
        width=info.width,
        height=info.height,
        frames=count,
        fps=float(info.fps),
        seconds=count / float(info.fps),
        codec=f"{info.codec} {info.pixel_format}",
        interlaced=info.interlaced,
        bad=bad,
        thumbnail=thumbnail,
    )


def _thumbnail(image: Image.Image) -> Image.Image:
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return image


def _summarize(
    source: str, reports: Sequence[FileReport], skipped: tuple[BadFile, ...]
) -> Inspection:
    good = [report for report in reports if report.bad is None]
    images = [report for report in good if report.file.kind == "image"]
    videos = [report for report in good if report.file.kind == "video"]
    seconds = [report.seconds for report in videos if report.seconds is not None]
    return Inspection(
        source=source,
        num_images=len(images),
        num_animated=sum(report.file.animated for report in images),
        num_videos=len(videos),
        num_interlaced=sum(report.interlaced for report in videos),
        sizes=_common([f"{report.width} x {report.height}" for report in good]),
        short_side=_span([min(report.width, report.height) for report in good]),
        frame_rates=_common([f"{report.fps:.4g}" for report in videos]),
        seconds=_span(seconds),
        total_seconds=sum(seconds, 0.0),
        frames=_span([report.frames for report in videos]),
        codecs=_common([report.codec for report in videos]),
        bad=tuple(report.bad for report in reports if report.bad is not None),
        skipped=skipped,
    )


def _common(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common(MOST_COMMON))


def _span(values: Sequence[int] | Sequence[float]) -> Span | None:
    if not values:
        return None
    return Span(float(min(values)), float(median(values)), float(max(values)))
