"""A linear layer in the precision of its input: quantizers compute in fp32 in any model."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def project(linear: nn.Linear, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch out"]:
    """`linear(x)`, with the weights cast to the dtype of `x`."""
    bias = None if linear.bias is None else linear.bias.to(x.dtype)
    return F.linear(x, linear.weight.to(x.dtype), bias)
