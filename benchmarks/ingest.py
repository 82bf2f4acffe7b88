"""Reading a large CSV beside its peers: rows per CPU second and peak memory, CSV to Parquet, in one run on one machine.

    python benchmarks/ingest.py [--megabytes 2000] [--seed 7] [--file FILE] [--only ours]

The file is made from a seed: 12 columns (names, dates, amounts, codes, a free text with commas and quotes). Each contender runs in
a process of its own. `ours` is `ingest`: encoding and quotes are checked in every byte, the width of every row, a type that
holds for every cell, decimals, kinds and distinct counts. `duckdb` is a plain `COPY (FROM read_csv(...))`, which guesses types
from a sample; `pandas` is `read_csv` and `to_parquet`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MIB = 1024**2
CHUNK_ROWS = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--file", type=Path, help="where the file is kept for another run; a temporary one when absent")
    parser.add_argument("--only", action="append", choices=["ours", "duckdb", "pandas"])
    parser.add_argument("--contender", choices=["ours", "duckdb", "pandas"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        {"ours": ours, "duckdb": plain_duckdb, "pandas": with_pandas}[arguments.contender](
            arguments.file, arguments.out
        )
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = arguments.file or Path(scratch) / "people.csv"
        if not file.exists():
            make(file, arguments.megabytes, arguments.seed)
        rows = count_rows(file)
        print(json.dumps({"file_mib": file.stat().st_size // MIB, "rows": rows}))
        rates = {}
        for name in arguments.only or ["duckdb", "ours", "pandas"]:
            rates[name] = measure(name, file, Path(scratch) / name, rows)
    for peer, rate in rates.items():
        if "ours" in rates and peer != "ours":
            print(f"ours / {peer}: {rates['ours'] / rate:.2f} times the rows per CPU second")


def make(file: Path, megabytes: int, seed: int) -> None:
    """Write the table, chunk by chunk."""
    import duckdb
    import numpy as np

    made = file.with_name(f"{file.name}.made")
    generator = np.random.default_rng(seed)
    start = 0
    part = file.with_name(f"{file.name}.part")
    with made.open("wb") as target, duckdb.connect() as connection:
        while target.tell() < megabytes * MIB:
            connection.register("chunk", people(generator, start))
            connection.execute(f"COPY chunk TO '{part}' (FORMAT csv, HEADER {not start}, NULLSTR '')")
            target.write(part.read_bytes())
            start += CHUNK_ROWS
    part.unlink()
    made.rename(file)


def people(generator: object, start: int) -> object:
    """One chunk of rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from synth_assets.generation import lists

    rng, n = generator, CHUNK_ROWS

    def pick(values: list[str]) -> pa.Array:
        return pa.array(values).take(pa.array(rng.integers(0, len(values), n)))

    first, last = pick(list(lists.first_names("F"))), pick(list(lists.last_names()))
    number = pa.array(np.arange(start, start + n))
    text = pc.cast(number, pa.string())
    days = np.datetime64("1930-01-01") + rng.integers(0, 33_000, n).astype("timedelta64[D]")
    moments = np.datetime64("2020-01-01T00:00:00", "s") + rng.integers(0, 150_000_000, n).astype("timedelta64[s]")
    words = pick(
        [
            "seen in clinic, stable",
            'says "no pain today"',
            "follow up in 3 weeks; bring the letter",
            "none",
            "sent home, calls on Monday",
        ]
    )
    return pa.table(
        {
            "customer_id": number,
            "first_name": first,
            "last_name": last,
            "email": pc.binary_join_element_wise(pc.utf8_lower(first), text, "@example.org", ""),
            "zip": pc.utf8_lpad(pc.cast(pa.array(rng.integers(0, 99_999, n)), pa.string()), 5, "0"),
            "birth_date": pa.array(days),
            "created_at": pc.strftime(pa.array(moments), format="%Y-%m-%d %H:%M:%S"),
            "amount": pa.array(np.round(rng.lognormal(4, 2, n), 2)),
            "visits": pa.array(rng.poisson(3, n)),
            "status": pick(["active", "closed", "new", ""]),
            "score": pa.array(np.where(rng.random(n) < 0.1, np.nan, np.round(rng.random(n), 4)), from_pandas=True),
            "note": pc.binary_join_element_wise(words, last, " "),
        }
    )


def count_rows(file: Path) -> int:
    with file.open("rb") as source:
        return sum(block.count(b"\n") for block in iter(lambda: source.read(16 * MIB), b"")) - 1


def measure(name: str, file: Path, out: Path, rows: int) -> float:
    """Rows per CPU second of one contender, from the operating system's account of its process."""
    command = [sys.executable, __file__, "--contender", name, "--file", str(file), "--out", str(out)]
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed")
    seconds = used.ru_utime + used.ru_stime
    figures = {
        "cpu_s": round(seconds, 1),
        "rows_per_cpu_s": round(rows / seconds),
        "peak_rss_mib": used.ru_maxrss // 1024,
    }
    print(json.dumps({"contender": name, **figures}), flush=True)
    return rows / seconds


def ours(file: Path, out: Path) -> None:
    from synth_assets.config.dataset import SourceConfig
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.sources import ingest

    engine = Engine(memory_limit="1GB", threads=2, spill_folder=None)
    ingest(SourceConfig(path=str(file)), name="people", base_dir=Path(), out=out, engine=engine)


def plain_duckdb(file: Path, out: Path) -> None:
    import duckdb

    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as connection:
        connection.execute(f"COPY (FROM read_csv('{file}')) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")


def with_pandas(file: Path, out: Path) -> None:
    import pandas as pd

    pd.read_csv(file).to_parquet(out, compression="zstd")


if __name__ == "__main__":
    main()
