"""A quantizer of your own, used by its kind in configs and saved tokenizers."""

import torch
from torch import Tensor

from vistok import Quantized, Quantizer, VisualTokenizer, register


class Ternary(Quantizer):
    """Round every channel to -1, 0 or 1.

    Args:
        channels: number of channels, each of which is an index.
    """

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.dim = self.code_dim = channels
        self.group_sizes = (3,) * channels

    def _quantize(self, x: Tensor) -> Quantized:
        bound = x.clamp(-1, 1)
        codes = bound + (bound.round() - bound).detach()  # straight through the rounding
        return Quantized(codes, bound.round().long() + 1, x.new_zeros(()), {})

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the codes (*batch, dim) of indices (*batch, groups)."""
        self.check_indices(indices)
        return (indices - 1).float()


register("ternary", Ternary)  # a command imports this module with --plugin your_own_quantizer

network = {"kind": "causal", "patch_size": 8, "stages": [{"width": 16, "blocks": 1}]}
tokenizer = VisualTokenizer(network, {"kind": "ternary", "channels": 6}, network).eval()
tokenizer.save_pretrained("ternary")
loaded = VisualTokenizer.from_pretrained("ternary")

encoding = loaded.encode(torch.rand(1, 3, 1, 64, 64) * 2 - 1)
print(f"tokens {tuple(encoding.tokens.shape)} of {loaded.codebook_size} codes per group")
print(f"{loaded.bits_per_pixel(encoding.layout):.3f} bits per pixel")
