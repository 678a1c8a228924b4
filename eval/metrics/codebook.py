"""Codebook usage, perplexity and entropy as metrics of their own, for indices of any origin.

torchmetrics has none of them. The arithmetic is that of `tokenizers/code_statistics.py`, which
training and the evaluation harness call directly, since their rows show all three and the rates.
States are the integer counts of the codes. With several groups, the metrics are means over groups.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from ...tokenizers.code_statistics import CodeStatistics
from .metric import NamedMetric

# Larger groups keep the codes that occur instead of one counter per code.
MAX_DENSE_CODES = 2**20


class CodebookMetric(NamedMetric):
    """A metric of the frequencies of codes.

    Args:
        group_sizes: number of codes of each group, or of the only one.

    Raises:
        ValueError: a group without codes, or no groups.
    """

    def __init__(self, group_sizes: Sequence[int] | int) -> None:
        super().__init__()
        sizes = (group_sizes,) if isinstance(group_sizes, int) else tuple(group_sizes)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"group_sizes must each be at least 1, got {group_sizes}")
        self.group_sizes = sizes
        for group, size in enumerate(sizes):
            if size <= MAX_DENSE_CODES:
                counts = torch.zeros(size, dtype=torch.int64)
                self.add_state(f"counts_{group}", counts, dist_reduce_fx="sum")
            else:
                self.add_state(f"codes_{group}", [], dist_reduce_fx="cat")
                self.add_state(f"counts_{group}", [], dist_reduce_fx="cat")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the states, which torchmetrics also uses for ranks without samples."""
        return torch.int64

    def update(self, indices: Int64[Tensor, "*batch groups"]) -> None:
        """Count a batch of indices.

        Args:
            indices: one per group, channels last.

        Raises:
            ValueError: the wrong number of groups, or an index outside its codebook.
        """
        batch = CodeStatistics(self.group_sizes)
        batch.add(indices)
        for group, (codes, counts) in enumerate(batch.state_dict()["groups"]):
            codes, counts = codes.to(self.device), counts.to(self.device)
            state: Any = getattr(self, f"counts_{group}")
            if isinstance(state, Tensor):
                setattr(self, f"counts_{group}", state.index_add(0, codes, counts))
            else:
                getattr(self, f"codes_{group}").append(codes)
                state.append(counts)

    def local_values(self) -> dict[str, float]:
        """Return the mean over groups of what this process counted.

        Raises:
            ValueError: nothing was counted.
        """
        groups = [self._occurring(group) for group in range(len(self.group_sizes))]
        statistics = CodeStatistics(self.group_sizes)
        statistics.load_state_dict({"num_pixels": 0, "groups": groups})
        return {self.name: statistics.use().means[self.name]}

    def _occurring(self, group: int) -> tuple[Tensor, Tensor]:
        """Return the codes that occur in a group, and their counts."""
        counts: Any = getattr(self, f"counts_{group}")
        if self.group_sizes[group] <= MAX_DENSE_CODES:
            codes = counts.nonzero().squeeze(1)
            return codes.cpu(), counts[codes].cpu()
        codes, place = _joined(getattr(self, f"codes_{group}")).unique(return_inverse=True)
        return codes, torch.zeros_like(codes).index_add(0, place, _joined(counts))


class CodebookUsage(CodebookMetric):
    """Share of the codes that occur, from 0 to 1."""

    name = "codebook_usage"
    higher_is_better = True


class CodebookPerplexity(CodebookMetric):
    """Number of equally frequent codes with the same entropy, from 1 to the number of codes."""

    name = "codebook_perplexity"
    higher_is_better = True


class CodebookEntropy(CodebookMetric):
    """Empirical entropy of the indices in bits, from 0 to log2 of the number of codes."""

    name = "codebook_entropy"
    higher_is_better = True


def codebook_usage(
    indices: Int64[Tensor, "*batch groups"], group_sizes: Sequence[int] | int
) -> Float64[Tensor, ""]:
    """Compute the share of the codes that occur, averaged over groups.

    Args:
        indices: one per group, channels last, as `Encoding.indices` has them.
        group_sizes: number of codes of each group, or of the only one.
    """
    return _value(CodebookUsage(group_sizes), indices)


def codebook_perplexity(
    indices: Int64[Tensor, "*batch groups"], group_sizes: Sequence[int] | int
) -> Float64[Tensor, ""]:
    """Compute two to the power of the entropy in bits, averaged over groups.

    Args:
        indices: one per group, channels last, as `Encoding.indices` has them.
        group_sizes: number of codes of each group, or of the only one.
    """
    return _value(CodebookPerplexity(group_sizes), indices)


def codebook_entropy(
    indices: Int64[Tensor, "*batch groups"], group_sizes: Sequence[int] | int
) -> Float64[Tensor, ""]:
    """Compute the empirical entropy of the indices in bits, averaged over groups.

    Args:
        indices: one per group, channels last, as `Encoding.indices` has them.
        group_sizes: number of codes of each group, or of the only one.
    """
    return _value(CodebookEntropy(group_sizes), indices)


def _value(metric: CodebookMetric, indices: Tensor) -> Tensor:
    metric.update(indices)
    return metric.local_value()


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    """Return a list state as one tensor, which it is after a reduction over ranks."""
    if isinstance(state, Tensor):
        return state.cpu()
    return torch.cat(state).cpu() if state else torch.zeros(0, dtype=torch.int64)
