"""Differences between groups by hand, what a table adds to them, and how often chance alone would be blamed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.fairness.parity import Comparison, Rates, largest_gap, rates
from synth_assets.audit.intervals import mover, newcombe, wilson


def made(*counts):
    """Rates from (successes, rows) per group."""
    return Rates(np.array([c[0] for c in counts]), np.array([c[1] for c in counts]))


def gap(synthetic, real=None, minimum=30, findings=1):
    return largest_gap([Comparison(made(*synthetic), made(*real) if real else None)], minimum, findings)


def test_rows_with_a_missing_group_do_not_count():
    counted = rates(np.array([-1, 0, 0, 1]), np.array([True, True, False, True]), 3)
    assert counted.hits.tolist() == [1, 1, 0]
    assert counted.rows.tolist() == [2, 1, 0]


def test_two_groups_by_hand():
    found = gap([(25, 100), (120, 200)], [(30, 100), (50, 100)])
    assert found.value == pytest.approx(0.60 - 0.25)
    assert found.baseline == pytest.approx(0.20)
    assert found.excess == pytest.approx(0.15)
    assert found.interval == pytest.approx(newcombe((120, 200), (25, 100)))
    assert (found.groups, found.left_out, found.rows) == (2, 0, (300, 200))


def test_the_interval_of_the_added_gap_is_that_of_a_difference_of_differences():
    changes = [
        mover(s[0] / s[1], wilson(*s), r[0] / r[1], wilson(*r))
        for s, r in (((120, 200), (50, 100)), ((25, 100), (30, 100)))
    ]
    wanted = mover(0.60 - 0.50, changes[0], 0.25 - 0.30, changes[1])
    found = gap([(25, 100), (120, 200)], [(30, 100), (50, 100)])
    assert found.excess_interval == pytest.approx(wanted)


def test_a_gap_in_the_other_direction_is_added_in_full():
    found = gap([(70, 100), (50, 100)], [(30, 100), (50, 100)])  # the labels of the first group are flipped
    assert found.value == pytest.approx(found.baseline) == pytest.approx(0.20)
    assert found.excess == pytest.approx(0.20)


def test_a_table_that_closes_a_gap_adds_less_than_nothing():
    found = gap([(40, 100), (40, 100)], [(30, 100), (50, 100)])
    assert found.value == 0
    assert found.excess == 0  # the other direction: 0.40 - 0.40
    assert gap([(39, 100), (41, 100)], [(30, 100), (50, 100)]).excess == pytest.approx(-0.02)


def test_a_gap_between_the_extremes_is_found():
    real = [(100, 1000), (300, 1000), (300, 1000), (600, 1000)]
    found = gap([(100, 1000), (300, 1000), (500, 1000), (600, 1000)], real)
    assert found.value == found.baseline == pytest.approx(0.5)
    assert found.excess == pytest.approx(0.2)  # the third group against the second
    assert found.excess_interval[0] > 0.1


def test_groups_below_the_minimum_on_one_side_are_left_out_and_counted():
    found = gap([(10, 40), (20, 40), (40, 40), (0, 0)], [(10, 40), (20, 40), (1, 29), (0, 0)])
    assert found.value == pytest.approx(0.25)
    assert (found.groups, found.left_out) == (2, 1)
    assert gap([(10, 40), (20, 29)]) is None
    assert gap([(10, 40), (20, 29)], minimum=20).value == pytest.approx(20 / 29 - 0.25)


def test_the_worst_of_several_rates_is_shown_and_all_are_searched():
    calm, tense = made((50, 100), (50, 100)), made((20, 100), (70, 100))
    found = largest_gap([Comparison(calm, tense), Comparison(tense, tense)], 30)
    assert found.worst == 1
    assert (found.value, found.baseline) == pytest.approx((0.5, 0.5))
    assert found.excess == pytest.approx(0)


def test_without_a_real_table_nothing_is_added():
    found = gap([(10, 40), (20, 40)])
    assert (found.baseline, found.excess, found.excess_interval) == (None, None, None)


def test_rates_of_a_model_that_learnt_from_few_rows_count_as_fewer_rows():
    full, half = (Rates(np.array([25, 60]), np.array([100, 100]), weight) for weight in (1.0, 0.5))
    wide, narrow = (largest_gap([Comparison(side)], 30).interval for side in (half, full))
    assert wide == pytest.approx(newcombe((30, 50), (12.5, 50)))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


COUNTS = st.lists(
    st.tuples(st.integers(30, 200), st.integers(30, 200), st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6
)


@given(COUNTS, st.integers(1, 12))
def test_the_added_gap_lies_between_the_growth_of_the_extremes_and_the_gap(groups, findings):
    synthetic = [(round(n * p), n) for n, _, p, _ in groups]
    real = [(round(m * q), m) for _, m, _, q in groups]
    found = gap(synthetic, real, findings=findings)
    changes = [s[0] / s[1] - r[0] / r[1] for s, r in zip(synthetic, real, strict=True)]
    assert 0 <= found.value <= 1
    assert found.excess <= found.value + 1e-9
    if found.excess_interval[0] <= 0:
        assert found.value - found.baseline - 1e-9 <= found.excess
    assert found.excess <= max(changes) - min(changes) + 1e-9
    assert found.interval[0] <= found.value + 1e-9
    assert found.value <= found.interval[1] + 1e-9
    assert found.excess_interval[0] <= found.excess + 1e-9
    assert found.excess <= found.excess_interval[1] + 1e-9
    assert (
        found.excess_interval[0] <= found.interval[0] + 1e-9
    )  # a gap below the cut-off is never above it in what is added


@given(COUNTS)
def test_more_findings_make_wider_intervals(groups):
    synthetic = [(round(n * p), n) for n, _, p, _ in groups]
    real = [(round(m * q), m) for _, m, _, q in groups]
    one, many = (gap(synthetic, real, findings=f).excess_interval for f in (1, 10))
    assert many[0] <= one[0] <= one[1] <= many[1]


def _null(rng, shares, sizes, gain=0.0):
    """A synthetic and a real table of one population, but for what one group gains."""
    favoured = shares + gain * (np.arange(len(shares)) == 1)
    both = [Rates(rng.binomial(sizes, p), sizes) for p in (favoured, shares)]
    return largest_gap([Comparison(*both)], 30)


def test_chance_is_blamed_in_fewer_than_one_of_twenty_audits_of_many_small_groups():
    rng = np.random.default_rng(4)
    shares, sizes = np.linspace(0.1, 0.6, 12), np.geomspace(40, 2000, 12).astype(int)
    found = [_null(rng, shares, sizes) for _ in range(400)]
    assert np.mean([g.excess_interval[0] > 0 for g in found]) < 0.05
    assert np.mean([g.excess for g in found]) > 0.1  # what the point figure alone would blame on the table


def test_a_wide_gap_of_tiny_groups_is_not_taken_for_a_sure_one():
    sure, tiny = [(3000, 10_000), (3400, 10_000)], [(5, 40), (17, 40)]
    found = gap([*sure, *tiny], [(3000, 10_000), (3000, 10_000), (11, 40), (11, 40)])
    assert found.excess == pytest.approx(0.04)  # 0.30 between the tiny groups may be chance
    assert found.excess_interval[0] > 0


def test_one_favoured_group_among_many_small_ones_is_found():
    rng = np.random.default_rng(4)
    shares, sizes = np.full(12, 0.3), np.array([1000, 1000, *[40] * 10])
    found = [_null(rng, shares, sizes, gain=0.25) for _ in range(50)]
    assert min(g.excess_interval[0] for g in found) > 0.05
