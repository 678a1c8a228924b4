"""Writing images and clips: PNG for images, H.264 MP4 for videos."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ...output_file import replaced_file
from .frame_rate import frame_rate


def write_image(path: Path, image: UInt8[Tensor, "3 H W"]) -> None:
    """Write a PNG that appears whole or not at all; its folder is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pil_image = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    with replaced_file(path) as partial:
        pil_image.save(partial)


def write_video(
    path: Path, frames: Iterable[UInt8[Tensor, "3 H W"]], fps: Fraction, crf: int = 12
) -> int:
    """Write an MP4 frame by frame, which appears whole or not at all; return its frame count.

    H.264 stores one color sample for two pixels, so an odd last row or column is repeated once.

    Args:
        path: file to write; its folder is created if needed.
        frames: images of one size.
        fps: frames per second.
        crf: H.264 quality from 0 (lossless) to 51; the default is meant for viewing, not measuring.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replaced_file(path) as partial, av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=frame_rate(fps, max_denominator=65535))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for frame in frames:
            even = _even(frame)
            if count == 0:
                stream.height, stream.width = even.shape[1:]
            video_frame = av.VideoFrame.from_ndarray(
                even.permute(1, 2, 0).contiguous().cpu().numpy(), format="rgb24"
            )
            container.mux(stream.encode(video_frame))
            count += 1
        if count:
            container.mux(stream.encode(None))
    return count


def _even(image: Tensor) -> Tensor:
    """Repeat the last row or column of odd sizes."""
    for dim in (1, 2):
        if image.shape[dim] % 2:
            last = image.narrow(dim, image.shape[dim] - 1, 1)
            image = torch.cat([image, last], dim)
    return image
