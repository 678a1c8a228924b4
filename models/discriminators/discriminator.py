"""Discriminator: what every network has in common that judges pixels, patch by patch.

A discriminator gives a clip one logit per patch: high where it looks real. Those over images see
every frame by itself. Whatever precision the rest trains in, it computes in fp32: adversarial
training is the part that half precision breaks first.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Normalisation = Literal["batch", "sync_batch", "group", "none"]
Pixels = Float[Tensor, "B C T H W"]
Logits = Float[Tensor, "N 1 t h w"]

MOST_GROUPS = 32


class Discriminator(nn.Module, ABC):
    """A network from pixels to patch logits.

    Attributes:
        min_side: smallest height and width of a frame, in pixels.
    """

    min_side: int

    def forward(self, pixels: Pixels) -> Logits:
        """Judge clips.

        Args:
            pixels: clips in [-1, 1]; reconstructions may leave that range.

        Returns:
            Patch logits of each of the N things that are judged: clips, or frames (N = B T).

        Raises:
            ValueError: the frames are too small for a single patch.
        """
        self.check_size(pixels.shape[-2], pixels.shape[-1])
        with torch.autocast(pixels.device.type, enabled=False):
            return self._judge(pixels.float())

    def check_size(self, H: int, W: int) -> None:
        """Raise where a frame is too small for a single patch."""
        if min(H, W) < self.min_side:
            raise ValueError(
                f"the discriminator needs frames of at least {self.min_side} x {self.min_side} "
                f"pixels, got {H} x {W}; give it larger ones, or lower its num_layers"
            )

    @abstractmethod
    def _judge(self, pixels: Pixels) -> Logits:
        """The network itself, in fp32."""


def frames_of(pixels: Pixels) -> Float[Tensor, "B*T C H W"]:
    """Every frame of a batch of clips as an image of its own."""
    return pixels.transpose(1, 2).flatten(0, 1)


def normalisation(kind: Normalisation, channels: int, dimensions: Literal[2, 3]) -> nn.Module:
    """The layer of a kind over images or clips; `sync_batch` takes statistics over all GPUs."""
    match kind:
        case "batch":
            return (nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d)(channels)
        case "sync_batch":
            return nn.SyncBatchNorm(channels)
        case "group":
            return nn.GroupNorm(math.gcd(MOST_GROUPS, channels), channels)
        case "none":
            return nn.Identity()


def spectrally_normed(layer: nn.Module, active: bool) -> nn.Module:
    """The layer with its weight divided by its largest singular value (arXiv 1802.05957)."""
    return spectral_norm(layer) if active else layer
