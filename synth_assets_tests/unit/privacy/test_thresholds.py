"""Thresholds of undeclared categories: exact tails, and the guarantee on worst-case neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import InputError
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.privacy.thresholds import threshold_delta, threshold_for


def upper_tail(sigma: float, k: int) -> float:
    support = np.arange(-5000, 5001)
    weights = np.exp(-(support**2) / (2 * sigma**2))
    return float(weights[support >= k].sum() / weights.sum())


def test_delta_by_hand() -> None:
    """sigma^2 = 1 / (2 ln 2): weights 1, 1/2, 1/16, 1/512, ...; one row needs noise of at least 3 - 1 = 2 to reach 3."""
    sigma = math.sqrt(1 / (2 * math.log(2)))
    total = 1 + 2 * (1 / 2 + 1 / 16 + 1 / 512 + 2**-16 + 2**-25)
    by_hand = (1 / 16 + 1 / 512 + 2**-16 + 2**-25) / total
    assert threshold_delta(sigma=sigma, threshold=3) == pytest.approx(by_hand, rel=1e-7)


@given(st.floats(0.5, 200.0), st.sampled_from([1e-9, 1e-7, 1e-3]), st.integers(1, 30))
def test_the_threshold_is_the_smallest_that_keeps_its_delta(sigma: float, delta: float, rows: int) -> None:
    threshold = threshold_for(sigma=sigma, delta=delta, rows_per_unit=rows)
    assert threshold_delta(sigma=sigma, threshold=threshold, rows_per_unit=rows) <= delta
    assert threshold_delta(sigma=sigma, threshold=threshold - 1, rows_per_unit=rows) > delta


@pytest.mark.parametrize("split", [(1,), (3,), (2, 1), (1, 1, 1)])
def test_no_way_to_spread_the_rows_of_one_unit_is_shown_more_often(split: tuple[int, ...]) -> None:
    sigma, delta = 6.0, 1e-4
    threshold = threshold_for(sigma=sigma, delta=delta, rows_per_unit=3)
    hidden = math.prod(1 - upper_tail(sigma, threshold - rows) for rows in split)
    assert 1 - hidden <= delta


def test_a_threshold_for_one_row_would_not_protect_three() -> None:
    """Negative control: the contribution bound matters."""
    threshold = threshold_for(sigma=6.0, delta=1e-4)
    assert upper_tail(6.0, threshold - 3) > 1e-4


def test_a_category_of_one_person_is_shown_as_often_as_said() -> None:
    """Fresh noise; fails wrongly with probability below 1e-9 (six standard deviations)."""
    sigma, threshold, n = 4.0, 8, 200_000
    shown = (1 + SystemNoise().discrete_gaussian(sigma=sigma, size=n) >= threshold).mean()
    expected = threshold_delta(sigma=sigma, threshold=threshold)
    assert shown == pytest.approx(expected, abs=6.2 * math.sqrt(expected / n))


def test_a_threshold_of_nothing_protects_nothing_and_a_huge_one_never_reaches_zero() -> None:
    assert threshold_delta(sigma=3.0, threshold=1) == 1.0
    assert threshold_delta(sigma=3.0, threshold=10_000) > 0


@pytest.mark.parametrize(
    ("sigma", "delta", "rows"), [(0.0, 1e-6, 1), (math.inf, 1e-6, 1), (1.0, 0.0, 1), (1.0, 1.0, 1), (1.0, 1e-6, 0)]
)
def test_a_malformed_threshold_is_refused(sigma: float, delta: float, rows: int) -> None:
    with pytest.raises(InputError):
        threshold_for(sigma=sigma, delta=delta, rows_per_unit=rows)
