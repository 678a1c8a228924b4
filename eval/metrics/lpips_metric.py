"""LPIPS (arXiv 1801.03924) with the `lpips` package's heads, version 0.1, on values in [-1, 1].

torchmetrics' LPIPS has the same arithmetic but loads torchvision's trunks itself, from wherever
torch hub finds them, without a way to pass a file of weights or to learn their hash.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ...output_file import file_sha256
from ..features.extractor_weights import find
from ..features.lpips_network import TRUNKS, Trunk, lpips_network
from ..protocols.image_pair import Pair, flatten_frames
from ..protocols.protocol import CANONICAL, Protocol, protocol_of
from .metric import Column, SampleMetric, mean_over_frames, value_of

# Long clips go through the network in chunks of frames, which bounds the memory.
FRAMES_AT_ONCE = 8


class LPIPS(SampleMetric):
    """LPIPS under a protocol's rules, from 0 for an exact match; named by its trunk.

    Args:
        protocol: the rules or their name; see `Protocol`.
        trunk: alex or vgg.
        device: device of the network and of the states; `to` moves both.

    Raises:
        MissingWeights: the trunk's weights file was not found and could not be downloaded.
    """

    higher_is_better = False

    def __init__(
        self,
        protocol: Protocol | str = CANONICAL,
        trunk: Trunk = "alex",
        device: str | torch.device = "cpu",
    ) -> None:
        self.name = f"lpips_{trunk}"
        super().__init__()
        self.protocol = protocol_of(protocol)
        weights = TRUNKS[trunk]
        self.sha256 = file_sha256(find(weights))
        self._weights_caveat = weights.caveat(self.sha256)
        self.network = lpips_network(trunk)
        self.to(device)

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the LPIPS of every sample, averaged over its frames."""
        a, b = (flatten_frames(x) / 127.5 - 1 for x in pair.values(self.protocol.lpips_values))
        a, b = a.to(self.device), b.to(self.device)
        chunks = zip(a.split(FRAMES_AT_ONCE), b.split(FRAMES_AT_ONCE), strict=True)
        values = [self.network(x, y).flatten() for x, y in chunks]
        distances = mean_over_frames(torch.cat(values), len(pair.originals))
        return {self.name: distances.cpu()}

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """Warn if the trunk's weights are not the published ones."""
        return self._weights_caveat


def lpips(
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    trunk: Trunk = "alex",
    protocol: Protocol | str = CANONICAL,
    reduction: Literal["mean", "none"] = "mean",
) -> Float64[Tensor, "*B"]:
    """Compute the LPIPS of clips (B, 3, T, H, W) or images (B, 3, H, W), averaged over frames.

    It loads the network at every call, onto the device of the originals; `LPIPS` loads it once.

    Args:
        originals: floats in [-1, 1], or uint8.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        trunk: alex or vgg.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.
        reduction: mean over the samples, or none for the value of each, (B,).

    Raises:
        ValueError: another shape, or originals beyond [-1, 1].
        MissingWeights: the trunk's weights file was not found and could not be downloaded.
    """
    metric = LPIPS(protocol, trunk, originals.device)
    return value_of(metric, originals, reconstructions, reduction)
