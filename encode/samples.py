"""Reading what is to be encoded: every file of the job as an 8-bit clip with its source facts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..data.image import read_image, to_tensor
from ..data.media import BadFile, MediaFile
from ..data.resize import adm_center_crop, adm_resize
from ..data.training_set import pictures
from ..data.video import probe_video, read_clip


@dataclass(frozen=True)
class EncodingSample:
    """One clip to encode.

    Attributes:
        file: where it comes from.
        clip: (3, T, H, W) uint8.
        width: of the source, in pixels.
        height: of the source, in pixels.
        fps: frames per second of the clip, or None for an image.
    """

    file: MediaFile
    clip: UInt8[Tensor, "3 T H W"]
    width: int
    height: int
    fps: float | None


class EncodingSamples(Dataset[EncodingSample | BadFile]):
    """The samples of a job, by index.

    Args:
        files: what to read, all of one kind.
        size: short side, in pixels.
        keep_aspect: whole pictures instead of square centre crops.
        frames: frames per clip.
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
        """A sample, or the reason why there is none."""
        file = self.files[index]
        try:
            return self._read(file)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            return BadFile(str(file.path), str(error), type(error).__name__)

    def _read(self, file: MediaFile) -> EncodingSample:
        if file.kind == "image":
            image = read_image(file.path)
            frames, fps = [image], None
        else:
            frames = pictures(read_clip(file.path, self.frames, stride=self.stride))
            fps = float(probe_video(file.path).fps / self.stride)
        clip = torch.stack([to_tensor(self.resize(frame, self.size)) for frame in frames], dim=1)
        return EncodingSample(file, clip, frames[0].width, frames[0].height, fps)
