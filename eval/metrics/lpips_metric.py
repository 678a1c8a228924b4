"""LPIPS (arXiv 1801.03924) with the `lpips` package's heads, version 0.1, on values in [-1, 1]."""

from collections.abc import Mapping

import torch

from ...output_file import file_sha256
from ..features.extractor_weights import find
from ..features.lpips_network import TRUNKS, Trunk, lpips_network
from ..protocols.image_pair import Pair, flatten_frames
from ..protocols.protocol import Protocol
from .metric import Column, SampleMetric, mean_over_frames

# Long clips go through the network in chunks of frames, which bounds the memory.
FRAMES_AT_ONCE = 8


class LPIPS(SampleMetric):
    """LPIPS under a protocol's rules.

    Args:
        protocol: the rules; see `Protocol`.
        trunk: alex or vgg.
        device: device the network runs on.

    Raises:
        MissingWeights: the trunk's weights file was not found and could not be downloaded.
    """

    def __init__(self, protocol: Protocol, trunk: Trunk, device: str) -> None:
        self.name = f"lpips_{trunk}"
        self.protocol, self.device = protocol, device
        weights = TRUNKS[trunk]
        self.sha256 = file_sha256(find(weights))
        self._weights_caveat = weights.caveat(self.sha256)
        self.network = lpips_network(trunk).to(device)

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the LPIPS of every sample, averaged over its frames."""
        a, b = (flatten_frames(x) / 127.5 - 1 for x in pair.values(self.protocol.lpips_values))
        chunks = zip(a.split(FRAMES_AT_ONCE), b.split(FRAMES_AT_ONCE), strict=True)
        values = [self.network(x, y).flatten() for x, y in chunks]
        distances = mean_over_frames(torch.cat(values), len(pair.originals))
        return {self.name: distances.cpu()}

    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """Return the mean LPIPS over samples."""
        return {self.name: columns[self.name].mean().item()}

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """Warn if the trunk's weights are not the published ones."""
        return self._weights_caveat
