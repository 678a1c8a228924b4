"""Codebook metrics as classes count what `CodeStatistics` counts, densely or as a list."""

from math import log2

import pytest
import torch

from vistok import metrics
from vistok.eval.metrics.codebook import MAX_DENSE_CODES
from vistok.eval.metrics.names import CODEBOOK_METRICS
from vistok.tokenizers.code_statistics import CodeStatistics

SIZES = (8, 4 * MAX_DENSE_CODES)
CLASSES = {
    "codebook_usage": metrics.CodebookUsage,
    "codebook_perplexity": metrics.CodebookPerplexity,
    "codebook_entropy": metrics.CodebookEntropy,
}


def some_indices() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(8, (6, 5, 2), generator=generator)


@pytest.mark.parametrize("name", CODEBOOK_METRICS)
def test_batches_count_as_one_set(name):
    indices = some_indices()
    statistics = CodeStatistics(SIZES)
    statistics.add(indices)
    metric = CLASSES[name](SIZES)
    for batch in indices.split(4):
        metric.update(batch)
    assert metric.compute().item() == statistics.use().means[name]
    assert getattr(metrics, name)(indices, SIZES).item() == statistics.use().means[name]
    metric.reset()
    metric.update(indices[:1] * 0)
    assert metric.compute().item() == {"codebook_entropy": 0.0, "codebook_perplexity": 1.0}.get(
        name, (1 / SIZES[0] + 1 / SIZES[1]) / 2
    )


def test_equally_frequent_codes_have_the_entropy_of_their_number():
    indices = torch.arange(8).repeat(3)[:, None]
    assert metrics.codebook_entropy(indices, 8).item() == log2(8)
    assert metrics.codebook_perplexity(indices, 8).item() == 8
    assert metrics.codebook_usage(indices, 16).item() == 0.5


def test_wrong_indices_and_groups_are_refused():
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 4\), got 0 to 7"):
        metrics.codebook_usage(torch.arange(8)[:, None], 4)
    with pytest.raises(ValueError, match="indices must end in 2 groups"):
        metrics.codebook_usage(torch.arange(8)[:, None], (4, 4))
    with pytest.raises(ValueError, match="group_sizes must each be at least 1, got"):
        metrics.CodebookUsage(())
