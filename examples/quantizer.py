"""A quantizer as a plain module: vectors to codes, indices, and back."""

import torch

from vistok import FSQ

quantizer = FSQ(levels=(8, 8, 8, 5, 5, 5))
x = torch.randn(2, 16, 16, quantizer.dim, requires_grad=True)  # channels last, any batch shape
out = quantizer(x)
print(f"{quantizer.codebook_size} codes, {quantizer.bits:.2f} bits per vector")
print(f"indices {tuple(out.indices.shape)}, first ones {out.indices[0, 0, :4, 0].tolist()}")
assert torch.equal(quantizer.indices_to_codes(out.indices), out.codes)
out.codes.sum().backward()  # straight through the rounding
assert x.grad is not None
