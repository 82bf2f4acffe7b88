"""Associations against hand-calculated tables and plain numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.profiling import associations as module
from synth_assets.profiling.associations import cramers_v
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import Associations
from synth_assets.tables.engine import Engine


def matrix(written: Any, engine: Engine, data: Any, **kinds: str) -> Associations:
    found = profile_table(*written(data, **kinds), engine).associations
    assert found is not None
    return found


def test_numbers_have_pearsons_r_over_the_rows_with_both_values(written: Any, engine: Engine) -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, None, 5.0], [2.0, 1.0, 4.0, 3.0, 9.0, None]
    found = matrix(written, engine, {"x": x, "y": y, "z": [-1.0, -2.0, -3.0, -4.0, -4.5, -5.0]})
    assert found.matrix[0][1] == pytest.approx(np.corrcoef([1, 2, 3, 4], [2, 1, 4, 3])[0, 1])  # 0.6
    assert found.matrix[0][2] == pytest.approx(-1.0)
    assert [found.matrix[i][i] for i in range(3)] == [1.0, 1.0, 1.0]
    assert found.method(0, 1) == "pearson"


def test_categories_have_the_bias_corrected_v() -> None:
    # 2 x 2 table 30, 10, 10, 30: phi2 = 0.25, corrected by 1/79, divided by 2 - 1/79 - 1
    value = cramers_v(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([30, 10, 10, 30]))
    assert value == pytest.approx(math.sqrt((0.25 - 1 / 79) / (1 - 1 / 79)))
    assert cramers_v(np.array([0, 1]), np.array([5, 9]), np.array([50, 50])) == pytest.approx(1.0)
    assert cramers_v(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([25, 25, 25, 25])) == 0.0
    assert math.isnan(cramers_v(np.array([0, 0]), np.array([0, 1]), np.array([5, 5])))


def test_category_and_number_have_the_correlation_ratio(written: Any, engine: Engine) -> None:
    groups, values = ["a", "a", "b", "b", "c", None], [1.0, 3.0, 5.0, 7.0, None, 100.0]
    found = matrix(written, engine, {"g": groups, "x": values})
    # group means 2 and 6 around 4: between = 2*4 + 2*4 = 16, total = 9 + 1 + 1 + 9 = 20
    assert found.matrix[0][1] == pytest.approx(math.sqrt(16 / 20), abs=1e-6)
    assert found.columns == ("g", "x")
    assert found.method(0, 1) == "correlation_ratio"
    assert found.method(0, 0) == "cramers_v"


def test_the_matrix_keeps_the_order_of_the_table_and_names_what_it_leaves_out(written: Any, engine: Engine) -> None:
    rows = 60
    data = {
        "c": ["u", "v"] * 30,
        "same": ["x"] * rows,
        "id": list(range(rows)),
        "x": [float(i) for i in range(rows)],
        "note": [f"{'word ' * 20}{i % 3}" for i in range(rows)],
        "name": [f"person {i}" for i in range(rows)],
        "b": [True, True, False] * 20,
    }
    found = matrix(written, engine, data, id="id", note="text", name="text")
    assert found.columns == ("c", "x", "b")
    assert found.numeric == (False, True, False)
    assert found.left_out == ("same", "id", "note", "name")
    assert found.note == ""


def test_dates_count_as_numbers(written: Any, engine: Engine) -> None:
    days = pa.array(np.arange(20).astype("datetime64[D]"), pa.date32())
    found = matrix(written, engine, {"d": days, "x": [float(i) for i in range(20)]})
    assert found.matrix[0][1] == pytest.approx(1.0)


def test_the_cap_on_columns_is_stated(written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COLUMNS", 2)
    found = matrix(written, engine, {name: [1.0, 2.0, 4.0] for name in "abc"})
    assert found.columns == ("a", "b")
    assert found.left_out == ("c",)
    assert found.note == "1 columns beyond the first 2 are not in the matrix."


def test_large_tables_use_every_nth_row_and_say_so(
    written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 100)
    rng = np.random.default_rng(5)
    x = rng.normal(size=1000)
    found = matrix(written, engine, {"x": x, "y": x + 0.5 * rng.normal(size=1000)})
    assert (found.rows_used, found.note) == (100, "Every 10th row was used.")
    assert found.matrix[0][1] == pytest.approx(0.89, abs=0.06)


def test_rare_values_of_a_column_with_many_become_one(
    written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CATEGORIES", 2)
    many = ["a"] * 40 + ["b"] * 30 + ["c"] * 15 + ["d"] * 15
    two = ["p"] * 40 + ["q"] * 30 + ["r"] * 30
    assert matrix(written, engine, {"many": many, "two": two}).matrix[0][1] == pytest.approx(1.0)


def test_many_pairs_over_several_queries_give_the_same_matrix(
    written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    data: dict[str, Any] = {f"x{i}": rng.normal(size=50) for i in range(4)}
    data |= {f"c{i}": rng.choice(list("abc"), 50) for i in range(4)}
    whole = matrix(written, engine, data)
    monkeypatch.setattr(module, "_PAIRS_PER_QUERY", 2)
    monkeypatch.setattr(module, "_CORRELATIONS_PER_QUERY", 1)
    assert matrix(written, engine, data) == whole


def test_fewer_than_two_columns_have_no_matrix(written: Any, engine: Engine) -> None:
    assert profile_table(*written({"x": [1.0, 2.0]}), engine).associations is None


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=4))
def test_v_is_symmetric_and_between_zero_and_one(table: list[list[int]]) -> None:
    cells = [(i, j, n) for i, row in enumerate(table) for j, n in enumerate(row) if n]
    if not cells:
        return
    a, b, n = (np.array(c) for c in zip(*cells, strict=True))
    forward, backward = cramers_v(a, b, n), cramers_v(b, a, n)
    assert (math.isnan(forward) and math.isnan(backward)) or forward == pytest.approx(backward)
    assert math.isnan(forward) or 0 <= forward <= 1
