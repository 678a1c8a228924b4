"""Evaluation data: every file of a source once, in order, scaled and cropped by one rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .codecs.frame_rate import frame_rate
from .codecs.image import read_image, to_pil, to_tensor
from .codecs.video import clip_frames
from .resize import CENTER_CROPS
from .sources.media import READ_ERRORS, BadFile, MediaFile, MediaKind, bad_file

Sample = tuple[int, Tensor | None, BadFile | None]


@dataclass(frozen=True)
class EvaluationBatch:
    """Clips of a few consecutive files.

    Attributes:
        positions: positions in the evaluation set of the files that could be read.
        clips: the clips of these files, or None if none could be read.
        bad: the files that could not be read.
    """

    positions: tuple[int, ...]
    clips: UInt8[Tensor, "B 3 T H W"] | None
    bad: tuple[BadFile, ...]


class EvaluationSet(Dataset[Sample]):
    """Clips (3, T, size, size) uint8: images as one frame, or the first `frames` of videos.

    Args:
        files: files to read, in order.
        size: side of the center crop, in pixels.
        frames: number of frames per clip; 1 reads images only, more reads videos only.
        limit: maximum number of files to read.
        resize: adm, bilinear or bicubic; see `resize.py`.
        fps: frame rate that videos are resampled to; None keeps their own.
    """

    def __init__(
        self,
        files: Sequence[MediaFile],
        size: int,
        frames: int = 1,
        limit: int | None = None,
        resize: str = "adm",
        fps: float | None = None,
    ) -> None:
        kind: MediaKind = "image" if frames == 1 else "video"
        self.files = tuple(file for file in files if file.serves(kind))[:limit]
        if not self.files:
            raise ValueError(
                f"frames={frames} evaluates {kind}s, but the source contains none; "
                f"set frames={'17' if frames == 1 else '1'} or give another source"
            )
        self.size, self.frames = size, frames
        self.resize = resize
        self.fps = None if fps is None else frame_rate(fps)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Return the position of a file with its clip, or with a report if it cannot be read."""
        file = self.files[index]
        try:
            return index, self._clip(file), None
        except READ_ERRORS as error:
            return index, None, bad_file(file.path, error)

    def _clip(self, file: MediaFile) -> UInt8[Tensor, "3 T H W"]:
        crop = CENTER_CROPS[self.resize]
        if self.frames == 1:
            images = iter([read_image(file.location)])
        else:
            images = map(to_pil, clip_frames(file.location, self.frames, fps=self.fps))
        return torch.stack([to_tensor(crop(image, self.size)) for image in images], dim=1)


def evaluation_batches(
    dataset: EvaluationSet,
    batch_size: int,
    workers: int = 0,
    positions: Sequence[int] | None = None,
) -> Iterator[EvaluationBatch]:
    """Read the files at some positions (None: at all of them) in batches, in order."""
    chosen = range(len(dataset)) if positions is None else positions
    loader = DataLoader(
        dataset, batch_size, sampler=list(chosen), num_workers=workers, collate_fn=list
    )
    for samples in loader:
        good = [(position, clip) for position, clip, _ in samples if clip is not None]
        yield EvaluationBatch(
            positions=tuple(position for position, _ in good),
            clips=torch.stack([clip for _, clip in good]) if good else None,
            bad=tuple(reason for _, _, reason in samples if reason is not None),
        )
