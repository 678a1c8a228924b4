"""CodeStatistics: codebook usage, counted over a whole data set, group by group.

With the share p_k of code k among the vectors of a group of K codes:

    usage = share of codes with p_k > 0
    entropy = -sum p_k log2 p_k (bits)        perplexity = 2^entropy
    effective bits per pixel = sum of the groups' entropies * vectors / pixels

Usage over one batch mostly reflects the size of the batch, and a histogram pooled over groups hides
groups that have collapsed: both are avoided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from ..distributed import all_gather_object, all_reduce_sum

# Larger groups count only the codes that occur: 2^24 counters are 128 MiB.
MAX_DENSE_CODES = 2**24

# With fewer vectors per code of the codebook, entropy and use carry a caveat. The entropy of N
# samples falls short of that of their source by (m - 1) / (2 N ln 2) bits to first order, with m
# codes that the source uses (Miller 1955; Paninski, doi:10.1162/089976603321780272, also: no
# correction helps where N is below m). As m <= K, N >= 10 K keeps this below 0.073 bit.
VECTORS_PER_CODE = 10


@dataclass(frozen=True)
class CodeUse:
    """Metrics of codebook usage; tuples have one entry per group.

    Attributes:
        usage: share of the codes that occurred.
        perplexity: 2^entropy, the number of equally frequent codes with the same entropy.
        entropy: empirical entropy of the indices, in bits.
        effective_bits_per_pixel: rate of an ideal entropy coder; None where no pixels were counted.
        nominal_bits_per_pixel: rate without an entropy coder, likewise.
    """

    usage: tuple[float, ...]
    perplexity: tuple[float, ...]
    entropy: tuple[float, ...]
    effective_bits_per_pixel: float | None
    nominal_bits_per_pixel: float | None

    @property
    def means(self) -> dict[str, float]:
        """Means over the groups, by the names of the metrics."""
        named = {
            "codebook_usage": self.usage,
            "codebook_perplexity": self.perplexity,
            "codebook_entropy": self.entropy,
        }
        return {name: sum(values) / len(values) for name, values in named.items()}


class CodeStatistics:
    """Counts of indices, which add up over batches, processes and machines.

    Args:
        group_sizes: number of codes of each group; empty where nothing will be counted.

    Example:
        >>> import torch
        >>> from vistok import CodeStatistics
        >>> statistics = CodeStatistics(group_sizes=(4,))
        >>> statistics.add(torch.tensor([[0], [1], [1], [0]]))
        >>> statistics.use().usage, statistics.use().entropy
        ((0.5,), (1.0,))
    """

    def __init__(self, group_sizes: Sequence[int]) -> None:
        self.group_sizes = tuple(group_sizes)
        self.reset()

    def reset(self) -> None:
        """Start again from counts of zero."""
        self.num_pixels = 0
        self._groups = [
            (_DenseCounts if size <= MAX_DENSE_CODES else _SparseCounts)(size)
            for size in self.group_sizes
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the number of pixels, and per group the codes that occur with their counts."""
        groups = [group.occurring() for group in self._groups]
        return {"num_pixels": self.num_pixels, "groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.reset()
        self.num_pixels = state["num_pixels"]
        for group, (codes, counts) in zip(self._groups, state["groups"], strict=True):
            group.merge(codes, counts)

    def add(self, indices: Int64[Tensor, "*batch groups"], num_pixels: int = 0) -> None:
        """Count a batch of indices.

        Args:
            indices: one per group, channels last.
            num_pixels: number of pixels that they encode, for the rates.

        Raises:
            ValueError: the wrong number of groups, or an index outside its codebook.
        """
        groups = len(self.group_sizes)
        if indices.shape[-1] != groups:
            raise ValueError(f"indices must end in {groups} groups, got {tuple(indices.shape)}")
        for size, counts, group in zip(
            self.group_sizes, self._groups, indices.detach().unbind(-1), strict=True
        ):
            flat = group.reshape(-1)
            if len(flat) and not 0 <= int(flat.min()) <= int(flat.max()) < size:
                raise ValueError(
                    f"indices must lie in [0, {size}), got {int(flat.min())} to {int(flat.max())}"
                )
            counts.add(flat)
        self.num_pixels += num_pixels

    @property
    def num_vectors(self) -> int:
        """Number of vectors that were counted."""
        return int(self._groups[0].occurring()[1].sum()) if self._groups else 0

    def few_vectors(self) -> str | None:
        """Warn if the metrics of use are understated because few vectors were counted."""
        if not self.group_sizes:
            return None
        vectors, codes = self.num_vectors, max(self.group_sizes)
        if vectors >= VECTORS_PER_CODE * codes:
            return None
        return (
            f"{vectors:,} indices understate the use of {codes:,} codes; the entropy cannot exceed "
            f"log2({vectors:,}); compare on {VECTORS_PER_CODE * codes:,} or more"
        )

    def merge(self, other: "CodeStatistics") -> None:
        """Add the counts of another object."""
        if other.group_sizes != self.group_sizes:
            raise ValueError(
                f"only statistics of the same groups can be merged, got {self.group_sizes} "
                f"and {other.group_sizes}"
            )
        for ours, theirs in zip(self._groups, other._groups, strict=True):
            ours.merge(*theirs.occurring())
        self.num_pixels += other.num_pixels

    def over_all_ranks(self) -> "CodeStatistics":
        """Return the sum of all ranks' statistics on every rank; all ranks must call this."""
        total = CodeStatistics(self.group_sizes)
        total.num_pixels = int(all_reduce_sum(torch.tensor(self.num_pixels)))
        for ours, all_ranks in zip(self._groups, total._groups, strict=True):
            for codes, counts in all_gather_object(ours.occurring()):
                all_ranks.merge(codes, counts)
        return total

    def use(self) -> CodeUse:
        """Compute the metrics from the counts.

        Raises:
            ValueError: nothing was counted.
        """
        vectors = self.num_vectors
        if vectors == 0:
            raise ValueError("no indices were counted yet")
        shares = [group.occurring()[1].double() / vectors for group in self._groups]
        entropy = tuple(max(0.0, -(p * p.log2()).sum().item()) for p in shares)
        positions_per_pixel = vectors / self.num_pixels if self.num_pixels else None
        nominal = sum(log2(size) for size in self.group_sizes)
        return CodeUse(
            usage=tuple(len(p) / K for p, K in zip(shares, self.group_sizes, strict=True)),
            perplexity=tuple(2**bits for bits in entropy),
            entropy=entropy,
            effective_bits_per_pixel=positions_per_pixel and sum(entropy) * positions_per_pixel,
            nominal_bits_per_pixel=positions_per_pixel and nominal * positions_per_pixel,
        )

    def ranked_shares(self, points: int) -> tuple[tuple[tuple[int, float], ...], ...]:
        """Return the frequencies of codes, the most frequent first, for a plot.

        Args:
            points: maximum number of codes per group, at ranks evenly spaced on a log scale.

        Returns:
            Per group, pairs of a rank, from 1, and the share of vectors with that code; codes that
            never occur are left out.
        """
        ranked = []
        for group in self._groups:
            counts = group.occurring()[1].sort(descending=True).values.double()
            steps = torch.linspace(0, log2(max(1, len(counts))), points, dtype=torch.float64)
            ranks = (2**steps).round().long().clamp(max=len(counts)).unique().tolist()
            shares = (counts / counts.sum()).tolist()
            ranked.append(tuple((rank, shares[rank - 1]) for rank in ranks))
        return tuple(ranked)


class _DenseCounts:
    """One int64 counter per code."""

    def __init__(self, size: int) -> None:
        self.counts = torch.zeros(size, dtype=torch.int64)

    def add(self, indices: Tensor) -> None:
        self.counts += torch.bincount(indices, minlength=len(self.counts)).cpu()

    def merge(self, codes: Tensor, counts: Tensor) -> None:
        self.counts[codes] += counts

    def occurring(self) -> tuple[Tensor, Tensor]:
        codes = self.counts.nonzero().squeeze(1)
        return codes, self.counts[codes]


class _SparseCounts:
    """The codes that occur, sorted, with a counter each; for codebooks too large to list."""

    def __init__(self, size: int) -> None:
        self.codes = torch.zeros(0, dtype=torch.int64)
        self.counts = torch.zeros(0, dtype=torch.int64)

    def add(self, indices: Tensor) -> None:
        codes, counts = indices.unique(return_counts=True)
        self.merge(codes.cpu(), counts.cpu())

    def merge(self, codes: Tensor, counts: Tensor) -> None:
        self.codes, place = torch.cat([self.codes, codes]).unique(return_inverse=True)
        both = torch.cat([self.counts, counts])
        self.counts = torch.zeros_like(self.codes).index_add_(0, place, both)

    def occurring(self) -> tuple[Tensor, Tensor]:
        return self.codes, self.counts
