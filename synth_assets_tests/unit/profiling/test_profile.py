"""Profiles of small tables with hand-calculated figures."""

from __future__ import annotations

import datetime as dt
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.errors import ConfigError, InputError, SynthAssetsError
from synth_assets.profiling import columns, histograms
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import TableProfile, ValueCount
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnSchema

Profiled = Callable[..., TableProfile]


@pytest.fixture
def profiled(written: Any, engine: Engine) -> Profiled:
    """The profile of a table given as columns."""

    def profile(data: dict[str, Any], **keys: Any) -> TableProfile:
        return profile_table(*written(data, **keys), engine)

    return profile


def test_numbers_have_the_figures_worked_out_by_hand(profiled: Profiled) -> None:
    values = [1, 2, 3, 4, 100, 0, -5, None]
    stats = profiled({"x": pa.array(values, pa.int64())}).column("x").number
    assert stats is not None
    present = sorted(v for v in values if v is not None)
    assert (stats.minimum, stats.q25, stats.median, stats.q75, stats.maximum) == (-5, 0.5, 2.0, 3.5, 100)
    assert stats.mean == pytest.approx(15.0)
    assert stats.std == pytest.approx(float(np.std(present, ddof=1)))
    assert (stats.zeros, stats.negatives, stats.not_finite) == (1, 1, 0)
    assert stats.outliers_iqr == 2  # fences -4 and 8: -5 and 100 are outside
    assert stats.outliers_zscore == 0  # |100 - 15| = 85 < 3 * 37.7


def test_a_far_value_among_many_is_an_outlier_by_zscore(profiled: Profiled) -> None:
    stats = profiled({"x": [0.0, 1.0] * 50 + [1000.0]}).column("x").number
    assert stats is not None
    assert stats.outliers_zscore == 1


def test_counts_flags_and_top_values(profiled: Profiled) -> None:
    profile = profiled(
        {
            "id": pa.array([1, 2, 3, 4, 5], pa.int64()),
            "colour": ["red", "blue", "red", None, "green"],
            "same": ["x"] * 5,
            "empty": pa.array([None] * 5, pa.string()),
            "flag": [True, True, False, None, None],
        },
        id="id",
    )
    colour = profile.column("colour")
    assert (colour.count, colour.missing, colour.distinct) == (4, 1, 3)
    assert colour.top_values == (
        ValueCount(value="red", rows=2),
        ValueCount(value="blue", rows=1),
        ValueCount(value="green", rows=1),
    )
    assert colour.rows_of_other_values == 0
    assert (profile.column("same").constant, profile.column("id").unique, profile.column("colour").unique) == (
        True,
        True,
        False,
    )
    empty = profile.column("empty")
    assert (empty.count, empty.missing, empty.distinct, empty.constant, empty.top_values) == (0, 5, 0, False, ())
    assert profile.column("flag").top_values == (ValueCount(value="true", rows=2), ValueCount(value="false", rows=1))
    assert profile.column("id").number is None  # an identifier is no quantity
    assert profile.row_count == 5


def test_only_the_ten_commonest_values_are_listed_and_the_rest_counted(profiled: Profiled) -> None:
    column = profiled({"c": [f"v{i:02}" for i in range(15) for _ in range(i + 1)]}).column("c")
    assert [v.value for v in column.top_values] == [f"v{i:02}" for i in range(14, 4, -1)]
    assert column.rows_of_other_values == 1 + 2 + 3 + 4 + 5


def test_texts_have_lengths_and_shapes(profiled: Profiled) -> None:
    text = profiled({"plate": ["ABC-12", "XYZ-99", "ab 7", "Ü-é1", None]}, plate="text").column("plate").text
    assert text is not None
    assert (text.min_length, text.mean_length, text.max_length) == (4, 5.0, 6)
    assert text.shapes == (
        ValueCount(value="AAA-99", rows=2),
        ValueCount(value="a-a9", rows=1),
        ValueCount(value="aa 9", rows=1),
    )
    assert text.rows_of_other_shapes == 0


def test_long_texts_have_no_shapes_and_nearly_unique_columns_no_values(profiled: Profiled) -> None:
    profile = profiled({"note": [f"{'long ' * 20}{i}" for i in range(50)]}, note="text")
    column = profile.column("note")
    assert column.text is not None
    assert (column.text.shapes, column.top_values) == ((), ())


def test_dates_and_times_are_iso_texts(profiled: Profiled) -> None:
    days = [dt.date(1969, 12, 30), dt.date(1970, 1, 1), dt.date(1970, 1, 3)]
    times = pa.array(["2020-01-01 00:00:00", "2020-01-01 12:00:00", "2020-01-02 00:00:00"]).cast(pa.timestamp("us"))
    profile = profiled({"day": pa.array(days, pa.date32()), "at": times})
    day, at = profile.column("day"), profile.column("at")
    assert day.time is not None
    assert at.time is not None
    assert day.time.model_dump() == {
        "minimum": "1969-12-30",
        "q25": "1969-12-31",
        "median": "1970-01-01",
        "mean": "1970-01-01",
        "q75": "1970-01-02",
        "maximum": "1970-01-03",
    }
    assert (at.time.minimum, at.time.median) == ("2020-01-01T00:00:00", "2020-01-01T12:00:00")
    assert day.histogram is not None
    assert day.histogram.edges == ("1969-12-30", "1969-12-31", "1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04")
    assert day.histogram.counts == (1, 0, 1, 0, 1)


def test_times_with_fractions_of_a_second_and_after_2038_have_a_profile(profiled: Profiled) -> None:
    times = [dt.datetime(1969, 12, 31, 23, 59, 59, 500_000), dt.datetime(2099, 1, 1), dt.datetime(2500, 6, 1, 12)]
    time = profiled({"at": pa.array(times, pa.timestamp("us"))}).columns[0].time
    assert time is not None
    assert (time.minimum, time.median, time.maximum) == (
        "1969-12-31T23:59:59",
        "2099-01-01T00:00:00",
        "2500-06-01T12:00:00",
    )


def test_histograms_of_whole_numbers_have_whole_edges(profiled: Profiled) -> None:
    profile = profiled({"few": [1, 1, 3], "wide": [0, 99, 100], "real": [0.0, 0.5, 10.0], "one": [2.5] * 3})
    few, wide, real, one = (profile.column(n).histogram for n in ("few", "wide", "real", "one"))
    assert few is not None
    assert (few.edges, few.counts) == ((1, 2, 3, 4), (2, 0, 1))
    assert wide is not None
    assert (wide.edges[:3], wide.edges[-1]) == ((0, 5, 10), 105)
    assert (wide.counts[0], wide.counts[-2:], sum(n or 0 for n in wide.counts)) == (1, (1, 1), 3)
    assert real is not None
    assert (real.edges[:3], real.counts[0], real.counts[1], real.counts[-1]) == ((0.0, 0.5, 1.0), 1, 1, 1)
    assert one is not None
    assert one.counts == (3,)


def test_infinities_and_nan_are_counted_apart(profiled: Profiled) -> None:
    profile = profiled({"x": [1.0, 3.0, math.inf, -math.inf, math.nan, None]})
    stats = profile.column("x").number
    assert stats is not None
    assert (stats.minimum, stats.maximum, stats.mean, stats.not_finite) == (1.0, 3.0, 2.0, 3)
    assert profile.column("x").count == 5
    json.dumps(json.loads(profile.model_dump_json()), allow_nan=False)


def test_figures_beyond_the_range_of_a_double_are_absent_and_nothing_fails(profiled: Profiled) -> None:
    ints = pa.array([-(2**63), 2**63 - 1, 0], pa.int64())
    profile = profiled({"x": [1.5e308, -1.5e308, 1e308], "i": ints})
    stats = profile.column("x").number
    assert stats is not None
    assert stats.std is None
    assert profile.column("x").histogram is None
    whole = profile.column("i").number
    assert whole is not None
    assert (whole.minimum, whole.maximum) == (-(2**63), 2**63 - 1)
    json.dumps(json.loads(profile.model_dump_json()), allow_nan=False)


def test_duplicates_are_rows_that_repeat_an_earlier_one(profiled: Profiled) -> None:
    assert profiled({"a": ["x", "x", "x", "y", None, None], "b": [1, 1, 2, 1, None, None]}).duplicates == 2


def test_a_table_with_a_key_has_no_duplicates(profiled: Profiled) -> None:
    assert profiled({"a": [1, 2, 3], "b": ["x", "x", "x"]}).duplicates == 0


def test_a_table_without_rows_has_a_profile(written: Any, engine: Engine) -> None:
    table = pa.table({"x": pa.array([], pa.int64()), "s": pa.array([], pa.string()), "d": pa.array([], pa.date32())})
    path, schema = written(table)
    profile = profile_table(path, schema, engine, quasi=("x",))
    assert (profile.row_count, profile.duplicates, profile.associations, profile.uniqueness, profile.anonymity) == (
        0,
        0,
        None,
        None,
        None,
    )
    assert profile.column("x").number is not None
    assert profile.public().form == "public"


def test_more_columns_than_one_batch_give_the_same_figures(profiled: Profiled, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {f"c{i}": [i, i + 1, i + 2] for i in range(7)} | {"s": ["a", "b", "a"]}
    whole = profiled(data)
    monkeypatch.setattr(columns, "BATCH_COLUMNS", 2)
    monkeypatch.setattr(columns.batches, "__defaults__", (2,))
    assert profiled(data) == whole


def test_names_with_blanks_quotes_and_other_scripts_work(profiled: Profiled) -> None:
    names = ["default payment", 'the "best"', "größe", "select", "n", "value", "bin", "i"]
    profile = profiled({n: [1, 2, 2] for n in names} | {"_row": ["a", "b", "b"]})
    assert [c.name for c in profile.columns] == [*names, "_row"]
    assert profile.associations is not None


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)), min_size=1, max_size=30)
)
def test_a_histogram_counts_every_value_once(
    profiled: Profiled, tmp_path_factory: pytest.TempPathFactory, values: list[float | None]
) -> None:
    profile = profiled({"x": pa.array(values, pa.float64())}, folder=tmp_path_factory.mktemp("h"))
    column = profile.column("x")
    present = [v for v in values if v is not None]
    if column.histogram is None:
        assert not present
        return
    assert sum(n or 0 for n in column.histogram.counts) == len(present)
    assert column.distinct == len(set(present))
    edges = [float(e) for e in column.histogram.edges if e is not None]
    assert edges == sorted(edges)
    assert edges[0] <= min(present)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.text(alphabet="aB1é-", max_size=3)), min_size=1, max_size=30))
def test_top_values_agree_with_a_counter(
    profiled: Profiled, tmp_path_factory: pytest.TempPathFactory, values: list[str | None]
) -> None:
    column = profiled({"s": pa.array(values, pa.string())}, folder=tmp_path_factory.mktemp("v")).column("s")
    counted = Counter(v for v in values if v is not None)
    assert column.distinct == len(counted)
    assert [v.rows for v in column.top_values] == [n for _, n in counted.most_common(histograms.TOP_VALUES)]
    assert all(counted[v.value] == v.rows for v in column.top_values)


def test_a_folder_without_files_and_an_unknown_quasi_identifier_are_clear_errors(
    tmp_path: Path, written: Any, engine: Engine
) -> None:
    path, schema = written(pa.table({"x": [1, 2]}))
    with pytest.raises(ConfigError, match="no such column"):
        profile_table(path, schema, engine, quasi=("y",))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no Parquet file"):
        profile_table(empty, schema, engine)


def test_a_fault_of_the_engine_never_shows_a_value(written: Any, engine: Engine) -> None:
    path, schema = written(pa.table({"x": ["canary@example.org", "b"]}))
    wrong = schema.model_copy(
        update={"columns": (ColumnSchema.model_validate({"name": "x", "kind": "number", "dtype": "int64"}),)}
    )
    with pytest.raises(SynthAssetsError) as caught:
        profile_table(path, wrong, engine)
    assert "canary" not in str(caught.value)
    assert "its text is withheld" in str(caught.value)


def test_records_import_in_milliseconds() -> None:
    code = (
        "import sys; import synth_assets.profiling.records; "
        "assert not {'pandas', 'numpy', 'ibis', 'pyarrow', 'matplotlib', 'dagster'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
