"""The evaluation data: every file of a source once, in order, cropped by the ADM rule."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .image import read_image, to_picture, to_tensor
from .media import READ_ERRORS, BadFile, MediaFile, MediaKind, bad_file
from .resize import adm_center_crop
from .video import clip_frames

Sample = tuple[MediaFile, Tensor | None, BadFile | None]


class EvaluationSet(Dataset[Sample]):
    """Clips (3, T, size, size) uint8: one frame of images, the first `frames` of videos.

    Args:
        files: what to read, in order.
        size: side of the centre crop, in pixels.
        frames: frames per clip; 1 takes images only, more takes videos only.
        limit: read at most so many files.
    """

    def __init__(
        self, files: Sequence[MediaFile], size: int, frames: int = 1, limit: int | None = None
    ) -> None:
        kind: MediaKind = "image" if frames == 1 else "video"
        self.files = tuple(file for file in files if file.serves(kind))[:limit]
        if not self.files:
            raise ValueError(
                f"frames={frames} evaluates {kind}s, but the source holds none; "
                f"set frames={'17' if frames == 1 else '1'} or give another source"
            )
        self.size, self.frames = size, frames

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """A file with its clip, or with the reason why it has none."""
        file = self.files[index]
        try:
            return file, self._clip(file), None
        except READ_ERRORS as error:
            return file, None, bad_file(file.path, error)

    def _clip(self, file: MediaFile) -> UInt8[Tensor, "3 T H W"]:
        if self.frames == 1:
            pictures = iter([read_image(file.location)])
        else:
            pictures = map(to_picture, clip_frames(file.location, self.frames))
        return torch.stack([to_tensor(adm_center_crop(p, self.size)) for p in pictures], dim=1)


def evaluation_batches(
    dataset: EvaluationSet, batch_size: int, workers: int = 0
) -> Iterator[tuple[list[MediaFile], UInt8[Tensor, "B 3 T H W"] | None, list[BadFile]]]:
    """Files and clips in order, with the files that could not be read beside them."""
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=list)
    for samples in loader:
        good = [(file, clip) for file, clip, _ in samples if clip is not None]
        bad = [reason for _, _, reason in samples if reason is not None]
        clips = torch.stack([clip for _, clip in good]) if good else None
        yield [file for file, _ in good], clips, bad
