"""KS, chi-square and correlation against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.fidelity.columns import chi_square, correlation, kolmogorov_smirnov
from synth_assets.audit.intervals import newcombe
from synth_assets.errors import InputError

numbers = st.lists(st.integers(-20, 20).map(float), min_size=4, max_size=60).map(np.array)


@given(numbers, numbers)
def test_ks_is_scipys(first, second):
    from scipy.stats import ks_2samp

    gap = kolmogorov_smirnov(first, second)
    assert gap.value == pytest.approx(ks_2samp(first, second, method="asymp").statistic)
    assert 0 <= gap.interval[0] <= gap.value <= gap.interval[1] <= 1


def test_the_interval_of_ks_is_newcombes_at_the_largest_step():
    first, second = np.array([0.0] * 60 + [1.0] * 40), np.array([0.0] * 30 + [1.0] * 70)
    assert kolmogorov_smirnov(first, second).value == pytest.approx(0.3)
    assert kolmogorov_smirnov(first, second).interval == newcombe((60, 100), (30, 100))
    assert kolmogorov_smirnov(second, first) == kolmogorov_smirnov(first, second)


def test_ks_leaves_missing_numbers_out_and_needs_some():
    assert kolmogorov_smirnov(np.array([1.0, np.nan]), np.array([1.0])).value == 0.0
    with pytest.raises(InputError, match="no distribution"):
        kolmogorov_smirnov(np.array([np.nan]), np.array([1.0]))


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=6).filter(
        lambda rows: sum(a for a, _ in rows) > 0 and sum(b for _, b in rows) > 0 and sum(a + b > 0 for a, b in rows) > 1
    )
)
def test_chi_square_is_scipys(rows):
    from scipy.stats import chi2_contingency

    real, synthetic = [a for a, _ in rows], [b for _, b in rows]
    table = np.array([[a, b] for a, b in rows if a + b > 0]).T
    expected = chi2_contingency(table, correction=False)
    made = chi_square(real, synthetic)
    assert made.statistic == pytest.approx(expected.statistic, abs=1e-6)
    assert made.degrees == expected.dof
    assert made.p_value == pytest.approx(expected.pvalue, abs=1e-6)


def test_the_effect_of_chi_square_does_not_grow_with_the_table_but_its_statistic_does():
    small, large = chi_square([60, 40], [50, 50]), chi_square([600, 400], [500, 500])
    assert small.effect == pytest.approx(large.effect)
    assert large.statistic == pytest.approx(10 * small.statistic)


def test_correlation_of_a_line_is_one_and_of_a_constant_undefined():
    x = np.arange(10.0)
    assert correlation(x, 3 * x + 1) == pytest.approx(1)
    assert correlation(x, -x) == pytest.approx(-1)
    assert correlation(x, np.ones(10)) is None
    assert correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0])) is None
    assert correlation(x, np.append(x[:-1], np.inf)) is None


@given(numbers)
def test_correlation_is_scipys_over_the_rows_that_have_both(values):
    from scipy.stats import pearsonr

    other = np.where(np.arange(len(values)) % 5 == 4, np.nan, values**2 - 3 * values)
    known = ~np.isnan(other)
    if np.ptp(values[known]) and np.ptp(other[known]):
        assert correlation(values, other) == pytest.approx(pearsonr(values[known], other[known]).statistic, abs=1e-9)
