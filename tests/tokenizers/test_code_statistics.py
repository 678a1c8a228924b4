"""CodeStatistics: counted per group over everything that was added, however it arrived."""

from math import log2

import pytest
import torch

from vistok import CodeStatistics
from vistok.tokenizers.code_statistics import VECTORS_PER_CODE


def indices(*sizes: int, vectors: int = 400) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, size, (vectors,), generator=generator) for size in sizes]
    return torch.stack(columns, dim=-1)


def counted(group_sizes: tuple[int, ...], *batches: torch.Tensor) -> CodeStatistics:
    statistics = CodeStatistics(group_sizes)
    for batch in batches:
        statistics.add(batch)
    return statistics


def test_the_figures_are_those_of_the_definitions():
    statistics = CodeStatistics((4, 8))
    # first group: one half, one quarter, one quarter; second group: always the same code
    statistics.add(torch.tensor([[0, 5], [0, 5], [1, 5], [3, 5]]), num_pixels=256)
    use = statistics.use()
    assert use.usage == (0.75, 0.125)
    assert use.entropy == pytest.approx((1.5, 0.0))
    assert use.perplexity == pytest.approx((2**1.5, 1.0))
    assert use.effective_bits_per_pixel == pytest.approx(1.5 * 4 / 256)
    assert use.nominal_bits_per_pixel == pytest.approx((2 + 3) * 4 / 256)
    assert use.means["codebook_usage"] == pytest.approx((0.75 + 0.125) / 2)


def test_batches_and_merged_objects_add_up():
    data = indices(16, 16)
    whole = counted((16, 16), data).use()
    assert counted((16, 16), *data.split(7)).use() == whole
    merged = counted((16, 16), data[:100])
    merged.merge(counted((16, 16), data[100:]))
    assert merged.use() == whole
    # any leading shape
    assert counted((16, 16), data.view(4, 10, 10, 2)).use() == whole


def test_two_collapsed_but_different_groups_do_not_look_healthy():
    use = counted((2, 2), torch.tensor([[0, 1]] * 10)).use()
    assert use.perplexity == (1.0, 1.0)
    assert use.usage == (0.5, 0.5)


def test_huge_codebooks_are_counted_by_the_codes_that_occur():
    few = indices(2**10)
    dense = counted((2**10,), few, few).use()
    spread = few * (2**52 - 1)
    sparse = counted((2**62,), spread, spread).use()
    assert sparse.entropy == pytest.approx(dense.entropy)
    assert sparse.usage[0] == pytest.approx(dense.usage[0] * 2**10 / 2**62)
    merged = counted((2**62,), spread)
    merged.merge(counted((2**62,), spread))
    assert merged.use() == sparse


def test_two_to_the_18_codes_keep_exact_counts():
    use = counted((2**18,), torch.arange(2**18).unsqueeze(1)).use()
    assert use.usage == (1.0,)
    assert use.entropy[0] == pytest.approx(log2(2**18))


def test_no_pixels_no_rate():
    use = counted((4,), torch.zeros(3, 1, dtype=torch.int64)).use()
    assert use.effective_bits_per_pixel is None
    assert use.nominal_bits_per_pixel is None


def test_what_does_not_fit_is_refused():
    statistics = CodeStatistics((4, 4))
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 4\), got 0 to 4"):
        statistics.add(torch.tensor([[0, 0], [4, 0]]))
    with pytest.raises(ValueError, match="indices must end in 2 groups"):
        statistics.add(torch.zeros(3, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="no indices were counted"):
        statistics.use()
    with pytest.raises(ValueError, match="of the same groups"):
        statistics.merge(CodeStatistics((4,)))


def test_few_vectors_are_warned_about_and_many_are_not():
    few = counted((4, 64), indices(4, 64, vectors=639))
    assert few.few_vectors() == (
        "639 indices understate the use of 64 codes; the entropy cannot exceed log2(639); "
        "compare on 640 or more"
    )
    assert counted((4, 64), indices(4, 64, vectors=640)).few_vectors() is None
    assert CodeStatistics(()).few_vectors() is None


def test_the_entropy_of_enough_vectors_misses_less_than_the_caveat_allows():
    """Miller-Madow: (K - 1) / (2 N ln 2) bits, here 0.072 with N = 10 K."""
    enough = counted((256,), indices(256, vectors=VECTORS_PER_CODE * 256))
    assert 0 < 8 - enough.use().entropy[0] < 0.08
    assert enough.few_vectors() is None
