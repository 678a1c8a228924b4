"""Vector quantization (VQ-VAE, arXiv 1711.00937): the nearest row of a learned codebook.

    k = argmin_k |x - e_k|^2,    code = e_k                                                      (1)
    commitment = mean (x - sg(e_k))^2,    codebook = mean (sg(x) - e_k)^2                        (2)
    loss = commitment_weight commitment + codebook_weight codebook

With distance "cosine" (arXiv 2110.04627) x and e are on the unit sphere in (1) and (2). The
gradient reaches x straight through or by the rotation trick: see straight_through.py.

The codebook learns from the codebook term, or, with update "ema", from moving averages: with counts
c_k and sums v_k of the vectors of code k in the global batch (arXiv 1711.00937, appendix A.1)

    n_k <- g n_k + (1 - g) c_k,    m_k <- g m_k + (1 - g) v_k                                    (3)
    e_k = m_k / n'_k,    n'_k = (n_k + eps) / (n + K eps) n,    n = sum_k n_k                    (4)

A code whose n_k falls below `dead_code_threshold` times its fair share n / K is dead. It moves to a
random vector of the batch, with the fair share as its new count, so that it has time to win vectors
(arXiv 2012.09841 and later). The EMA state must move with it, or (4) would undo the move at once.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..gradients.straight_through import rotate_through, straight_through
from .bottleneck import Quantized, Quantizer
from .codebook import (
    check_choice,
    check_codebook,
    code_sums,
    codebook_term,
    commitment_term,
    kmeans,
    most_similar_codes,
    nearest_codes,
    sampled_vectors,
)

EMA_EPS = 1e-5

Gradient = Literal["straight_through", "rotation"]


class VQ(Quantizer):
    """Vector quantization with a learned codebook.

    Args:
        codebook_size: number of codes.
        codebook_dim: channels of a code, and of the latents.
        commitment_weight: weight of the pull of latents towards their codes.
        codebook_weight: weight of the pull of codes towards their latents; without effect when
            update is "ema".
        distance: "euclidean" or "cosine".
        gradient: how the gradient reaches the latents, "straight_through" or "rotation".
        update: how codes learn, by "gradient" or by "ema".
        ema_decay: decay g of the moving averages (3), also of the counts that reveal dead codes.
        kmeans_init: initialize codes to the k-means centroids of the first training batch.
        dead_code_threshold: fraction of its fair share of vectors below which a code is dead and
            is revived; 0 revives none, 0.03 is a good start.

    Example:
        >>> import torch
        >>> from vistok import VQ
        >>> vq = VQ(codebook_size=16, codebook_dim=4)
        >>> out = vq(torch.randn(10, 4))
        >>> out.indices.shape, sorted(out.terms)
        (torch.Size([10, 1]), ['codebook', 'commitment'])
    """

    # every code is nearest to itself; with "cosine" it is already on the unit sphere
    idempotent = True

    codebook: Tensor
    ema_counts: Tensor
    ema_sums: Tensor
    started: Tensor

    def __init__(
        self,
        codebook_size: int = 1024,
        codebook_dim: int = 8,
        commitment_weight: float = 0.25,
        codebook_weight: float = 1.0,
        distance: Literal["euclidean", "cosine"] = "euclidean",
        gradient: Gradient = "straight_through",
        update: Literal["gradient", "ema"] = "gradient",
        ema_decay: float = 0.99,
        kmeans_init: bool = False,
        dead_code_threshold: float = 0.0,
    ) -> None:
        super().__init__()
        check_codebook(codebook_size, codebook_dim)
        check_choice("distance", distance, ("euclidean", "cosine"))
        check_choice("gradient", gradient, ("straight_through", "rotation"))
        check_choice("update", update, ("gradient", "ema"))
        if not 0 < ema_decay < 1:
            raise ValueError(f"ema_decay must lie between 0 and 1, got {ema_decay}")
        if not 0 <= dead_code_threshold < 1:
            raise ValueError(f"dead_code_threshold must lie in [0, 1), got {dead_code_threshold}")
        self.dim = self.code_dim = codebook_dim
        self.group_sizes = (codebook_size,)
        self.commitment_weight, self.codebook_weight = commitment_weight, codebook_weight
        self.distance, self.gradient, self.update = distance, gradient, update
        self.ema_decay, self.dead_code_threshold = ema_decay, dead_code_threshold
        self.stateful = update == "ema" or kmeans_init or dead_code_threshold > 0

        bound = 1 / codebook_size
        codebook = torch.empty(codebook_size, codebook_dim).uniform_(-bound, bound)
        if update == "gradient":
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            self.register_buffer("ema_sums", codebook.clone())
        if self.stateful:
            self.register_buffer("ema_counts", torch.ones(codebook_size))
        if kmeans_init:
            self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.kmeans_init = kmeans_init

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        x = self._on_sphere(x)
        flat = x.reshape(-1, self.dim)
        if self.training and self.kmeans_init:
            self._initialize_codebook(flat.detach())
        codebook = self._on_sphere(self.codebook.to(x.dtype))
        # (1)
        search = nearest_codes if self.distance == "euclidean" else most_similar_codes
        indices = search(flat, codebook)
        codes = F.embedding(indices, codebook).view_as(x)
        loss, terms = self._losses(x, codes)
        if self.training and self.stateful:
            self._update_codebook(flat.detach(), indices)
        pass_through = rotate_through if self.gradient == "rotation" else straight_through
        return Quantized(pass_through(x, codes), indices.view(*x.shape[:-1], 1), loss, terms)

    def _losses(self, x: Tensor, codes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # (2)
        zero = x.new_zeros(())
        commitment = commitment_term(x, codes) if self.training else zero
        learns = self.training and self.update == "gradient"
        codebook = codebook_term(x, codes) if learns else zero
        loss = self.commitment_weight * commitment + self.codebook_weight * codebook
        return loss, {"commitment": commitment, "codebook": codebook}

    def indices_to_codes(self, indices: Int64[Tensor, "*batch 1"]) -> Float[Tensor, "*batch dim"]:
        """Return the codes of the given indices, fp32."""
        self.check_indices(indices)
        return self._on_sphere(F.embedding(indices.squeeze(-1), self.codebook).float())

    def _on_sphere(self, x: Tensor) -> Tensor:
        return x if self.distance == "euclidean" else F.normalize(x, dim=-1)

    # ---- k-means, EMA updates and dead-code revival, outside compiled regions -------------------

    @torch.compiler.disable()
    @torch.no_grad()
    def _initialize_codebook(self, x: Float[Tensor, "N dim"]) -> None:
        """Set the codebook to the k-means centroids of the first batch."""
        if bool(self.started):
            return
        self.codebook.copy_(kmeans(x, self.codebook_size))
        if self.update == "ema":
            self.ema_sums.copy_(self.codebook)
        self.started.fill_(True)

    @torch.compiler.disable()
    @torch.no_grad()
    def _update_codebook(self, x: Float[Tensor, "N dim"], indices: Int64[Tensor, "N"]) -> None:
        """Update counts and EMA codes from a batch, and revive dead codes."""
        counts, sums = code_sums(x, indices, self.codebook_size)
        # (3)
        self.ema_counts.lerp_(counts.to(self.ema_counts.dtype), 1 - self.ema_decay)
        total = self.ema_counts.sum()
        if self.update == "ema":
            self.ema_sums.lerp_(sums.to(self.ema_sums.dtype), 1 - self.ema_decay)
            # (4)
            n = (self.ema_counts + EMA_EPS) / (total + self.codebook_size * EMA_EPS) * total
            self.codebook.copy_(self.ema_sums / n.unsqueeze(1))
        if self.dead_code_threshold:
            self._revive_dead_codes(x, total / self.codebook_size)

    def _revive_dead_codes(self, x: Float[Tensor, "N dim"], fair_share: Tensor) -> None:
        """Move dead codes to random vectors of the global batch."""
        dead = self.ema_counts < self.dead_code_threshold * fair_share
        count = int(dead.sum())
        if count == 0:
            return
        codes = sampled_vectors(x, count).to(self.codebook.dtype)
        # .data leaves the version counter alone, which the graph of this batch still checks
        self.codebook.data[dead] = codes
        self.ema_counts[dead] = fair_share
        if self.update == "ema":
            self.ema_sums[dead] = codes * fair_share
