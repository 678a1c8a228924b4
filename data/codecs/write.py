"""Writing images and clips: PNG for images, H.264 MP4 for video."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor


def write_image(path: Path, picture: UInt8[Tensor, "3 H W"]) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy()).save(path)


def write_video(
    path: Path, frames: Iterable[UInt8[Tensor, "3 H W"]], fps: Fraction, crf: int = 12
) -> int:
    """Write an MP4 frame by frame and return the number of frames.

    H.264 keeps two pixels per colour sample, so an odd last row or column is repeated once.

    Args:
        path: where to; its folder is made.
        frames: images of one size.
        fps: frames per second.
        crf: H.264 quality, 0 (lossless) to 51; for looking at, not for measuring.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    count = 0
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=fps.limit_denominator(65535))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for frame in frames:
            even = _even(frame)
            if count == 0:
                stream.height, stream.width = even.shape[1:]
            picture = av.VideoFrame.from_ndarray(
                even.permute(1, 2, 0).contiguous().cpu().numpy(), format="rgb24"
            )
            container.mux(stream.encode(picture))
            count += 1
        if count:
            container.mux(stream.encode(None))
    partial.replace(path)
    return count


def _even(picture: Tensor) -> Tensor:
    """Repeat the last row or column of odd sizes."""
    for dim in (1, 2):
        if picture.shape[dim] % 2:
            last = picture.narrow(dim, picture.shape[dim] - 1, 1)
            picture = torch.cat([picture, last], dim)
    return picture
