"""Learning-rate schedules are their formulas; parity with published ones is in parity/."""

import math

import pytest

from vistok.train.optimization.schedule import learning_rate_factor


def test_warm_up_rises_linearly_and_the_schedules_end_at_their_floor():
    for name in ("cosine", "linear"):
        factor = learning_rate_factor(name, warmup_steps=4, steps=20, final_factor=0.1)
        assert [factor(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
        assert factor(19) == pytest.approx(0.1)
        values = [factor(step) for step in range(4, 20)]
        assert values == sorted(values, reverse=True)
    constant = learning_rate_factor("constant", 0, 20, 0.0)
    assert {constant(step) for step in range(20)} == {1.0}


def test_cosine_is_half_way_down_in_the_middle():
    factor = learning_rate_factor("cosine", 0, 101, 0.0)
    assert factor(50) == pytest.approx(0.5)
    assert factor(25) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_a_warm_up_may_begin_anywhere():
    factor = learning_rate_factor("constant", 4, 100, 0.0, warmup_start_factor=0.2)
    assert [factor(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_hold_linear_keeps_the_peak_for_a_twentieth_and_ends_at_its_floor():
    factor = learning_rate_factor("hold_linear", 0, 101, 0.1)
    assert [factor(step) for step in range(6)] == pytest.approx([1.0] * 6)
    assert factor(6) < 1
    assert factor(100) == pytest.approx(0.1)


def test_clamped_cosine_is_cut_off_at_its_floor():
    clamped = learning_rate_factor("clamped_cosine", 0, 100, 0.3)
    cosine = learning_rate_factor("cosine", 0, 101, 0.0)
    values = [clamped(step) for step in range(101)]
    assert values == pytest.approx([max(0.3, cosine(step)) for step in range(101)])


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "hold_linear", "clamped_cosine"])
def test_beyond_the_end_a_schedule_stays_where_it_was(name):
    factor = learning_rate_factor(name, 2, 20, 0.1)
    assert factor(50) == factor(20)
    assert 0.1 <= factor(19) <= 1


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "hold_linear", "clamped_cosine"])
def test_a_schedule_that_starts_later_is_a_shorter_one_after_nothing(name):
    late = learning_rate_factor(name, 3, 50, 0.1, start_step=20)
    short = learning_rate_factor(name, 3, 30, 0.1)
    assert [late(step) for step in range(50)] == [0.0] * 20 + [short(step) for step in range(30)]
