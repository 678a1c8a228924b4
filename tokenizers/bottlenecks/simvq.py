"""SimVQ (arXiv 2411.02038): a frozen Gaussian table behind one learned linear map.

    e_k = W c_k + b,    c_k ~ N(0, 1 / dim), frozen                                              (1)
    k = argmin_k |x - e_k|^2,    terms and gradients as in VQ

Every update of W moves all codes at once, so that no code is left behind and dies.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..gradients.straight_through import rotate_through, straight_through
from .bottleneck import Quantized, Quantizer, project
from .codebook import check_choice, check_codebook, codebook_term, commitment_term, nearest_codes


class SimVQ(Quantizer):
    """Vector quantization with a frozen codebook behind a learned linear map.

    Args:
        codebook_size: number of codes.
        codebook_dim: channels of a code, and of the latents.
        commitment_weight: weight of the pull of latents towards their codes.
        codebook_weight: weight of the pull of codes towards their latents.
        gradient: how the gradient reaches the latents, "straight_through" or "rotation".
    """

    # every code is nearest to itself
    idempotent = True

    table: Float[Tensor, "K dim"]

    def __init__(
        self,
        codebook_size: int = 1024,
        codebook_dim: int = 8,
        commitment_weight: float = 0.25,
        codebook_weight: float = 1.0,
        gradient: Literal["straight_through", "rotation"] = "straight_through",
    ) -> None:
        super().__init__()
        check_codebook(codebook_size, codebook_dim)
        check_choice("gradient", gradient, ("straight_through", "rotation"))
        self.dim = self.code_dim = codebook_dim
        self.group_sizes = (codebook_size,)
        self.commitment_weight, self.codebook_weight = commitment_weight, codebook_weight
        self.gradient = gradient
        self.register_buffer("table", torch.randn(codebook_size, codebook_dim) * codebook_dim**-0.5)
        self.map = nn.Linear(codebook_dim, codebook_dim)

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        flat, table = x.reshape(-1, self.dim), self.table.to(x.dtype)
        with torch.no_grad():
            # (1)
            indices = nearest_codes(flat, project(self.map, table))
        # mapping the chosen rows again is cheaper than a gradient through all rows
        codes = project(self.map, F.embedding(indices, table)).view_as(x)
        loss, terms = self._losses(x, codes)
        pass_through = rotate_through if self.gradient == "rotation" else straight_through
        return Quantized(pass_through(x, codes), indices.view(*x.shape[:-1], 1), loss, terms)

    def _losses(self, x: Tensor, codes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        zero = x.new_zeros(())
        commitment = commitment_term(x, codes) if self.training else zero
        codebook = codebook_term(x, codes) if self.training else zero
        loss = self.commitment_weight * commitment + self.codebook_weight * codebook
        return loss, {"commitment": commitment, "codebook": codebook}

    def indices_to_codes(self, indices: Int64[Tensor, "*batch 1"]) -> Float[Tensor, "*batch dim"]:
        """Return the codes of the given indices, fp32."""
        self.check_indices(indices)
        return project(self.map, F.embedding(indices.squeeze(-1), self.table).float())
