"""The rules a score is made under, by name and hash: numbers of different rules do not compare.

`vistok-eval-v1` is ours. The others repeat the rules of published evaluations, so that a paper's
number can be checked; rows under them carry the canonical numbers too. What a paper does not say
stays as in ours.

    wetok        WeTok (arXiv 2508.05599), as Open-MAGVIT2 and IBQ
    vidtok       VidTok (arXiv 2412.13061): clips of 17 frames (16 for non-causal models) at 30 fps
    tokenbench   Cosmos Tokenizer's TokenBench (arXiv 2501.03575)
    titok        TiTok (arXiv 2406.07550)
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

# How values in [-1, 1] become the numbers that are compared; see pair.py.
Values = Literal["rounded", "truncated", "truncated_unit", "floats"]


@dataclass(frozen=True)
class Protocol:
    """Everything that changes a number besides the tokenizer and the images.

    Attributes:
        name: what reports call it.
        resize: centre crop: adm (box halvings, then Pillow bicubic), or one Pillow resize.
        fps: frame rate that clips are resampled to; None takes their first frames as they are.
        max_frames: longest clips that the rules know; None sets no bound.
        default_frames: frames per clip where the user does not say.
        psnr_values: numbers that PSNR compares.
        psnr_per: one squared error per frame (PSNR averaged over frames), or one per clip.
        psnr_epsilon: added to the squared error of values in [0, 1].
        ssim_values: numbers that SSIM and MS-SSIM compare.
        ssim_window: gaussian11 (sigma 1.5), or uniform7 with the sample covariance (scikit-image).
        ssim_pool: whether images are averaged down by round(min(H, W) / 256) before SSIM.
        lpips_values: numbers that LPIPS compares.
        inception_values: numbers that go into Inception.
        inception_resize: tf1 (bilinear, corners as TensorFlow 1 placed them), or half_pixel.
        video_values: numbers that go into I3D.
        tiling: images are encoded in one piece.
        latents: continuous tokenizers decode the mode of their posterior.
        averages: how per-sample values become one.
    """

    name: str = "vistok-eval-v1"
    resize: Literal["adm", "bilinear", "bicubic"] = "adm"
    fps: float | None = None
    max_frames: int | None = None
    default_frames: int = 1
    psnr_values: Values = "rounded"
    psnr_per: Literal["frame", "clip"] = "frame"
    psnr_epsilon: float = 0.0
    ssim_values: Values = "rounded"
    ssim_window: Literal["gaussian11", "uniform7"] = "gaussian11"
    ssim_pool: bool = False
    lpips_values: Values = "rounded"
    inception_values: Values = "rounded"
    inception_resize: Literal["tf1", "half_pixel"] = "tf1"
    video_values: Values = "rounded"
    tiling: str = "none, whole picture"
    latents: str = "posterior mode"
    averages: str = "over the frames of a sample, then over samples"

    @property
    def hash(self) -> str:
        """First 12 digits of the SHA-256 of the rules."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    @property
    def is_canonical(self) -> bool:
        """Whether these are our own rules."""
        return self == CANONICAL

    def check_frames(self, frames: int) -> None:
        """Raise where the rules do not know clips of this length."""
        if self.max_frames is not None and frames > self.max_frames:
            raise ValueError(
                f"protocol {self.name} takes clips of up to {self.max_frames} frames, got {frames}"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


CANONICAL = Protocol()

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        CANONICAL,
        Protocol(
            name="wetok",
            resize="bilinear",
            psnr_values="truncated",
            ssim_values="truncated",
            ssim_window="uniform7",
            lpips_values="floats",
            inception_values="floats",
            inception_resize="half_pixel",
        ),
        Protocol(
            name="vidtok",
            resize="bilinear",
            fps=30.0,
            default_frames=17,
            psnr_values="floats",
            psnr_epsilon=1e-8,
            ssim_values="floats",
            ssim_pool=True,
            lpips_values="floats",
            video_values="floats",
        ),
        Protocol(
            name="tokenbench",
            max_frames=300,
            default_frames=49,
            psnr_per="clip",
            ssim_window="uniform7",
        ),
        Protocol(
            name="titok",
            resize="bicubic",
            psnr_values="truncated_unit",
            ssim_values="truncated_unit",
            lpips_values="truncated_unit",
            inception_values="truncated_unit",
        ),
    )
}
