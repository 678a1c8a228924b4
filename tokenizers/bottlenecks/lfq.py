"""Lookup-free quantization (LFQ, MAGVIT-v2, arXiv 2310.05737): GQ with one group."""

from typing import Unpack

from ..entropy.binary_loss import BinaryOptions
from .binary import check_bits
from .gq import GQ


class LFQ(GQ):
    """Lookup-free quantization, with the options of `BinaryLoss` as further keywords.

    Args:
        bits: channels, each quantized to its sign; the codebook has 2^bits codes.

    Example:
        >>> import torch
        >>> from vistok import LFQ
        >>> lfq = LFQ(bits=3).eval()
        >>> out = lfq(torch.tensor([[0.2, -1.0, 3.0]]))
        >>> out.codes
        tensor([[ 1., -1.,  1.]])
        >>> lfq.codebook_size, out.indices.shape
        (8, torch.Size([1, 1]))
    """

    def __init__(self, bits: int = 18, **keywords: Unpack[BinaryOptions]) -> None:
        check_bits("bits", bits)
        super().__init__(num_groups=1, bits_per_group=bits, **keywords)
