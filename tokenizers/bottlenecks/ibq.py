"""Index backpropagation quantization (IBQ, arXiv 2412.02692): every code gets a gradient.

    l = x E^T,    p = softmax(l),    k = argmax_k l_k,    one-hot straight-through               (1)
    code = (hard + p - sg(p)) E,    so    dL/dp = g E^T,    dL/dE has hard^T g                   (2)

The code is e_k; its gradient g reaches x and all rows of E through p, and e_k directly. Terms:

    double = mean (code - x)^2        with gradients to both, through p
    commitment, codebook              as in VQ, between x and e_k
    S and A of entropy/entropy_loss.py, of the assignment q = softmax(l / t)                    (3)

    loss = double_weight double + commitment_weight commitment + codebook_weight codebook
         + entropy_weight (sample_entropy_weight S - codebook_entropy_weight A)                  (4)

The N x K logits exist for a chunk of vectors at a time; the backward pass computes them again.
Provenance: terms and default weights are those of the released code, whose total is the paper's
double quantization loss. It weighs the pull of codes by 1/4, not that of latents as VQ does.
"""

from dataclasses import dataclass
from typing import ClassVar, Unpack

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..entropy.entropy_loss import EntropyLoss, EntropyOptions
from .bottleneck import Quantized, Quantizer
from .codebook import check_codebook, codebook_term, commitment_term, most_similar_codes

# Logits per chunk: 16 MiB in fp32.
CHUNK_ELEMENTS = 2**22


@dataclass(frozen=True)
class IBQEntropyLoss(EntropyLoss):
    """`EntropyLoss` with the weight of IBQ's released configs."""

    entropy_weight: float = 0.05


class IBQ(Quantizer):
    """Index backpropagation quantization, with options of `IBQEntropyLoss` as further keywords.

    Args:
        codebook_size: number of codes.
        codebook_dim: channels of a code, and of the latents.
        commitment_weight: weight of the pull of latents towards their codes.
        codebook_weight: weight of the pull of codes towards their latents.
        double_weight: weight of the distance between latents and codes that pulls on both, through
            the soft assignment.
    """

    keywords: ClassVar[type[EntropyLoss]] = IBQEntropyLoss
    # codes are chosen by dot products, where a longer code may win over the vector's own
    idempotent = False

    def __init__(
        self,
        codebook_size: int = 16_384,
        codebook_dim: int = 256,
        commitment_weight: float = 1.0,
        codebook_weight: float = 0.25,
        double_weight: float = 1.0,
        **keywords: Unpack[EntropyOptions],
    ) -> None:
        super().__init__()
        check_codebook(codebook_size, codebook_dim)
        self.entropy_loss = self.keywords(**keywords)
        self.dim = self.code_dim = codebook_dim
        self.group_sizes = (codebook_size,)
        self.commitment_weight, self.codebook_weight = commitment_weight, codebook_weight
        self.double_weight = double_weight
        self.codebook = nn.Parameter(torch.randn(codebook_size, codebook_dim))

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        flat, codebook = x.reshape(-1, self.dim), self.codebook.to(x.dtype)
        # (1)
        indices = most_similar_codes(flat, codebook)
        hard = codes = F.embedding(indices, codebook).view_as(x)
        sample = codebook_entropy = x.new_zeros(())
        if self.training or x.requires_grad:
            soft, sample, mean = self._soft(flat, codebook)
            # (2): the difference is zero, but its gradient is that of p E
            codes = hard + (soft - soft.detach()).view_as(x)
            if self._uses_entropy:
                codebook_entropy = self.entropy_loss.codebook_entropy(mean)
        loss, terms = self._losses(x, hard, codes, sample, codebook_entropy)
        return Quantized(codes, indices.view(*x.shape[:-1], 1), loss, terms)

    @property
    def _uses_entropy(self) -> bool:
        return self.training and self.entropy_loss.entropy_weight != 0

    def _losses(
        self, x: Tensor, hard: Tensor, codes: Tensor, sample: Tensor, codebook_entropy: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        zero = x.new_zeros(())
        commitment = commitment_term(x, hard) if self.training else zero
        codebook = codebook_term(x, hard) if self.training else zero
        double = (codes - x).square().mean() if self.training else zero
        # (4)
        loss = (
            self.double_weight * double
            + self.commitment_weight * commitment
            + self.codebook_weight * codebook
            + self.entropy_loss.loss(sample, codebook_entropy)
        )
        terms = {
            "commitment": commitment,
            "codebook": codebook,
            "double": double,
            "sample_entropy": sample,
            "codebook_entropy": codebook_entropy,
        }
        return loss, terms

    def _soft(
        self, x: Float[Tensor, "N dim"], codebook: Float[Tensor, "K dim"]
    ) -> tuple[Float[Tensor, "N dim"], Float[Tensor, ""], Float[Tensor, "K"]]:
        """Return p E of every vector (2), and of (3) the entropy S and the mean of q."""
        rows = max(1, CHUNK_ELEMENTS // len(codebook))
        if len(x) <= rows:
            soft, entropy, q = self._soft_chunk(x, codebook)
            return soft, entropy / len(x), q / len(x)
        softs, entropy, q = [], x.new_zeros(()), x.new_zeros(len(codebook))
        for chunk in x.split(rows):
            soft, chunk_entropy, chunk_q = checkpoint(
                self._soft_chunk, chunk, codebook, use_reentrant=False, preserve_rng_state=False
            )
            softs.append(soft)
            entropy, q = entropy + chunk_entropy, q + chunk_q
        return torch.cat(softs), entropy / len(x), q / len(x)

    def _soft_chunk(
        self, x: Float[Tensor, "n dim"], codebook: Float[Tensor, "K dim"]
    ) -> tuple[Float[Tensor, "n dim"], Float[Tensor, ""], Float[Tensor, "K"]]:
        logits = x @ codebook.t()
        # E is detached: its own gradient in (2) is hard^T g, and arrives with e_k
        soft = logits.softmax(dim=1) @ codebook.detach()
        if not self._uses_entropy:
            return soft, x.new_zeros(()), x.new_zeros(len(codebook))
        # (3)
        log_q = (logits / self.entropy_loss.temperature).log_softmax(dim=1)
        q = log_q.exp()
        return soft, -(q * log_q).sum(), q.sum(dim=0)

    def indices_to_codes(self, indices: Int64[Tensor, "*batch 1"]) -> Float[Tensor, "*batch dim"]:
        """Return the codes of the given indices, fp32."""
        self.check_indices(indices)
        return F.embedding(indices.squeeze(-1), self.codebook).float()
