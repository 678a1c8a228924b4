"""Aspect-ratio buckets: assign files to crop shapes from their headers, before training."""

import math
from collections.abc import Iterator, MutableMapping, Sequence

from torch.utils.data import DataLoader, Dataset

from ..codecs.image import image_size
from ..codecs.video import probe_video
from ..sources.media import READ_ERRORS, BadFile, MediaFile, bad_file
from .batch_kind import Shape, same_aspect


class _Sizes(Dataset[tuple[int, int] | BadFile]):
    """Width and height of each file, or a report of why they cannot be read."""

    def __init__(self, files: Sequence[MediaFile]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[int, int] | BadFile:
        file = self.files[index]
        try:
            return media_size(file)
        except READ_ERRORS as error:
            return bad_file(file.path, error)


def media_size(file: MediaFile) -> tuple[int, int]:
    """Return the width and height of an upright image or video, from its header.

    Raises:
        OSError: the file cannot be read.
    """
    if file.kind == "image":
        return image_size(file.location)
    info = probe_video(file.location)
    return info.width, info.height


def nearest_shapes(size: tuple[int, int], shapes: Sequence[Shape]) -> list[Shape]:
    """Return the shapes (height, width) of the aspect ratio nearest to a (width, height)."""
    width, height = size
    distance = {shape: abs(math.log(shape[1] / shape[0] * height / width)) for shape in shapes}
    nearest = min(distance.values())
    return [shape for shape in shapes if distance[shape] <= nearest + 1e-9]


def sort_into_buckets(
    files: Sequence[MediaFile],
    shapes: Sequence[Shape],
    workers: int = 0,
    known: MutableMapping[str, tuple[int, int] | BadFile] | None = None,
) -> tuple[list[list[Shape]], list[BadFile]]:
    """Assign each file to the nearest shapes; to none if its size cannot be read.

    Args:
        files: images and videos to sort.
        shapes: heights and widths; if all have the same aspect ratio, no file is opened.
        workers: number of processes that read headers.
        known: sizes that have been read, by path, which are not read again; new ones are added.

    Returns:
        The shapes of each file, and the unreadable files.
    """
    if same_aspect(shapes):
        return [list(shapes) for _ in files], []
    known = {} if known is None else known
    unknown = [file for file in files if file.path not in known]
    known.update(zip((file.path for file in unknown), _read_sizes(unknown, workers), strict=True))
    sizes = [known[file.path] for file in files]
    bad = [size for size in sizes if isinstance(size, BadFile)]
    return [[] if isinstance(s, BadFile) else nearest_shapes(s, shapes) for s in sizes], bad


def _read_sizes(files: Sequence[MediaFile], workers: int) -> Iterator[tuple[int, int] | BadFile]:
    """Yield the size of each file, read by several processes."""
    if files:
        loader = DataLoader(_Sizes(files), batch_size=64, num_workers=workers, collate_fn=list)
        yield from (size for batch in loader for size in batch)
