"""Fixtures of the table readers' tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import ColumnConfig, SourceConfig, TableConfig
from synth_assets.tables.engine import Engine
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.schema import TableSchema
from synth_assets.tables.sources import ingest, read_notes


@dataclass(frozen=True)
class Ingested:
    """A canonical table that a test made."""

    folder: Path
    schema: TableSchema

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        table = pq.read_table(self.folder / "part-00000.parquet")
        return list(zip(*(table.column(i).to_pylist() for i in range(table.num_columns)), strict=True))

    def column(self, name: str) -> list[Any]:
        return list(pq.read_table(self.folder / "part-00000.parquet").column(name).to_pylist())

    def kind(self, name: str) -> str:
        return self.schema.column(name).kind.value

    def dtype(self, name: str) -> str:
        return self.schema.column(name).dtype

    @property
    def notes(self) -> str:
        return "\n".join(read_notes(self.folder))


class Reader:
    """Ingests text, bytes or any source into a fresh folder below `base`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.out = base / "out" / "table"
        self.engine = Engine(threads=1)

    def write(self, content: str | bytes, name: str = "t.csv") -> Path:
        path = self.base / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def source(self, source: SourceConfig, *, columns: dict[str, Any] | None = None, **options: Any) -> Ingested:
        table = options.pop("table", None)
        if columns is not None or "primary_key" in options or "foreign_keys" in options:
            described = {n: ColumnConfig.model_validate(c) for n, c in (columns or {}).items()}
            keys = {k: options.pop(k) for k in ("primary_key", "foreign_keys") if k in options}
            table = TableConfig(source=source, columns=described, **keys)
        schema = ingest(source, name="t", base_dir=self.base, out=self.out, engine=self.engine, table=table, **options)
        return Ingested(self.out, schema)

    def text(self, content: str | bytes, name: str = "t.csv", **options: Any) -> Ingested:
        self.write(content, name)
        settings = {k: options.pop(k) for k in ("format", "delimiter", "encoding", "sheet") if k in options}
        return self.source(SourceConfig(path=name, **settings), **options)


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """A reader over an empty folder."""
    return Reader(tmp_path)


@pytest.fixture
def small_limits() -> Limits:
    """Limits that a test file of some kilobytes passes."""
    return Limits(
        download_bytes=2_000,
        expanded_bytes=500_000,
        expansion_ratio=20,
        free_expansion_bytes=20_000,
        columns=5,
        timeout_seconds=3,
        private_hosts=frozenset({"127.0.0.1"}),
    )
