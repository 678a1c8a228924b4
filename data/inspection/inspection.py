"""What a source holds: every file read once, counted, measured, and told when it is bad."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import Image
from torch.utils.data import DataLoader, Dataset

from ...progress import track
from ..codecs.image import read_image, to_picture
from ..codecs.video import clip_frames, probe_video, read_frames
from ..codecs.video_index import index_video
from ..sources.media import READ_ERRORS, BadFile, MediaFile, bad_file
from ..sources.source import list_source

THUMBNAIL_SIDE = 160
MOST_COMMON = 5


@dataclass(frozen=True)
class FileReport:
    """One file.

    Attributes:
        file: which one.
        width: of the upright image, in pixels.
        height: likewise.
        frames: frames that can be read; 1 for images.
        fps: frames per second, or None for images.
        seconds: duration, or None for images.
        codec: of videos, with the pixel format; empty for images.
        interlaced: whether a video is marked so.
        bad: why the file cannot be read (to its end), or None.
        thumbnail: a small image, where one was asked for.
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
    """Smallest, middle and largest of some values."""

    smallest: float
    middle: float
    largest: float


@dataclass(frozen=True)
class Inspection:
    """A source in figures.

    Attributes:
        source: as it was given.
        num_images: images that can be read, animated ones included.
        num_animated: animated images among them.
        num_videos: videos that can be read to their end.
        num_interlaced: videos marked as interlaced among them.
        sizes: the most common (width, height) with their counts.
        short_side: of images and videos, in pixels.
        frame_rates: the most common rates with their counts.
        seconds: durations of videos.
        total_seconds: of all videos together.
        frames: frames per video.
        codecs: of videos, with pixel format, and counts.
        bad: files that cannot be read, or not to their end, with the reasons.
        skipped: files that are no images or videos.
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
    """Read the files of a source and sum up what they are.

    Args:
        source: see `list_source`.
        limit: at most so many files.
        quick: of videos read the header, the index and the first frame, not every frame.
        thumbnails: so many files, evenly chosen, come with a small image.
        workers: reading processes.
        show_progress: whether to show a bar on stderr.
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
    return _sum_up(str(source), reports, listing.skipped), reports


class _Reports(Dataset[FileReport]):
    """The reports of files, by index."""

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
    picture = read_image(file.location)
    width, height = picture.size
    return FileReport(file, width, height, 1, thumbnail=_thumbnail(picture) if shown else None)


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
        thumbnail = _thumbnail(to_picture(frame))
    return FileReport(
        file,
        info.width,
        info.height,
        count,
        float(info.fps),
        count / float(info.fps),
        f"{info.codec} {info.pixel_format}",
        info.interlaced,
        bad,
        thumbnail,
    )


def _thumbnail(picture: Image.Image) -> Image.Image:
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return picture


def _sum_up(source: str, reports: Sequence[FileReport], skipped: tuple[BadFile, ...]) -> Inspection:
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
