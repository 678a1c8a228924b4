"""The order of training data: pure functions that lose nothing and repeat nothing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vistok.data.training import order
from vistok.data.training.order import (
    BLOCK,
    MARK_EVERY,
    BatchPositions,
    BlockCounts,
    EpochOrder,
    SampleIndex,
    WeightedSchedule,
    file_index,
)

WEIGHTS = st.lists(st.floats(0, 5), min_size=1, max_size=4).filter(lambda w: sum(w) > 0.1)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_every_epoch_holds_every_file_once(num_files, seed, epoch):
    positions = range(epoch * num_files, (epoch + 1) * num_files)
    drawn = [file_index(seed, position, num_files) for position in positions]
    assert sorted(drawn) == list(range(num_files))


def test_epochs_and_seeds_differ():
    def order(seed, epoch):
        return [file_index(seed, epoch * 100 + p, 100) for p in range(100)]

    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@given(WEIGHTS, st.integers(0, 3 * BLOCK))
def test_a_draw_knows_how_many_equal_ones_stand_before_it(weights, index):
    schedule = WeightedSchedule(tuple(weights), "key")
    choice, before = schedule.at(index)
    assert weights[choice] > 0
    again, after = next((c, b) for c, b in map(schedule.at, range(index + 1, index + 10**6))
                        if c == choice)  # fmt: skip
    assert (again, after) == (choice, before + 1)


def test_choices_follow_their_weights():
    schedule = WeightedSchedule((1.0, 2.0, 0.0, 5.0), "key")
    counts = Counter(schedule.at(index)[0] for index in range(20_000))
    assert counts[2] == 0
    # 4 standard deviations of a share among 20 000 choices are below 0.015
    for choice, weight in enumerate(schedule.weights):
        assert counts[choice] / 20_000 == pytest.approx(weight / 8, abs=0.015)


def counts_by_summing(schedule: WeightedSchedule, block: int) -> np.ndarray:
    """Sum all earlier blocks, as the order was first defined."""
    counts = np.zeros(len(schedule.weights), dtype=np.int64)
    for earlier in range(block):
        choices = order._choices.__wrapped__(schedule, earlier)
        counts += np.bincount(choices, minlength=len(schedule.weights))
    return counts


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_counts_before_a_block_are_the_sums_of_all_earlier_ones(weights, blocks):
    schedule = WeightedSchedule(tuple(weights), "counted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "MARK_EVERY", 4)
        counts = BlockCounts(schedule)
        for block in blocks:
            assert np.array_equal(counts.before(block), counts_by_summing(schedule, block))


def test_the_draws_of_a_schedule_are_those_of_earlier_versions():
    schedule = WeightedSchedule((3.0, 2.0, 0.0, 4.0), "5/0/sources")
    places = (0, 1, BLOCK - 1, BLOCK, 10 * BLOCK + 17, 10**6)
    # Recorded at 90ea6f7, where every block summed all earlier ones anew
    recorded = [(3, 0), (1, 0), (1, 872), (3, 1867), (0, 13600), (0, 332966)]
    assert [schedule.at(place) for place in places] == recorded


def test_following_a_schedule_costs_the_same_however_far_it_is():
    """One block is drawn for each block that is passed, and few for a step back."""
    schedule = WeightedSchedule((1.0, 2.0), "far")
    far = 2 * MARK_EVERY + 100
    schedule.at(far * BLOCK)
    drawn = order._choices.cache_info().misses
    for block in range(far, far + 50):
        schedule.at(block * BLOCK + 7)
    assert order._choices.cache_info().misses - drawn == 49
    drawn = order._choices.cache_info().misses
    schedule.at((far - 90) * BLOCK)
    assert order._choices.cache_info().misses - drawn <= 11, "from the last mark"


def test_a_pool_keeps_one_epoch_in_four_bytes_per_file():
    order_of_pool = EpochOrder("pool", 1000)
    for epoch in range(20):
        permutation = order_of_pool.of_epoch(epoch)
        assert sorted(permutation) == list(range(1000))
    kept = [part for part in vars(order_of_pool).values() if isinstance(part, np.ndarray)]
    assert sum(part.nbytes for part in kept) == 4000
    assert np.array_equal(order_of_pool.of_epoch(0), EpochOrder("pool", 1000).of_epoch(0))


def test_more_pools_than_a_run_has_do_not_displace_each_other():
    pools = [f"pool {number}" for number in range(100)]
    for pool in pools:
        file_index(pool, 0, 50)
    before = order._epoch_order.cache_info().misses
    for pool in pools:
        file_index(pool, 1, 50)
    assert order._epoch_order.cache_info().misses == before


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 4), st.lists(st.integers(1, 5), min_size=4, max_size=4), st.integers(1, 3),
    st.integers(1, 6), WEIGHTS, st.data(),
)  # fmt: skip
def test_ranks_share_every_step_without_loss_or_repetition(
    world, sizes, micro_batches, steps, weights, data
):
    batch = tuple(sizes) if data.draw(st.booleans()) else sizes[0]
    steps *= micro_batches
    killed_at = data.draw(st.integers(0, steps))
    groups = WeightedSchedule(tuple(weights), "groups")
    seen: Counter[SampleIndex] = Counter()
    kinds = []
    for rank in range(world):
        before, after, whole = (
            BatchPositions(batch, start, stop, rank, world, groups, micro_batches)
            for start, stop in ((0, killed_at), (killed_at, steps), (0, steps))
        )
        assert [*before, *after] == [*whole]
        assert len(whole) == steps
        for step in whole:
            assert len(step) == (batch if isinstance(batch, int) else batch[step[0].group])
        seen.update(place for step in whole for place in step)
        kinds.append([{place.group for place in step} for step in whole])
    assert all(kind == kinds[0] for kind in kinds), "all ranks draw the same group"
    assert all(len(step) == 1 for step in kinds[0])
    for start in range(0, steps, micro_batches):
        assert all(kind == kinds[0][start] for kind in kinds[0][start : start + micro_batches])
    for group in range(len(weights)):
        positions = sorted(place.position for place in seen if place.group == group)
        assert positions == list(range(len(positions))), "a group's sequence has no holes"
    assert set(seen.values()) == {1}
