"""LeCam regularization: keeps the logits near their moving averages (arXiv 2104.03310).

    R <- d R + (1 - d) mean r,    F <- d F + (1 - d) mean f                                      (1)
    lecam = mean relu(r - F)^2 + mean relu(R - f)^2                                              (2)

of patch logits r of originals and f of reconstructions; R and F start at 0.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...distributed import all_reduce_sum, rank_and_world_size
from .adversarial import Logits, Scalar


class LeCam(nn.Module):
    """The loss with its two moving averages, which belong in checkpoints.

    Args:
        decay: d of (1), in [0, 1).
    """

    real: Tensor
    fake: Tensor

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, real: Logits, fake: Logits) -> Scalar:
        """Update the averages by (1) with the global batch, then return (2) of this rank's."""
        self._update(torch.stack([real.mean(), fake.mean()]))
        # (2)
        real_excess = F.relu(real - self.fake).square().mean()
        return real_excess + F.relu(self.real - fake).square().mean()

    @torch.no_grad()
    def _update(self, means: Float[Tensor, "2"]) -> None:
        """Apply (1), with the same result on every rank."""
        mean_real, mean_fake = (all_reduce_sum(means) / rank_and_world_size()[1]).unbind()
        self.real.mul_(self.decay).add_(mean_real, alpha=1 - self.decay)
        self.fake.mul_(self.decay).add_(mean_fake, alpha=1 - self.decay)
