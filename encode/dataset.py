"""The data set of an encoding job: every file as an 8-bit clip with metadata about its source."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..data.codecs.image import read_image, to_pil, to_tensor
from ..data.codecs.video import clip_frames, probe_video
from ..data.resize import adm_center_crop, adm_resize
from ..data.sources.media import READ_ERRORS, BadFile, MediaFile, bad_file


@dataclass(frozen=True)
class EncodingSample:
    """One clip to encode, with metadata about its source.

    Attributes:
        file: file of the clip.
        clip: (3, T, H, W) uint8.
        width: width of the source, in pixels.
        height: height of the source, in pixels.
        fps: frames per second of the clip, or None for an image.
    """

    file: MediaFile
    clip: UInt8[Tensor, "3 T H W"]
    width: int
    height: int
    fps: float | None


class EncodeDataset(Dataset[EncodingSample | BadFile]):
    """The samples of an encoding job, by index.

    Args:
        files: files to read, all of one kind.
        size: short side, in pixels.
        keep_aspect: whole images instead of square center crops.
        frames: number of frames per clip.
        stride: step between the frames of a clip.
    """

    def __init__(
        self, files: Sequence[MediaFile], size: int, keep_aspect: bool, frames: int, stride: int
    ) -> None:
        self.files = tuple(files)
        self.resize = adm_resize if keep_aspect else adm_center_crop
        self.size, self.frames, self.stride = size, frames, stride

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> EncodingSample | BadFile:
        """Return a sample, or a report of why it cannot be read."""
        file = self.files[index]
        try:
            return self._read(file)
        except READ_ERRORS as error:
            return bad_file(file.path, error)

    def _read(self, file: MediaFile) -> EncodingSample:
        if self.frames == 1:
            image = read_image(file.location)
            clip = to_tensor(self._resized(image)).unsqueeze(1)
            return EncodingSample(file, clip, image.width, image.height, None)
        info = probe_video(file.location)
        frames = clip_frames(file.location, self.frames, stride=self.stride)
        resized = [to_tensor(self._resized(to_pil(frame))) for frame in frames]
        clip = torch.stack(resized, dim=1)
        return EncodingSample(file, clip, info.width, info.height, float(info.fps / self.stride))

    def _resized(self, image: Image.Image) -> Image.Image:
        """Resize an image, or name the setting by which it would become too large."""
        try:
            return self.resize(image, self.size)
        except ValueError as error:
            raise ValueError(f"{error}; --size is {self.size}, choose a smaller one") from error
