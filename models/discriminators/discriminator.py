"""Discriminator: base class of the networks that tell real pixels from reconstructed ones.

A discriminator gives each patch of a clip a logit: high where the patch looks real. Discriminators
of images see each frame separately. All compute in fp32, whatever the precision of the rest:
adversarial training is what half precision breaks first.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Normalization = Literal["batch", "sync_batch", "group", "none"]
Pixels = Float[Tensor, "B C T H W"]
Logits = Float[Tensor, "N 1 t h w"]

MAX_GROUPS = 32


class Discriminator(nn.Module, ABC):
    """Network from pixels to patch logits.

    Attributes:
        min_side: smallest height and width of a frame, in pixels.
    """

    min_side: int

    def forward(self, pixels: Pixels) -> Logits:
        """Return the logit of every patch.

        Args:
            pixels: clips in [-1, 1]; reconstructions may exceed that range.

        Returns:
            Patch logits of N inputs: of clips (N = B), or of single frames (N = B T).

        Raises:
            ValueError: the frames are smaller than one patch.
        """
        self.check_size(pixels.shape[-2], pixels.shape[-1])
        with torch.autocast(pixels.device.type, enabled=False):
            return self._logits(pixels.float())

    def check_size(self, H: int, W: int) -> None:
        """Raise if frames of this size are smaller than one patch."""
        if min(H, W) < self.min_side:
            raise ValueError(
                f"the discriminator needs frames of at least {self.min_side} x {self.min_side} "
                f"pixels, got {H} x {W}; use larger frames, or lower its num_layers"
            )

    @abstractmethod
    def _logits(self, pixels: Pixels) -> Logits:
        """Compute the patch logits in fp32."""


def frames_of(pixels: Pixels) -> Float[Tensor, "B*T C H W"]:
    """Return the frames of a batch of clips as a batch of images."""
    return pixels.transpose(1, 2).flatten(0, 1)


def normalization(kind: Normalization, channels: int, dimensions: Literal[2, 3]) -> nn.Module:
    """Return a norm layer for images or clips; `sync_batch` takes statistics over all GPUs."""
    match kind:
        case "batch":
            return (nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d)(channels)
        case "sync_batch":
            return nn.SyncBatchNorm(channels)
        case "group":
            return nn.GroupNorm(math.gcd(MAX_GROUPS, channels), channels)
        case "none":
            return nn.Identity()


def spectrally_normed(layer: nn.Module, active: bool) -> nn.Module:
    """Divide the weight of a layer by its largest singular value (arXiv 1802.05957)."""
    return spectral_norm(layer) if active else layer
