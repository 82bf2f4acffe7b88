"""A small canonical table with every dtype, missing cells, and cells that a spreadsheet would run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

COLUMNS = (
    ("id", ColumnKind.ID, "int64", None),
    ("cost", ColumnKind.NUMBER, "double", 2),
    ("note", ColumnKind.TEXT, "string", None),
    ("on", ColumnKind.DATE, "date32[day]", None),
    ("at", ColumnKind.DATETIME, "timestamp[us]", None),
    ("ok", ColumnKind.BOOLEAN, "bool", None),
)
NOTES = ["=1+1", "-5", "+49 30", "@SUM(A1)", 'say "hi", twice', "two\nlines", "plain", None]


@pytest.fixture
def schema() -> TableSchema:
    columns = tuple(ColumnSchema(name=n, kind=k, dtype=t, decimals=d) for n, k, t, d in COLUMNS)
    return TableSchema(name="visits", columns=columns, primary_key=("id",), row_count=len(NOTES))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    n = len(NOTES)
    arrays = {
        "at": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5)] * (n - 1) + [None], pa.timestamp("us")),  # noqa: DTZ001  naive is UTC
        "id": pa.array(range(n), pa.int64()),
        "cost": pa.array([1.5, -2.0, 1234.5, 0.1, None, 7.0, 8.25, 9.0]),
        "note": pa.array(NOTES, pa.string()),
        "on": pa.array([dt.date(2024, 1, 2)] * n),
        "ok": pa.array([True, None, *[False] * (n - 2)]),
    }
    folder = tmp_path / "visits"
    folder.mkdir()
    pq.write_table(pa.table(arrays), folder / "part-00000.parquet")
    return folder


@pytest.fixture
def engine() -> Engine:
    return Engine(memory_limit="500MB", threads=1)
