"""Multi-token quantization (OneVAE, arXiv 2508.09857): several small codebooks per position.

    x = (x_1, ..., x_c), contiguous channels;    code = (Q_1(x_1), ..., Q_c(x_c))                (1)

Every Q_i is of the same kind and has its own weights. With `dim`, two linear layers join a wide
latent to the narrow codes (OneVAE: 256 channels to 2 x 6 of FSQ and back):

    code = W_out (Q_1(y_1), ..., Q_c(y_c)) + b_out,    y = W_in x + b_in                         (2)
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...size_limits import MAX_CHANNELS, Channels, check_limits
from .bottleneck import Quantized, Quantizer, project
from .composition import Copies, make_copies


class MultiToken(Quantizer):
    """Independent quantizers over contiguous groups of channels.

    The loss and every term are means over the quantizers.

    Args:
        quantizer: makes one of them, such as `lambda: FSQ((8, 5, 5))`; called once per token. In
            configs the options of one, with `kind`.
        num_tokens: number of quantizers.
        dim: channels of the latents and of the codes, joined to the quantizers by linear layers;
            None leaves them out.

    Example:
        >>> import torch
        >>> from vistok import FSQ, MultiToken
        >>> tokens = MultiToken(lambda: FSQ((8, 5, 5)), num_tokens=2, dim=32)
        >>> out = tokens(torch.randn(10, 32))
        >>> out.indices.shape, out.codes.shape
        (torch.Size([10, 2]), torch.Size([10, 32]))
    """

    def __init__(
        self,
        quantizer: Callable[[], Quantizer],
        num_tokens: Copies = 2,
        dim: Channels | None = None,
    ) -> None:
        super().__init__()
        if dim is not None:
            check_limits("dim", dim, MAX_CHANNELS)
        inner = make_copies(quantizer, num_tokens, "num_tokens")
        self.quantizers = nn.ModuleList(inner)
        self.inner_dim, self.inner_code_dim = inner[0].dim, inner[0].code_dim
        self.inner_groups = inner[0].num_groups
        self.group_sizes = inner[0].group_sizes * num_tokens
        self.stateful = any(q.stateful for q in inner)
        self.idempotent = dim is None and inner[0].idempotent
        self.dim, self.code_dim = num_tokens * self.inner_dim, num_tokens * self.inner_code_dim
        self.project_in = self.project_out = None
        if dim is not None:
            self.project_in = nn.Linear(dim, self.dim)
            self.project_out = nn.Linear(self.code_dim, dim)
            self.dim = self.code_dim = dim

    @property
    def residual_scale(self) -> Tensor | float:
        """Scale of the quantizers inside, one number or one per channel."""
        inner = self.quantizers[0]
        assert isinstance(inner, Quantizer), "built as quantizers"
        scale = inner.residual_scale
        if not isinstance(scale, Tensor):
            return scale
        # The projection mixes the channels, so that they have one scale.
        return scale.mean() if self.project_in else scale.repeat(len(self.quantizers))

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        # (2)
        y = x if self.project_in is None else project(self.project_in, x)
        # (1)
        results: list[Quantized] = [
            quantizer(part)
            for quantizer, part in zip(
                self.quantizers, y.split(self.inner_dim, dim=-1), strict=True
            )
        ]
        codes = torch.cat([result.codes for result in results], dim=-1)
        if self.project_out is not None:
            codes = project(self.project_out, codes)
        indices = torch.cat([r.indices for r in results if r.indices is not None], dim=-1)
        loss = torch.stack([result.loss for result in results]).mean()
        terms = {
            name: torch.stack([result.terms[name] for result in results]).mean()
            for name in results[0].terms
        }
        return Quantized(codes, indices, loss, terms)

    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch code_dim"]:
        """Return the codes of the given indices, fp32."""
        self.check_indices(indices)
        parts = indices.split(self.inner_groups, dim=-1)
        codes = torch.cat([_codes(q, p) for q, p in zip(self.quantizers, parts, strict=True)], -1)
        return codes if self.project_out is None else project(self.project_out, codes)


def _codes(quantizer: nn.Module, indices: Tensor) -> Tensor:
    assert isinstance(quantizer, Quantizer), "built as quantizers"
    return quantizer.indices_to_codes(indices)
