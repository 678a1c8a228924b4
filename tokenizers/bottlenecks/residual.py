"""Residual quantization (RVQ, SoundStream, arXiv 2107.03312): quantize what is left, again.

    r_0 = x,    c_i = s_i Q_i(r_i / s_i),    r_{i+1} = r_i - c_i,    code = sum_i c_i            (1)

Any quantizer serves as Q. s_i = scale^i keeps the ever smaller residuals in its range: 1 for
learned codebooks, which adapt; 1/2 for signs; 1 / levels for FSQ, whose next stage then divides
every step into as many again (use squash="clamp" there, since tanh bends what codes approximate).

A prefix of the indices decodes to a coarser code. With quantizer dropout, training sees these
codes as well: with that probability a batch is cut after a random number of stages.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..gradients.straight_through import straight_through
from .bottleneck import Quantized, Quantizer
from .composition import Copies, make_copies


class Residual(Quantizer):
    """A stack of quantizers, each on the residual of those before.

    The loss and every term are sums over the stages.

    Args:
        quantizer: makes one stage, such as `lambda: FSQ((8, 5, 5))`; called once per stage. In
            configs the options of a stage, with `kind`.
        num_quantizers: number of stages.
        quantizer_dropout: probability, in train mode, that a batch keeps only its first stages.
            The indices still name all of them.
        scale: ratio of the scales of a stage and the one before; None uses the quantizer's own.

    Example:
        >>> import torch
        >>> from vistok import FSQ, Residual
        >>> residual = Residual(lambda: FSQ((8, 5, 5)), num_quantizers=4)
        >>> residual(torch.randn(10, 3)).indices.shape
        torch.Size([10, 4])
    """

    # the first stage may take another code for the sum of all stages' codes
    idempotent = False

    def __init__(
        self,
        quantizer: Callable[[], Quantizer],
        num_quantizers: Copies = 4,
        quantizer_dropout: float = 0.0,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= quantizer_dropout <= 1:
            raise ValueError(f"quantizer_dropout must lie in [0, 1], got {quantizer_dropout}")
        if scale is not None and scale <= 0:
            raise ValueError(f"scale must be > 0, got {scale}")
        stages = make_copies(quantizer, num_quantizers, "num_quantizers")
        self.stages = nn.ModuleList(stages)
        if stages[0].code_dim != stages[0].dim:
            raise ValueError(
                "the input and output of quantizer must have equally many channels, "
                f"got {stages[0].dim} and {stages[0].code_dim}"
            )
        self.quantizer_dropout, self.scale = quantizer_dropout, scale
        self.dim = self.code_dim = stages[0].dim
        self.group_sizes = stages[0].group_sizes * num_quantizers
        self.stateful = any(stage.stateful for stage in stages)

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        kept, ratio = self._kept(x), self._ratio(x)
        total, through = torch.zeros_like(x), torch.zeros_like(x)
        results: list[Quantized] = []
        for i, stage in enumerate(self.stages):
            scale = ratio**i
            # (1); earlier codes are constants here, so that every stage's loss reaches x
            result = stage((x - total) / scale)
            results.append(result)
            code = scale * result.codes
            total = total + code.detach()
            through = through + (code if kept is None else code * (i < kept))
        # Every stage passes the gradient on; the mean over stages makes it one gradient again.
        mean = through / (len(results) if kept is None else kept)
        codes = straight_through(mean, through)
        return Quantized(codes, _joined_indices(results), *_summed_losses(results))

    def _kept(self, x: Tensor) -> Tensor | None:
        """Draw the number of stages that this batch keeps, or return None where it keeps all."""
        if not self.training or self.quantizer_dropout == 0:
            return None
        stages = len(self.stages)
        cut = torch.rand((), device=x.device) < self.quantizer_dropout
        return torch.where(cut, torch.randint(1, stages + 1, (), device=x.device), stages)

    def _ratio(self, x: Tensor) -> Tensor:
        ratio = _quantizer(self.stages[0]).residual_scale if self.scale is None else self.scale
        return torch.as_tensor(ratio, dtype=x.dtype, device=x.device)

    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch groups"]
    ) -> Float[Tensor, "*batch dim"]:
        """Return the codes of the given indices, fp32.

        Indices of the first stages alone are a prefix, which decodes to coarser codes.
        """
        per_stage = _quantizer(self.stages[0]).num_groups
        given = indices.shape[-1]
        if given == 0 or given > self.num_groups or given % per_stage:
            raise ValueError(
                f"indices must end in {self.num_groups} group(s), or for a prefix in a multiple of "
                f"{per_stage}, got shape {tuple(indices.shape)}"
            )
        codes = 0.0
        for i, part in enumerate(indices.split(per_stage, dim=-1)):
            code = _quantizer(self.stages[i]).indices_to_codes(part)
            codes = codes + self._ratio(code) ** i * code
        return torch.as_tensor(codes)


def _quantizer(stage: nn.Module) -> Quantizer:
    assert isinstance(stage, Quantizer), "built as quantizers"
    return stage


def _joined_indices(results: Sequence[Quantized]) -> Tensor:
    return torch.cat([r.indices for r in results if r.indices is not None], dim=-1)


def _summed_losses(results: Sequence[Quantized]) -> tuple[Tensor, dict[str, Tensor]]:
    loss = torch.stack([result.loss for result in results]).sum()
    terms = {
        name: torch.stack([result.terms[name] for result in results]).sum()
        for name in results[0].terms
    }
    return loss, terms
