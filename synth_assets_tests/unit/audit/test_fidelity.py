"""Fidelity: KS and chi-square against scipy, and the module's behaviour on copies, noise and fresh samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit.clock import Clock
from synth_assets.audit.fidelity import chi_square, correlation, fidelity_findings, kolmogorov_smirnov
from synth_assets.config.thresholds import AuditLevels
from synth_assets.errors import InputError
from synth_assets_tests.unit.audit.worlds import prepared

numbers = st.lists(st.integers(-20, 20).map(float), min_size=4, max_size=60).map(np.array)


@given(numbers, numbers)
def test_ks_is_scipys(first, second):
    from scipy.stats import ks_2samp

    assert kolmogorov_smirnov(first, second) == pytest.approx(ks_2samp(first, second, method="asymp").statistic)


def test_ks_leaves_missing_numbers_out_and_needs_some():
    assert kolmogorov_smirnov(np.array([1.0, np.nan]), np.array([1.0])) == 0.0
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


def test_correlation_of_a_line_is_one_and_of_a_constant_zero():
    x = np.arange(10.0)
    assert correlation(x, 3 * x + 1) == pytest.approx(1)
    assert correlation(x, -x) == pytest.approx(-1)
    assert correlation(x, np.ones(10)) == 0.0
    assert correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == 0.0


def _columns(rows, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return {
        "x": (x + shift).tolist(),
        "y": (x + rng.normal(size=rows)).tolist(),
        "c": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]).tolist(),
        "d": np.where(x > 0, "high", "low").tolist(),
    }


def _by_metric(**tables):
    found, _ = fidelity_findings(prepared(**tables), AuditLevels(), 1, Clock())
    return {f.metric: f for f in found if f.column is None}, {(f.metric, f.column): f for f in found if f.column}


def test_a_copy_is_at_distance_zero():
    train = _columns(500, 1)
    summary, columns = _by_metric(train=train, synthetic=train)
    assert {f.value for name, f in summary.items() if name.startswith("tvd")} == {0.0}
    assert summary["column_shapes"].value == summary["column_pair_trends"].value == 1.0
    assert summary["correlation_similarity"].value == summary["association_similarity"].value == 1.0
    assert all(f.value == 0 for f in columns.values())
    assert summary["tvd_2way"].baseline is None  # no holdout


def test_a_fresh_sample_stands_beside_an_equal_baseline():
    summary, _ = _by_metric(train=_columns(2000, 1), holdout=_columns(1000, 2), synthetic=_columns(2000, 3))
    for finding in summary.values():
        assert finding.excess == pytest.approx(0, abs=0.03)
    assert summary["tvd_2way"].risk_level == "low"


def test_a_shift_is_seen_in_its_column_and_in_its_pairs():
    tables = {"train": _columns(2000, 1), "holdout": _columns(1000, 2), "synthetic": _columns(2000, 3, shift=2.0)}
    summary, columns = _by_metric(**tables)
    assert columns["column_ks", "x"].value > 0.6
    assert columns["column_ks", "x"].risk_level == "high"
    assert columns["column_ks", "y"].risk_level == "low"
    assert summary["tvd_2way"].value > columns["column_tvd", "x"].value / 2


def test_independent_columns_keep_their_shapes_and_lose_their_trends():
    train = _columns(3000, 1)
    rng = np.random.default_rng(9)
    shuffled = {name: rng.permutation(np.array(values, dtype=object)).tolist() for name, values in train.items()}
    summary, columns = _by_metric(train=train, synthetic=shuffled)
    assert columns["column_tvd", "x"].value == 0
    assert summary["tvd_1way"].value == 0
    assert summary["correlation_similarity"].value < 0.4  # |0.7 - 0|
    assert summary["association_similarity"].value < 0.8
    assert summary["tvd_2way"].decides
    assert not summary["tvd_1way"].decides


def test_one_column_is_judged_by_its_own_distance():
    found, _ = fidelity_findings(
        prepared(train={"x": [1, 2, 3]}, synthetic={"x": [1, 2, 2]}), AuditLevels(), 1, Clock()
    )
    assert [f.metric for f in found if f.decides] == ["tvd_1way"]


def test_a_column_without_numbers_is_compared_by_its_missing_values():
    tables = {"train": {"x": [None, None], "c": ["a", "b"]}, "synthetic": {"x": [None, None], "c": ["a", "b"]}}
    summary, columns = _by_metric(**tables)
    assert columns["column_tvd", "x"].value == 0
    assert ("column_ks", "x") not in columns
    assert summary["column_shapes"].value == 1.0


def test_messages_quote_the_cutoffs_and_the_baseline():
    summary, _ = _by_metric(train=_columns(300, 1), holdout=_columns(300, 2), synthetic=_columns(300, 3))
    message = summary["tvd_2way"].message
    assert "low below 0.15, high from 0.30" in message
    assert "Unseen real rows" in message
