"""Aspect buckets: which crop shapes an image goes to, told from headers before training."""

import math
from collections.abc import Sequence

from torch.utils.data import DataLoader, Dataset

from ..codecs.image import image_size
from ..codecs.video import probe_video
from ..sources.media import READ_ERRORS, BadFile, MediaFile, bad_file

Shape = tuple[int, int]


class _Sizes(Dataset[tuple[int, int] | BadFile]):
    """Width and height of files, or why there are none."""

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
    """Width and height of an upright image or video, from its header.

    Raises:
        OSError: the file cannot be read.
    """
    if file.kind == "image":
        return image_size(file.location)
    info = probe_video(file.location)
    return info.width, info.height


def nearest_shapes(size: tuple[int, int], shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes (height, width) whose aspect ratio is nearest to that of a width and height."""
    width, height = size
    distance = {shape: abs(math.log(shape[1] / shape[0] * height / width)) for shape in shapes}
    nearest = min(distance.values())
    return [shape for shape in shapes if distance[shape] <= nearest + 1e-9]


def sort_into_buckets(
    files: Sequence[MediaFile], shapes: Sequence[Shape], workers: int = 0
) -> tuple[list[list[Shape]], list[BadFile]]:
    """The shapes that each file goes to; none where its size cannot be read.

    Args:
        files: what to sort.
        shapes: heights and widths; where all have one aspect ratio, no file is opened.
        workers: reading processes.
    """
    H, W = shapes[0]
    if all(h * W == w * H for h, w in shapes):
        return [list(shapes) for _ in files], []
    loader = DataLoader(_Sizes(files), batch_size=64, num_workers=workers, collate_fn=list)
    sizes = [size for batch in loader for size in batch]
    bad = [size for size in sizes if isinstance(size, BadFile)]
    return [[] if isinstance(s, BadFile) else nearest_shapes(s, shapes) for s in sizes], bad
