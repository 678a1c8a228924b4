"""Structural similarity (Wang et al. 2004): Gaussian window 11 x 11, sigma 1.5, RGB, range 255."""

from jaxtyping import Float64, UInt8
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

WINDOW = 11


def clip_ssim(
    pictures: UInt8[Tensor, "B 3 T H W"], reconstructions: UInt8[Tensor, "B 3 T H W"]
) -> Float64[Tensor, "B"]:
    """SSIM of every clip: the mean over its frames.

    Raises:
        ValueError: the picture is smaller than the window.
    """
    B, _, T, H, W = pictures.shape
    if min(H, W) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least 11 x 11 pixels, got {H} x {W}")
    frames, others = (x.transpose(1, 2).flatten(0, 1).double() for x in (pictures, reconstructions))
    _, maps = structural_similarity_index_measure(
        others, frames, sigma=1.5, data_range=255.0, reduction="none", return_full_image=True
    )
    # Only windows that lie wholly inside the picture count, as in the paper and in scikit-image;
    # torchmetrics' own mean includes mirrored borders.
    edge = WINDOW // 2
    inside = maps[..., edge:-edge, edge:-edge]
    return inside.mean(dim=(1, 2, 3)).view(B, T).mean(dim=1)
