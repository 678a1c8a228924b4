"""LeCam regularization: keeps the logits near their moving averages (arXiv 2104.03310).

    R <- d R + (1 - d) mean r,    F <- d F + (1 - d) mean f                                      (1)

of patch logits r of originals and f of reconstructions; R and F start at 0. Published code has the
loss in two forms, whose weights do not compare:

    per_logit     (1), then mean relu(r - F)^2 + mean relu(R - f)^2          WeTok, VidTok       (2)
    mean_logit    relu(mean r - F)^2 + relu(R - mean f)^2, then (1)          TiTok, MAGVIT       (3)

Means and averages are those of the global batch.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...distributed import all_reduce_mean, all_reduce_sum, rank_and_world_size
from .adversarial import Logits, Scalar

LeCamForm = Literal["per_logit", "mean_logit"]


class LeCam(nn.Module):
    """The loss with its two moving averages, which belong in checkpoints.

    Args:
        decay: d of (1), in [0, 1).
        form: per_logit for (2), mean_logit for (3).
    """

    real: Tensor
    fake: Tensor

    def __init__(self, decay: float = 0.999, form: LeCamForm = "per_logit") -> None:
        super().__init__()
        self.decay, self.form = decay, form
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, real: Logits, fake: Logits) -> Scalar:
        """Return the loss of this rank's logits, and update the averages by (1)."""
        means = torch.stack([real.mean(), fake.mean()])
        if self.form == "per_logit":
            self._update(means)
            return self._excess(real, fake)
        loss = self._excess(*all_reduce_mean(means).unbind())
        self._update(means)
        return loss

    def _excess(self, real: Tensor, fake: Tensor) -> Scalar:
        """Return (2) of logits, or (3) of their means."""
        real_excess = F.relu(real - self.fake).square().mean()
        return real_excess + F.relu(self.real - fake).square().mean()

    @torch.no_grad()
    def _update(self, means: Float[Tensor, "2"]) -> None:
        """Apply (1), with the same result on every rank."""
        mean_real, mean_fake = (all_reduce_sum(means) / rank_and_world_size()[1]).unbind()
        self.real.mul_(self.decay).add_(mean_real, alpha=1 - self.decay)
        self.fake.mul_(self.decay).add_(mean_fake, alpha=1 - self.decay)
