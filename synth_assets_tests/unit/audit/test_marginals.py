"""Distances between marginals: hand calculations, properties, bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.audit import marginals
from synth_assets.audit.marginals import (
    cramers_v,
    joint,
    quantile_grid,
    total_variation_distance,
)
from synth_assets.audit.workload import workload
from synth_assets.errors import InputError
from synth_assets_tests.unit.audit.worlds import prepared

counts = st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(sum)
pairs = st.integers(1, 8).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 50), min_size=k, max_size=k).filter(sum) for _ in range(2)])
)


@pytest.mark.parametrize(
    ("real", "synthetic", "expected"), [([60, 40], [50, 50], 0.1), ([1, 0], [0, 9], 1.0), ([2, 2], [5, 5], 0.0)]
)
def test_distance_matches_hand_calculation(real, synthetic, expected):  # (|0.6-0.5| + |0.4-0.5|) / 2
    assert total_variation_distance(real, synthetic) == pytest.approx(expected)


@given(pairs)
def test_distance_is_symmetric_and_a_fraction(pair):
    first, second = pair
    distance = total_variation_distance(first, second)
    assert 0 <= distance <= 1
    assert distance == pytest.approx(total_variation_distance(second, first))


@given(counts, st.integers(2, 50))
def test_distance_ignores_table_size(real, factor):
    assert total_variation_distance(real, [factor * c for c in real]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("real", "synthetic"), [([1, 2], [1, 2, 3]), ([0, 0], [1, 2]), ([1, 2], [0, 0])])
def test_histograms_that_cannot_be_compared_are_refused(real, synthetic):
    with pytest.raises(InputError):
        total_variation_distance(real, synthetic)


def test_numbers_fall_in_twenty_quantile_bins_of_the_real_table_and_missing_in_a_bin_of_its_own():
    data = prepared(train={"x": list(range(100))}, synthetic={"x": [-5, 0, 50, 99, 1000, None]})
    grid = quantile_grid(data)
    assert grid.sizes["x"] == 21  # 20 bins and one for missing
    assert grid.codes(data.parts["synthetic"])["x"].tolist() == [0, 0, 10, 19, 19, 20]
    shares = np.bincount(grid.codes(data.parts["train"])["x"], minlength=21)
    assert shares.tolist() == [5] * 20 + [0]


def test_repeated_values_share_a_bin():
    data = prepared(train={"x": [0] * 92 + [7] * 8}, synthetic={"x": [0, 3, 7, 9]})
    grid = quantile_grid(data)
    assert grid.codes(data.parts["synthetic"])["x"].tolist() == [1, 1, 2, 2]


def test_categories_that_the_real_table_lacks_share_a_bin():
    data = prepared(train={"c": ["a", "b", "a"]}, synthetic={"c": ["a", "b", "z", "y", None]})
    grid = quantile_grid(data)
    assert grid.codes(data.parts["synthetic"])["c"].tolist() == [0, 1, 2, 2, 3]


def test_rare_categories_of_a_wide_column_share_the_bin_of_others_and_the_grid_says_so(monkeypatch):
    monkeypatch.setattr(marginals, "CATEGORY_LIMIT", 2)
    data = prepared(train={"c": ["a", "a", "b", "b", "b", "c"]}, synthetic={"c": ["a", "b", "c"]})
    grid = quantile_grid(data)
    assert grid.merged == ("c",)
    assert grid.codes(data.parts["synthetic"])["c"].tolist() == [0, 1, 2]


def test_a_column_that_is_missing_everywhere_has_one_bin_more():
    data = prepared(train={"x": [None, None]}, synthetic={"x": [None, 3]})
    assert quantile_grid(data).codes(data.parts["synthetic"])["x"].tolist() == [1, 0]


def test_joint_counts_match_hand_counts_and_do_not_depend_on_the_way_of_counting(monkeypatch):
    data = prepared(
        train={"a": ["x", "x", "y"], "b": ["p", "q", "q"]}, synthetic={"a": ["y", "y", "y"], "b": ["q", "q", "p"]}
    )
    grid = quantile_grid(data)
    tables = [grid.codes(data.parts[side]) for side in ("train", "synthetic")]
    dense = joint(tables, grid.sizes, ("a", "b")).counts
    assert total_variation_distance(*dense) == pytest.approx(2 / 3)  # xp 1/3|0, xq 1/3|0, yq 1/3|2/3, yp 0|1/3
    monkeypatch.setattr(marginals, "_DENSE_CELLS", 1)
    sparse = joint(tables, grid.sizes, ("a", "b")).counts
    assert total_variation_distance(*sparse) == pytest.approx(2 / 3)
    assert sum(sparse[0]) == sum(dense[0]) == 3


def test_the_triples_are_fixed():
    names = [f"c{i:02}" for i in range(15)]
    first, _ = workload(names, seed=1)
    other, _ = workload(names, seed=2)
    assert first == other
    assert (len(first[1]), len(first[2]), len(first[3])) == (15, 105, 50)
    assert first[3][0] == ("c05", "c08", "c13")  # the first draw of the public harness


def test_a_wide_table_compares_a_seeded_subset_of_its_pairs_and_says_so():
    names = [f"c{i}" for i in range(120)]
    first, notes = workload(names, seed=1)
    assert len(first[2]) == 2000
    assert len(first[3]) == 50
    assert notes
    assert first == workload(names, seed=1)[0]
    assert first[2] != workload(names, seed=2)[0][2]


@pytest.mark.parametrize("columns", [1, 2])
def test_narrow_tables_have_no_triples(columns):
    made, _ = workload([f"c{i}" for i in range(columns)], seed=0)
    assert made[3] == []


@pytest.mark.parametrize(
    ("table", "expected"),
    [([[10, 0], [0, 10]], 1.0), ([[5, 5], [5, 5]], 0.0), ([[3, 0], [4, 0]], 0.0), ([[20, 10], [10, 20]], 1 / 3)],
)
def test_cramers_v_matches_hand_calculation(
    table, expected
):  # chi2 of the last: 4 * 25 / 15 = 6.67; sqrt(6.67 / 60) = 1/3
    assert cramers_v(table) == pytest.approx(expected)
