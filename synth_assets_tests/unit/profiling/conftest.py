"""Small canonical tables for the profiling tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnSchema, TableSchema

KINDS = {
    "int64": "number",
    "double": "number",
    "string": "category",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us]": "datetime",
}
Written = tuple[Path, TableSchema]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(memory_limit="512MB", threads=1)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Written]:
    """Write a table as one canonical folder; keyword arguments give the kinds of columns."""

    def write(data: Any, folder: Path = tmp_path, **kinds: str) -> Written:
        table = data if isinstance(data, pa.Table) else pa.table(data)
        pq.write_table(table, folder / "part-0.parquet")
        fields = [
            {"name": f.name, "kind": kinds.get(f.name, KINDS[str(f.type)]), "dtype": str(f.type)} for f in table.schema
        ]
        return folder, TableSchema(
            name="t", columns=tuple(ColumnSchema.model_validate(f) for f in fields), row_count=table.num_rows
        )

    return write
