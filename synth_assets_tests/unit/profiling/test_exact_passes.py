"""Quantiles, distinct counts, repeated rows, shapes and bins, each against a plain calculation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from synth_assets.profiling import distinct, quantiles
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import Histogram
from synth_assets.profiling.shapes import shapes_of
from synth_assets.tables.engine import Engine

FRACTIONS = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
ODD = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 5e-324, 1.0, 1e308, -1e308])
)


def narrowed(engine: Engine, path: Path, values: list[float | int], dtype: Any) -> list[float]:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": pa.array(values, dtype)}), path / "part-0.parquet")
    with engine.session() as session:
        table = session.parquet(path)
        line = quantiles.Line("x", table.x, len(values), min(values), max(values))
        return quantiles.narrowed(table, line, FRACTIONS)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ODD, min_size=1, max_size=60))
@example([0.1 + i * 1e-18 for i in range(20)])
@example([1e308, -1e308, 3.0])
def test_narrowed_quantiles_are_the_order_statistics(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    before = quantiles.FETCHED_ROWS, quantiles.BINS
    quantiles.FETCHED_ROWS, quantiles.BINS = 2, 4
    try:
        found = narrowed(engine, tmp_path_factory.mktemp("q"), list(values), pa.float64())
    finally:
        quantiles.FETCHED_ROWS, quantiles.BINS = before
    ordered = sorted(values)
    for fraction, value in zip(FRACTIONS, found, strict=True):
        place = (len(values) - 1) * fraction
        low, high = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
        assert value == pytest.approx(low * (1 - place % 1) + high * (place % 1), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("far", [10**3, 10**9, 2**62])
def test_narrowed_quantiles_of_whole_numbers_with_a_long_tail(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: int
) -> None:
    monkeypatch.setattr(quantiles, "FETCHED_ROWS", 50)
    rng = np.random.default_rng(6)
    values = [*(int(v) for v in rng.zipf(1.5, 5_000) % 1_000), far, -far]
    assert narrowed(engine, tmp_path, values, pa.int64()) == list(np.quantile(np.sort(values), FRACTIONS))


def test_a_table_beyond_what_is_held_has_the_same_profile(
    written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(8)
    data = {
        "amount": pa.array([None if i % 9 == 0 else float(v) for i, v in enumerate(rng.lognormal(3, 2, 3_000))]),
        "day": pa.array(np.datetime64("2000-01-01") + rng.integers(0, 900, 3_000), pa.date32()),
        "many": [f"v{v}" for v in rng.integers(0, 2_000, 3_000)],
        "few": [f"v{v}" for v in rng.integers(0, 5, 3_000)],
    }
    path, schema = written(data)
    whole = profile_table(path, schema, engine)
    monkeypatch.setattr(quantiles, "HELD_VALUES", 100)
    monkeypatch.setattr(quantiles, "FETCHED_ROWS", 100)
    monkeypatch.setattr(distinct, "FEW_VALUES", 10)
    assert profile_table(path, schema, engine) == whole


def test_rows_with_the_same_hash_are_compared_value_by_value(
    written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"a": ["x", "x", "y", "z", "z", "z"], "b": [1, 1, 1, 2, 2, 3]}
    assert profile_table(*written(data), engine).duplicates == 2
    monkeypatch.setattr(
        distinct, "salted", lambda values, index: values.hash() * 0
    )  # every row collides with every other
    assert profile_table(*written(data), engine).duplicates == 2


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=20))
@example(["Ab-12", None, "", "Ü-é1\U0001f600", "\x00"])
def test_shapes_follow_the_rule_character_by_character(texts: list[str | None]) -> None:
    def shape(text: str) -> str:
        return "".join(
            "A" if "A" <= c <= "Z" else "a" if "a" <= c <= "z" or ord(c) > 127 else "9" if "0" <= c <= "9" else c
            for c in text
        )

    expected = [None if t is None else shape(t) for t in texts]
    array = pa.array(texts, pa.string())
    assert shapes_of(array).to_pylist() == expected
    assert shapes_of(pa.concat_arrays([pa.array(["q9"]), array])[1:]).to_pylist() == expected
    assert shapes_of(pa.chunked_array([array, array], pa.string())).to_pylist() == expected * 2


def histogram(written: Any, engine: Engine, values: Any) -> Histogram:
    found = profile_table(*written({"x": values}), engine).column("x").histogram
    assert found is not None
    return found


def test_values_on_an_edge_fall_into_the_bin_that_starts_there(written: Any, engine: Engine) -> None:
    """0.29 / 0.01 is 28.999999999999996 in doubles."""
    values = [round(i / 100, 2) for i in range(20, 40)]
    found = histogram(written, engine, values)
    assert found.edges[:3] == (0.2, 0.21, 0.22)
    assert found.counts == (1,) * 20


@pytest.mark.parametrize(
    ("days", "edges"),
    [
        (10, ("2001-05-28", "2001-05-29")),
        (100, ("2001-05-24", "2001-05-31")),
        (500, ("2001-05-01", "2001-06-01")),
        (9_000, ("2000-01-01", "2002-01-01")),
    ],
)
def test_dates_have_bins_of_days_weeks_months_and_years(
    written: Any, engine: Engine, days: int, edges: tuple[str, str]
) -> None:
    start = dt.date(2001, 5, 28)
    values = [start + dt.timedelta(days=d) for d in range(days)]
    found = histogram(written, engine, pa.array(values, pa.date32()))
    assert found.edges[:2] == edges
    assert found.counts == tuple(
        sum(str(low) <= v.isoformat() < str(high) for v in values)
        for low, high in zip(found.edges, found.edges[1:], strict=False)
    )
    if days < 100:
        return  # times have bins of hours there
    stamped = histogram(written, engine, pa.array([dt.datetime.combine(v, dt.time(13, 5)) for v in values]))
    assert stamped.counts == found.counts
    assert stamped.edges[0] == f"{edges[0]}T00:00:00"


def test_values_far_out_share_an_open_bin(written: Any, engine: Engine) -> None:
    found = histogram(written, engine, [*[float(i) for i in range(1_000)], 1e9, -5e7])
    assert found.edges[:3] == (-5e7, 0.0, 50.0)
    assert found.edges[-2:] == (1_000.0, 1e9)
    assert (found.counts[0], found.counts[1], found.counts[-1]) == (1, 50, 1)
