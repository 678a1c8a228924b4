"""The order of training data: pure functions that lose nothing and repeat nothing."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vistok.data.training.order import (
    BLOCK,
    BatchPositions,
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


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), WEIGHTS, st.data())
def test_ranks_share_every_step_without_loss_or_repetition(world, batch, steps, weights, data):
    killed_at = data.draw(st.integers(0, steps))
    groups = WeightedSchedule(tuple(weights), "groups")
    seen: Counter[SampleIndex] = Counter()
    kinds = []
    for rank in range(world):
        before = BatchPositions(batch, 0, killed_at, rank, world, groups)
        after = BatchPositions(batch, killed_at, steps, rank, world, groups)
        whole = BatchPositions(batch, 0, steps, rank, world, groups)
        assert [*before, *after] == [*whole]
        assert len(whole) == steps
        seen.update(place for step in whole for place in step)
        kinds.append([{place.group for place in step} for step in whole])
    assert all(kind == kinds[0] for kind in kinds), "all ranks draw the same group"
    assert all(len(step) == 1 for step in kinds[0])
    for group in range(len(weights)):
        positions = sorted(place.position for place in seen if place.group == group)
        assert positions == list(range(len(positions))), "a group's sequence has no holes"
    assert set(seen.values()) == {1}
