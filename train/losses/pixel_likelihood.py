"""Learned log-variance of the pixel likelihood (`logvar` in the code of arXiv 2112.10752).

    nll = exp(-s) R + w s

R is the weighted sum of the reconstruction losses, s the log-variance, one for all pixels, and w
the weight of the likelihood: 1, or the sum over the paths of a dual-path tokenizer. Its optimum is
exp(s) = R / w: the better the reconstructions, the more they count beside the other losses.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.amp import GradScaler

from ...distributed import all_reduce_sum, rank_and_world_size


class PixelLikelihood:
    """The log-variance s and its optimizer, Adam: part of a run, not of its tokenizer or EMA.

    Args:
        logvar_init: s at the first step.
        betas: of Adam.
        device: device of the losses.
    """

    def __init__(
        self, logvar_init: float, betas: tuple[float, float], device: torch.device
    ) -> None:
        self.logvar = torch.tensor(
            logvar_init, dtype=torch.float32, device=device, requires_grad=True
        )
        self._optimizer = torch.optim.Adam([self.logvar], betas=betas)

    def __call__(self, reconstruction: Float[Tensor, ""], weight: float = 1.0) -> Float[Tensor, ""]:
        """Return the negative log-likelihood of a weighted sum of reconstruction losses."""
        return torch.exp(-self.logvar) * reconstruction + weight * self.logvar

    def step(self, lr: float, scaler: GradScaler | None = None, skip: bool = False) -> None:
        """Take one step with the gradient of the global batch; all ranks must call this.

        Args:
            lr: learning rate of the step.
            scaler: the scaler of the losses (fp16), before the step of the tokenizer updates it.
            skip: whether to drop the gradient instead, because the tokenizer's step is skipped.
        """
        gradient = self.logvar.grad
        assert gradient is not None, "called after a backward pass"
        loss_scale = 1.0 if scaler is None else scaler.get_scale()
        gradient.copy_(all_reduce_sum(gradient) / (rank_and_world_size()[1] * loss_scale))
        self._optimizer.param_groups[0]["lr"] = lr
        if not skip:
            self._optimizer.step()
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return log-variance and optimizer state, for a checkpoint."""
        return {"logvar": self.logvar.detach(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore log-variance and optimizer state."""
        with torch.no_grad():
            self.logvar.copy_(state["logvar"])
        self._optimizer.load_state_dict(state["optimizer"])
