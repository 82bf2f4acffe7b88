"""Bins from noisy tables: estimates by hand, and what must hold for every table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from synth_assets.synthesis.marginals.binning import (
    Bins,
    block_of,
    coarse_bins,
    last_significant,
    make_bins,
    one_way,
    roundness_shares,
    share_bin,
    simplex,
    two_level,
)
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.options import MarginalOptions

OPTIONS = MarginalOptions()


def number(cells: int, **more: object) -> ColumnCells:
    return ColumnCells.model_validate(
        {"name": "x", "kind": "number", "dtype": "int64", "edges": tuple(range(cells + 1)), **more}
    )


def category(count: int, *, is_open: bool = False) -> ColumnCells:
    names = tuple(f"c{i}" for i in range(count))
    return ColumnCells(name="x", kind="category", dtype="string", categories=names, open=is_open)


def bins_of(column: ColumnCells, counts: list[int], sigma: float = 1.0) -> Bins:
    ones = {"x": np.array(counts)}
    blocks = {}
    if column.is_wide:
        blocks["x"] = np.bincount(block_of(column, OPTIONS), weights=counts).astype(np.int64)
    return make_bins(column, one_way((column,), ones, blocks, sigma, OPTIONS), OPTIONS)


def test_cells_and_their_block_sums_are_combined_by_least_squares() -> None:
    # cells 1 and 3, block 8: minimise (a-1)^2 + (b-3)^2 + (a+b-8)^2 -> a + 4/3, b + 4/3
    assert two_level(np.array([1.0, 3.0]), np.array([8.0]), np.array([0, 0])) == pytest.approx([7 / 3, 13 / 3])


def test_the_simplex_projection_by_hand() -> None:
    assert simplex(np.array([3.0, 1.0, -2.0]), np.ones(3), 3.0) == pytest.approx([2.5, 0.5, 0.0])


@given(y=npst.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e4, 1e4)), total=st.floats(1, 1e5))
def test_the_projection_is_nonnegative_and_has_the_wanted_sum(y: np.ndarray, total: float) -> None:
    out = simplex(y, np.ones(len(y)), total)
    assert (out >= 0).all()
    assert out.sum() == pytest.approx(total)


def test_small_categories_share_the_last_bin() -> None:
    assert share_bin(np.array([False, True, False, True])).tolist() == [0, 2, 1, 2]


def test_insignificant_missing_values_are_dropped_and_significant_ones_kept() -> None:
    few = bins_of(category(2), [500, 400, 3])
    assert few.inside[2] == 0
    many = bins_of(category(2), [500, 400, 300])
    assert many.count == 3
    assert many.inside[2] == 1
    assert many.mass == pytest.approx([500, 400, 300])


def test_missing_numbers_have_a_bin_of_their_own_at_every_level() -> None:
    bins = bins_of(number(4), [300, 300, 300, 300, 200])
    for level in bins.levels:
        missing = level[bins.group[4]]
        assert missing not in level[bins.group[:4]]


def test_a_frequent_value_stays_alone() -> None:
    counts = [2] * 50 + [5000] + [2] * 50 + [0]
    bins = bins_of(number(101), counts, sigma=5.0)
    assert (bins.group == bins.group[50]).sum() == 1 + (bins.group[101] == bins.group[50])


def test_a_rare_value_that_noise_took_away_does_not_vanish() -> None:
    """Of 50 rows noise leaves -60 (sigma 40): the value keeps about a quarter of sigma."""
    counts = [-60, 60, 70, *[300] * 30, 0]
    bins = bins_of(number(33), counts, sigma=40.0)
    expected = bins.mass[bins.group] * bins.inside
    assert bins.group[0] == bins.group[1]
    assert 5 < expected[0] < 11


def test_a_constant_column_gives_only_its_value() -> None:
    bins = bins_of(number(11), [0] * 5 + [900] + [0] * 5 + [0], sigma=3.0)
    expected = bins.mass[bins.group] * bins.inside
    assert expected[5] > 0.98 * expected.sum()


@given(counts=st.lists(st.integers(-50, 400), min_size=3, max_size=60), sigma=st.floats(0.5, 60))
def test_bins_are_contiguous_and_every_bin_has_a_distribution(counts: list[int], sigma: float) -> None:
    column = number(len(counts) - 1)
    bins = bins_of(column, counts, sigma)
    values = bins.group[: column.value_cells]
    assert (np.diff(values) >= 0).all()
    assert set(bins.group.tolist()) == set(range(bins.count))
    assert np.bincount(bins.group, weights=bins.inside) == pytest.approx(np.ones(bins.count))
    assert (bins.mass >= 0).all()
    for finer, coarser in zip(bins.levels, bins.levels[1:], strict=False):
        pairs = set(zip(finer.tolist(), coarser.tolist(), strict=True))
        assert len(pairs) == finer.max() + 1  # each finer bin lies in one coarser bin


@given(counts=st.lists(st.integers(-50, 400), min_size=2, max_size=40), most=st.integers(1, 6))
def test_the_target_and_the_context_have_few_bins(counts: list[int], most: int) -> None:
    column = category(len(counts) - 1)
    one = one_way((column,), {"x": np.array(counts)}, {}, 5.0, OPTIONS)
    assert make_bins(column, one, OPTIONS, most_bins=most).count <= most
    coarse = coarse_bins(make_bins(column, one, OPTIONS), most, ordered=False)
    assert set(coarse.tolist()) == set(range(coarse.max() + 1))
    assert coarse.max() < most


def test_the_tail_of_a_number_of_children_falls_on_where_the_noise_begins() -> None:
    """900, 300, 90 fall by 0.3: then 27, 8.1, 2.4 and 0.7 are expected, of which the noisy cells show 22."""
    assert last_significant(np.array([900.0, 300, 90, 12, -8, 15, 3]), sigma=10.0) == 2
    column = number(7, decay=True)
    bins = bins_of(column, [900, 300, 90, 12, -8, 15, 3, 0], sigma=10.0)
    expected = bins.mass[bins.group] * bins.inside
    assert expected[3:7] == pytest.approx(np.array([27, 8.1, 2.43, 0.729]) * 22 / 38.259, abs=0.5)
    assert expected[7] == 0


@pytest.mark.parametrize("tail", [[-40, 3, -9, 2], [-12, -8, -15, 3]])
def test_a_tail_of_noise_below_nothing_holds_no_rows(tail: list[int]) -> None:
    column = number(7, decay=True)
    bins = bins_of(column, [900, 300, 90, *tail, 0], sigma=10.0)
    assert (bins.mass[bins.group] * bins.inside)[3:] == pytest.approx([0] * 5)


@pytest.mark.parametrize("counts", [[5, 8, -3, 2, 7, -9, 4, 1], [100, 300, 900, 40, -8, 5, 3, 2]])
def test_a_tail_that_does_not_fall_is_cut(counts: list[int]) -> None:
    """Nothing but noise, and a number of children that grows to its largest: no rate at which it falls is known."""
    column = number(7, decay=True)
    bins = bins_of(column, counts, sigma=12.0)
    last = max(1, last_significant(np.array(counts[:7], dtype=float), sigma=12.0))
    assert (bins.mass[bins.group] * bins.inside)[last + 1 :] == pytest.approx(np.zeros(7 - last))


def test_roundness_ignores_what_is_within_the_noise() -> None:
    assert roundness_shares(np.array([300, 9, 100, 50]), sigma=5.0) == pytest.approx([0.75, 0, 0.25])
    assert roundness_shares(np.array([3, 1, 0, 50]), sigma=5.0).tolist() == [0, 0, 0]
