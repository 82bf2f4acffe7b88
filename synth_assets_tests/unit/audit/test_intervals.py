"""Intervals against published tables and their own properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.intervals import (
    above_by_chance,
    clopper_pearson,
    mover,
    newcombe,
    shown_difference,
    wilson,
)
from synth_assets.errors import InputError

counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_matches_the_published_table(successes, trials, expected):
    assert wilson(successes, trials) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # the same table, method 5
    [(81, 263, (0.2527, 0.3676)), (15, 148, (0.0578, 0.1617)), (0, 20, (0.0, 0.1684)), (1, 29, (0.0009, 0.1776))],
)
def test_clopper_pearson_matches_the_published_table(successes, trials, expected):
    assert clopper_pearson(successes, trials) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    # Newcombe 1998 (873-890), table II, method 10
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
    ],
)
def test_newcombe_matches_the_published_table(first, second, expected):
    assert newcombe(first, second) == pytest.approx(expected, abs=5e-5)


@given(counts)
def test_an_interval_holds_its_own_rate_and_stays_in_the_unit_interval(pair):
    successes, trials = pair
    for low, high in (wilson(successes, trials), clopper_pearson(successes, trials)):
        assert 0 <= low <= high <= 1
        if trials:
            assert low - 1e-12 <= successes / trials <= high + 1e-12


@given(counts, counts)
def test_swapping_the_sides_mirrors_the_difference(first, second):
    low, high = newcombe(first, second)
    assert newcombe(second, first) == pytest.approx((-high, -low))
    assert -1 <= low <= high <= 1


@given(st.integers(1, 50), st.integers(2, 40))
def test_more_trials_at_the_same_rate_narrow_the_interval(successes, factor):
    small, large = wilson(successes, 100), wilson(successes * factor, 100 * factor)
    assert large[1] - large[0] < small[1] - small[0]


def test_no_trials_say_nothing():
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0.0, 1.0)
    assert newcombe((0, 0), (1, 2)) == (-1.0, 1.0)


@pytest.mark.parametrize("function", [wilson, clopper_pearson])
def test_impossible_counts_are_refused(function):
    with pytest.raises(InputError, match="no rate"):
        function(3, 2)


def test_a_difference_is_shown_where_its_bound_is_above_0_and_coincidence_is_excluded():
    assert newcombe((22, 50), (8, 50))[0] > 0.1  # of many such questions one in a few hundred says so by chance
    assert above_by_chance((22, 50), (8, 50)) == pytest.approx(0.0022, abs=5e-4)
    assert shown_difference((22, 50), (8, 50)) == 0
    assert shown_difference((30, 50), (8, 50)) == newcombe((30, 50), (8, 50))[0] > 0.25
    assert shown_difference((8, 50), (30, 50)) == 0


def test_mover_of_symmetric_intervals_adds_half_widths_in_quadrature():
    assert mover(5.0, (2.0, 8.0), 1.0, (-3.0, 5.0)) == pytest.approx((-1.0, 9.0))  # 4 -+ sqrt(3^2 + 4^2)
