"""Time of the private read: all two-way tables of a table of 15 columns, by the engine on one thread.

    OMP_NUM_THREADS=1 python benchmarks/marginal_counts.py [--rows 10000000]

The table is made from one seed, group by group: nine categories and six numbers of 2 to 29 cells. Printed: CPU seconds of reading and
encoding (once per run), of all one-way tables and of all 105 two-way tables.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CATEGORIES = (8, 16, 15, 7, 15, 6, 5, 2, 26)
NUMBERS = (23, 29, 11, 7, 29, 2)
GROUP = 250_000


def write_table(path: Path, rows: int) -> None:
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, GROUP):
        rng = np.random.default_rng([3, start])
        n = min(GROUP, rows - start)
        columns: dict[str, Any] = {}
        for i, size in enumerate(CATEGORIES):
            codes = np.minimum(rng.geometric(2.0 / size, n) - 1, size - 1).astype(np.int32)
            names = pa.array([f"value {k:02d}" for k in range(size)])
            columns[f"category_{i}"] = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
        for i, size in enumerate(NUMBERS):
            columns[f"number_{i}"] = rng.integers(0, size * 10, n)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def domain() -> Any:
    from synth_assets.tables.cells import ColumnDomain, TableDomain

    columns = [
        ColumnDomain(
            name=f"category_{i}",
            kind="category",
            dtype="string",
            categories=tuple(f"value {k:02d}" for k in range(size)),
        )
        for i, size in enumerate(CATEGORIES)
    ]
    columns += [
        ColumnDomain(name=f"number_{i}", kind="number", dtype="int64", edges=tuple(range(0, size * 10 + 1, 10)))
        for i, size in enumerate(NUMBERS)
    ]
    return TableDomain(columns=tuple(columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    arguments = parser.parse_args()
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.engine_rows import ParquetTable

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "table.parquet"
        write_table(path, arguments.rows)
        cells = domain()
        names = [c.name for c in cells.columns]
        with Engine(threads=1, memory_limit="3GB").session() as session:
            table = ParquetTable(session, path, columns=names, gate=lambda: None)
            times = [time.process_time()]
            source = table.marginals(cells)
            times.append(time.process_time())
            ones = source.counts([(n,) for n in names])
            times.append(time.process_time())
            pairs = source.counts(list(itertools.combinations(names, 2)))
            times.append(time.process_time())
        assert all(t.sum() == arguments.rows for t in (*ones, *pairs))
    steps = ("encode", "one-way tables", "two-way tables")
    record = {s: round(b - a, 1) for s, (a, b) in zip(steps, itertools.pairwise(times), strict=True)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": arguments.rows, "tables": len(pairs), "cpu_s": record, "peak_mb": peak}))


if __name__ == "__main__":
    main()
