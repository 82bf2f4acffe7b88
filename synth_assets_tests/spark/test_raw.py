"""Sources of several files, read by Spark's workers: the same canonical table as DuckDB's, in as many parts as there are files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import SourceError
from synth_assets.tables.engine import Engine
from synth_assets.tables.sources import ingest
from synth_assets_tests.spark.conftest import DUCK, SOCKET
from synth_assets_tests.unit.tables.test_sources_by_file import texts, typed

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600), pytest.mark.filterwarnings(SOCKET)]


def lake(folder: Path) -> Path:
    """Columns with many values and with few, identifiers that are unique and that are not."""
    folder.mkdir()
    made = np.random.default_rng(3)
    for i in range(3):
        n = 400
        rows = {
            "patient_id": np.arange(i * n, (i + 1) * n),
            "visit_id": made.integers(0, 900, n),
            "bmi": made.normal(27, 4, n).round(1),
        }
        words = {
            "city": [f"city {k}" for k in made.integers(0, 30, n)],
            "note": [f"seen {k}" for k in made.integers(0, 10**9, n)],
        }
        pq.write_table(pa.table({**rows, **words}), folder / f"part-{i}.parquet")
    return folder


@pytest.mark.parametrize("make", [texts, typed, lake])
def test_the_canonical_table_is_the_same(make, spark: Engine, tmp_path: Path) -> None:
    source, found = make(tmp_path / "source"), []
    for engine in (DUCK, spark):
        out = tmp_path / engine.name
        schema = ingest(
            SourceConfig(path=str(source)), name="t", base_dir=Path(), out=out, engine=engine, timezone="Europe/Berlin"
        )
        parts = sorted(out.glob("part-*.parquet"))
        assert len(parts) == (3 if engine is spark else 1)
        found.append((schema, pq.read_table(parts)))
    assert found[0] == found[1]


def test_a_fault_in_one_file_is_the_same_error_and_leaves_nothing(spark: Engine, tmp_path: Path) -> None:
    source, told = typed(tmp_path / "source"), []
    (source / "t1.parquet").write_bytes(b"PAR1 no table PAR1")
    for engine in (DUCK, spark):
        with pytest.raises(SourceError) as caught:
            ingest(SourceConfig(path=str(source)), name="t", base_dir=Path(), out=tmp_path / "out", engine=engine)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert not (tmp_path / "out").exists()
