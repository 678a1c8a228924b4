"""The perceptual loss: LPIPS of every frame (arXiv 1801.03924).

Long clips go through the network a few frames at a time, and the backward pass recomputes each part
instead of keeping all activations: memory does not grow with the length of the clip.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...eval.features.extractor_weights import MissingWeights
from ...eval.features.lpips_network import Trunk, lpips_network
from .reconstruction import Pixels

FRAMES_AT_ONCE = 16


class PerceptualLoss:
    """Mean LPIPS over frames, in fp32.

    Args:
        network: from two batches of images (N, 3, H, W) in [-1, 1] to distances (N, 1, 1, 1);
            frozen. It is kept in eval mode: the dropout in LPIPS would make the loss random.
        frames_at_once: frames whose activations are held at a time.
    """

    def __init__(self, network: nn.Module, frames_at_once: int = FRAMES_AT_ONCE) -> None:
        self.network = network.eval().requires_grad_(False)
        self.frames_at_once = frames_at_once

    def __call__(self, reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
        """Return the mean distance between the frames of reconstructions and originals."""
        ours, theirs = (x.transpose(1, 2).flatten(0, 1) for x in (reconstruction, pixels))
        parts = list(
            zip(ours.split(self.frames_at_once), theirs.split(self.frames_at_once), strict=True)
        )
        recompute = len(parts) > 1 and torch.is_grad_enabled()
        total = ours.new_zeros((), dtype=torch.float32)
        for part in parts:
            if recompute:
                total = total + checkpoint(
                    self._sum, *part, use_reentrant=False, preserve_rng_state=False
                )
            else:
                total = total + self._sum(*part)
        return total / len(ours)

    def _sum(self, reconstruction: Tensor, pixels: Tensor) -> Tensor:
        with torch.autocast(reconstruction.device.type, enabled=False):
            return self.network(pixels.float(), reconstruction.float()).sum()


def build_perceptual_loss(trunk: Trunk, device: torch.device) -> PerceptualLoss:
    """Build the loss over a published trunk.

    Raises:
        MissingWeights: the trunk's file was not found and could not be downloaded.
    """
    try:
        return PerceptualLoss(lpips_network(trunk).to(device))
    except MissingWeights as error:
        raise MissingWeights(
            error.weights,
            error.reason,
            otherwise="train without this loss: train.losses.perceptual_weight=0",
        ) from error
