"""The profile beside its peers: one table, each contender in a process of its own, in one run on one machine.

    python benchmarks/profiling.py [--data FOLDER] [--rows 1000000] [--peer-python PYTHON] [--contenders ours summarize ...]

The table is Adult (FOLDER/adult/train.csv, drawn with replacement, one number made a float with mostly distinct values: 6 numbers
and 9 texts), or a made one of the same form where FOLDER is not given. CPU seconds and peak memory are the operating system's account
of the process, start and imports included. `ours` computes everything on all rows and draws the two pictures; DuckDB's SUMMARIZE
estimates distinct values; pandas counts, describes and no more. ydata-profiling needs other versions than ours: give the Python of an
environment that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEED = 7
CPU_LIMIT_SECONDS, MEMORY_LIMIT_GIB = 12.0, 0.5
OURS, PEERS = ("ours", "summarize", "pandas"), ("ydata_minimal", "ydata")
PATIENCE_SECONDS = 1_200

PEER_PROGRAM = """
import sys, pandas as pd
from ydata_profiling import ProfileReport
ProfileReport(pd.read_parquet(sys.argv[1]), minimal=sys.argv[2] == "ydata_minimal", progress_bar=False).to_file(sys.argv[3])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with adult/train.csv; a made table when absent")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-python", type=Path, help="Python of an environment with ydata-profiling")
    parser.add_argument("--contenders", nargs="+", choices=[*OURS, *PEERS])
    parser.add_argument("--contender", choices=["prepare", *OURS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender == "prepare":
        prepare(arguments.folder, arguments.data, arguments.rows)
        return
    if arguments.contender:
        {"ours": ours, "summarize": summarize, "pandas": pandas}[arguments.contender](arguments.folder)
        return
    wanted = arguments.contenders or [*OURS, *(PEERS if arguments.peer_python else ())]
    if set(wanted) & set(PEERS) and not arguments.peer_python:
        parser.error("ydata-profiling runs in an environment of its own: give --peer-python.")
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--data", str(arguments.data)] if arguments.data else []
        options += ["--contender", "prepare", "--folder", scratch, "--rows", str(arguments.rows)]
        subprocess.run(
            [sys.executable, __file__, *options], check=True
        )  # the system counts memory of a parent for its children
        figures = {name: measure(name, Path(scratch), arguments) for name in wanted}
    verdict(figures, arguments.rows)


def prepare(folder: Path, data: Path | None, rows: int) -> None:
    """The table as canonical Parquet with its schema; not timed."""
    import numpy as np
    import pandas as pd

    from synth_assets.config.dataset import SourceConfig
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.sources import ingest

    rng = np.random.default_rng(SEED)
    if data is not None:
        adult = pd.read_csv(data / "adult" / "train.csv")
        frame = adult.iloc[rng.integers(0, len(adult), rows)].reset_index(drop=True)
        frame["fnlwgt"] = np.round(frame["fnlwgt"] * (1 + rng.normal(0, 0.05, rows)), 2)
    else:
        sizes = (9, 16, 7, 15, 6, 5, 2, 42, 2)
        frame = pd.DataFrame(
            {
                f"text_{i}": np.char.add(f"value {i}-", (rng.zipf(1.5, rows) % k).astype(str))
                for i, k in enumerate(sizes)
            }
            | {f"number_{i}": rng.integers(0, top, rows) for i, top in enumerate((74, 16, 100, 120, 92))}
            | {"amount": np.round(rng.lognormal(12, 0.6, rows), 2)}
        )
    frame.to_parquet(folder / "source.parquet")
    source = SourceConfig(path=str(folder / "source.parquet"))
    ingest(source, name="table", base_dir=folder, out=folder / "table", engine=Engine())


def measure(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float] | None:
    """CPU seconds and peak memory of one contender; None where it cannot run or takes too long."""
    if name in PEERS:
        command = [
            str(arguments.peer_python),
            "-c",
            PEER_PROGRAM,
            str(table_of(folder)),
            name,
            str(folder / "peer.html"),
        ]
        own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    else:
        command = [sys.executable, str(Path(__file__).resolve()), "--contender", name, "--folder", str(folder)]
        own = dict(os.environ)
    start = time.monotonic()
    child = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL)
    while True:
        done, status, usage = os.wait4(child.pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() - start > PATIENCE_SECONDS:
            child.kill()
        time.sleep(0.1)
    child.returncode = os.waitstatus_to_exitcode(status)
    figures = {
        "wall_s": round(time.monotonic() - start, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_gib": round(usage.ru_maxrss / 2**20, 3),
    }
    print(json.dumps({"contender": name, "rows": arguments.rows, "exit_code": child.returncode} | figures), flush=True)
    return None if child.returncode else figures


def verdict(figures: dict[str, dict[str, float] | None], rows: int) -> None:
    """Ours against the limits and against each peer; exit code 1 beyond the limits at one million rows."""
    mine = figures.get("ours")
    if mine is None:
        sys.exit("profile: ours did not run." if "ours" in figures else 0)
    for name, other in figures.items():
        if name != "ours" and other is not None:
            times, memory = other["cpu_s"] / mine["cpu_s"], other["peak_gib"] / mine["peak_gib"]
            print(f"{name}: {times:.1f} times our CPU seconds, {memory:.1f} times our memory")
    print(
        f"ours: {mine['cpu_s']} CPU s, {mine['peak_gib']} GiB "
        f"(asked for at 1,000,000 rows: under {CPU_LIMIT_SECONDS:.0f} CPU s and {MEMORY_LIMIT_GIB} GiB)"
    )
    if rows == 1_000_000 and (mine["cpu_s"] >= CPU_LIMIT_SECONDS or mine["peak_gib"] >= MEMORY_LIMIT_GIB):
        sys.exit(1)


def table_of(folder: Path) -> Path:
    return next((folder / "table").glob("part-*.parquet"))


def ours(folder: Path) -> None:
    from synth_assets.profiling.plots import association_map, histogram_grid
    from synth_assets.profiling.profile import profile_table
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.schema import TableSchema

    schema = TableSchema.model_validate_json((folder / "table" / "schema.json").read_text())
    found = profile_table(folder / "table", schema, Engine(threads=2))
    (folder / "profile.json").write_text(found.model_dump_json())
    (folder / "histograms.png").write_bytes(histogram_grid(found))
    (folder / "associations.png").write_bytes(association_map(found))


def summarize(folder: Path) -> None:
    from synth_assets.tables.engine import Engine

    with Engine(threads=2).session() as session:
        session.backend.raw_sql(f"SUMMARIZE FROM '{table_of(folder)}'").fetchall()


def pandas(folder: Path) -> None:
    import pandas as pd

    frame: Any = pd.read_parquet(table_of(folder))
    frame.describe(include="all"), frame.nunique(), frame.isna().sum()


if __name__ == "__main__":
    main()
