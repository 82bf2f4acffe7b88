"""Column shapes, pair trends and the overall score against SDMetrics itself, run on the same tables."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.audit.clock import Clock
from synth_assets.audit.fidelity.measures import fidelity_findings
from synth_assets.audit.fidelity.quality import column_shape
from synth_assets.audit.prepare import Tables, compared_columns, prepare
from synth_assets.audit.tables import _arrow
from synth_assets.config.thresholds import AuditLevels
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

KINDS = {
    "numerical": (ColumnKind.NUMBER, "double"),
    "categorical": (ColumnKind.CATEGORY, "string"),
    "boolean": (ColumnKind.BOOLEAN, "bool"),
    "datetime": (ColumnKind.DATETIME, "timestamp[us]"),
}
PROPERTIES = {"Column Shapes": "column_shapes", "Column Pair Trends": "column_pair_trends"}


def _theirs(real: pd.DataFrame, synthetic: pd.DataFrame, sdtypes: dict[str, str]) -> dict[str, float]:
    """SDMetrics' figures on all rows; a property or score that it cannot compute is left out."""
    pytest.importorskip("sdmetrics", reason="needs the extra `sdv`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.reports import QualityReport

        report = QualityReport()
        report.num_rows_subsample = None
        columns = {name: {"sdtype": sdtype} for name, sdtype in sdtypes.items()}
        report.generate({"t": real}, {"t": synthetic}, {"tables": {"t": {"columns": columns}}}, verbose=False)
        found = report.get_properties().set_index("Property")["Score"].rename(PROPERTIES).to_dict()
        found["quality_report"] = report.get_score()
    return {name: float(score) for name, score in found.items() if not math.isnan(score)}


def _ours(real: pd.DataFrame, synthetic: pd.DataFrame, sdtypes: dict[str, str]) -> dict[str, float]:
    """The same figures of the audit, through the engine."""
    import ibis

    columns = tuple(ColumnSchema(name=n, kind=KINDS[s][0], dtype=KINDS[s][1]) for n, s in sdtypes.items())
    schema = TableSchema(name="t", columns=columns)
    with Engine(threads=1).files_session() as session:
        tables = Tables(
            session, ibis.memtable(_arrow(synthetic, "synthetic")), ibis.memtable(_arrow(real, "train")), None
        )
        kept, left_out = compared_columns(schema, tables.present(), ())
        prepared = prepare(tables, kept, left_out, limit=1_000_000, seed=1)
    found, _ = fidelity_findings(prepared, AuditLevels(), 1, Clock())
    wanted = {*PROPERTIES.values(), "quality_report"}
    return {f.metric: f.value for f in found if f.metric in wanted and f.value is not None}


def _same(real: pd.DataFrame, synthetic: pd.DataFrame, sdtypes: dict[str, str]) -> dict[str, float]:
    ours, theirs = _ours(real, synthetic, sdtypes), _theirs(real, synthetic, sdtypes)
    assert ours == pytest.approx(theirs, abs=1e-6)
    return ours


def _table(rows: int, seed: int, gaps: float = 0.1) -> pd.DataFrame:
    """Numbers, categories, booleans and times that hang together, with missing values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    frame = pd.DataFrame(
        {
            "x": x,
            "y": np.round(3 * x + rng.normal(size=rows), 1),
            "n": rng.integers(0, 30, rows).astype(float),
            "c": np.where(x > 0.5, "high", np.where(x < -0.5, "low", "middle")),
            "d": rng.choice(["p", "q", "r"], rows),
            "b": (x > 0).astype(object),
            "t": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.round(x * 400), unit="D"),
        }
    )
    for name in ("y", "c", "d", "t"):
        frame.loc[rng.random(rows) < gaps, name] = None if frame[name].dtype == object else np.nan
    return frame


SDTYPES = {
    "x": "numerical", "y": "numerical", "n": "numerical", "c": "categorical", "d": "categorical", "b": "boolean", "t": "datetime",
}  # fmt: skip


def test_a_table_of_all_kinds_has_sdmetrics_figures():
    synthetic = _table(700, 2)
    synthetic["y"] = synthetic["y"].sample(frac=1, random_state=1).to_numpy()
    ours = _same(_table(900, 1), synthetic, SDTYPES)
    assert set(ours) == {"column_shapes", "column_pair_trends", "quality_report"}
    assert ours["column_pair_trends"] < ours["column_shapes"]  # y was shuffled


def test_a_copy_scores_one_and_so_it_does_there():
    real = _table(300, 1)
    assert _same(real, real.copy(), SDTYPES) == pytest.approx(
        dict.fromkeys([*PROPERTIES.values(), "quality_report"], 1)
    )


def test_noise_has_the_same_low_figures():
    rng = np.random.default_rng(5)
    real = _table(400, 1)
    noise = pd.DataFrame({name: rng.permutation(real[name].to_numpy()) for name in real})
    noise["x"] = rng.uniform(50, 60, 400)
    ours = _same(real, noise, SDTYPES)
    assert ours["column_pair_trends"] < 0.75


@pytest.mark.parametrize(
    "change",
    [
        {"x": 1.0}, {"n": np.nan}, {"c": "one"}, {"c": None}, {"d": "unseen"}, {"b": True}, {"t": pd.Timestamp("2020-01-01")},
        {"x": 1.0, "y": 2.0, "n": 3.0, "c": "one", "d": "two", "b": False, "t": pd.Timestamp("2020-01-01")},
    ],
)  # fmt: skip
@pytest.mark.parametrize("side", ["real", "synthetic", "both"])
def test_constant_missing_and_unseen_columns_have_sdmetrics_figures(change, side):
    real, synthetic = _table(200, 1), _table(150, 2)
    for frame in {"real": [real], "synthetic": [synthetic], "both": [real, synthetic]}[side]:
        for name, value in change.items():
            frame[name] = pd.Series([value] * len(frame), dtype=frame[name].dtype)
    _same(real, synthetic, SDTYPES)


@pytest.mark.parametrize(("rows", "made"), [(1, 1), (1, 50), (50, 1), (2, 2)])
def test_tables_of_one_row_have_sdmetrics_figures(rows, made):
    _same(_table(rows, 1, 0), _table(made, 2, 0), SDTYPES)


cells = st.integers(0, 4)
gaps = st.none() | cells


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(gaps, cells, cells, gaps), min_size=1, max_size=12),
    st.lists(st.tuples(gaps, cells, cells, gaps), min_size=1, max_size=12),
)
def test_any_small_table_has_sdmetrics_figures(first, second):
    def frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
        x, y, c, d = ([row[i] for row in rows] for i in range(4))
        return pd.DataFrame(
            {
                "x": pd.Series(x, dtype=float),
                "y": pd.Series(y, dtype=float),
                "c": pd.Series([f"c{v}" for v in c], dtype=object),
                "d": pd.Series([None if v is None else f"d{v}" for v in d], dtype=object),
            }
        )

    _same(frame(first), frame(second), {"x": "numerical", "y": "numerical", "c": "categorical", "d": "categorical"})


def test_a_shape_ignores_missing_values_and_needs_one():
    assert column_shape(np.array([1.0, np.nan]), np.array([1.0]), numeric=True) == 1
    assert column_shape(np.array([0, 0, -1]), np.array([0, 1]), numeric=False) == pytest.approx(0.5, abs=1e-6)
    assert column_shape(np.array([np.nan]), np.array([1.0]), numeric=True) is None
    assert column_shape(np.array([0]), np.array([-1]), numeric=False) is None


@pytest.mark.shared_data
def test_adult_has_sdmetrics_figures(shared_data):
    real, synthetic = (pd.read_csv(shared_data / "adult" / f"{part}.csv") for part in ("train", "holdout"))
    sdtypes = {n: "numerical" if pd.api.types.is_numeric_dtype(real[n]) else "categorical" for n in real}
    _same(real, synthetic, sdtypes)
