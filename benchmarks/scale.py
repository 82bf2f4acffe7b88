"""One table of any size through ingest, profile, classification and masking: seconds, CPU seconds and peak memory of each stage.

    python benchmarks/scale.py [--rows 1000000] [--memory-limit 2GB] [--threads 2] [--scratch FOLDER] [--stages ingest profile ...]

The table has 10 columns (key, names, e-mail, phone, birth date, ZIP, sex, date of visit, amount), comes from a seed, and is written as
Parquet files of one million rows each. Each stage is one call of the library in a process of its own, so that the operating system's
account of the process is the account of the stage. The chain has to stay below 4 GiB at 100 million rows. About 110 bytes of disk per
row and copy are needed, and the spill files of the engine come on top: the scratch folder is checked first and emptied at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SEED = 20_261_121
CHUNK_ROWS = 1_000_000
BYTES_PER_ROW = 300  # source, canonical and masked copies
LIMIT_GIB = 4.0
STAGES = ("make", "ingest", "profile", "classify", "mask")
POLICY = "hipaa_safe_harbor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-limit", default="2GB", help="of the engine; the process needs more than its engine")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--policy", default=POLICY)
    parser.add_argument("--scratch", type=Path, help="folder for the files (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the files of --scratch there")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        {"make": make, "ingest": ingest, "profile": profile, "classify": classify, "mask": mask}[arguments.stage](
            arguments
        )
        return
    parent = arguments.scratch or Path(tempfile.mkdtemp(prefix="scale-"))
    parent.mkdir(parents=True, exist_ok=True)
    arguments.scratch = parent.resolve()
    try:
        run(arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(parent, ignore_errors=True)


def run(arguments: argparse.Namespace) -> None:
    """All stages, one after the other."""
    free = shutil.disk_usage(arguments.scratch).free
    if "make" in arguments.stages and free < arguments.rows * BYTES_PER_ROW:
        sys.exit(
            f"scale: {arguments.scratch} has {free / 1e9:.0f} GB free, {arguments.rows * BYTES_PER_ROW / 1e9:.0f} GB are needed."
        )
    figures = [measure(stage, arguments) for stage in STAGES if stage in arguments.stages]
    chain = [f for f in figures if f["stage"] != "make"]
    if not chain:
        return
    peak = max(f["peak_gib"] for f in chain)
    wall, cpu = sum(f["wall_s"] for f in chain), sum(f["cpu_s"] for f in chain)
    print(
        f"{arguments.rows:,} rows x 10 columns: {wall:,.0f} s, {cpu:,.0f} CPU s, peak {peak:.2f} GiB "
        f"(asked for: under {LIMIT_GIB:.0f} GiB)"
    )
    if peak >= LIMIT_GIB:
        sys.exit(1)


def measure(stage: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One stage in a process of its own; seconds, CPU seconds and peak memory from the operating system."""
    command = [sys.executable, str(Path(__file__).resolve()), "--stage", stage, "--rows", str(arguments.rows)]
    command += ["--memory-limit", arguments.memory_limit, "--threads", str(arguments.threads)]
    command += ["--scratch", str(arguments.scratch), "--policy", arguments.policy]
    start = time.monotonic()
    child = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(arguments.scratch)})
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"scale: stage {stage} ended with {child.returncode}.")
    figures = {
        "stage": stage,
        "rows": arguments.rows,
        "wall_s": round(time.monotonic() - start, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
    }
    print(json.dumps(figures), flush=True)
    return figures


def make(arguments: argparse.Namespace) -> None:
    """The source: Parquet files of one million rows."""
    folder = arguments.scratch / "source"
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, arguments.rows, CHUNK_ROWS)):
        rows = min(CHUNK_ROWS, arguments.rows - start)
        pq.write_table(chunk(start, rows), folder / f"patients-{number:05}.parquet", compression="zstd")


def chunk(start: int, rows: int) -> pa.Table:
    """Rows `start` to `start + rows`: the same whatever the size of the whole table."""
    from synth_assets.generation.lists import first_names, last_names

    rng = np.random.default_rng([SEED, start])
    number = pa.array(np.arange(start, start + rows))
    female = rng.random(rows) < 0.5
    women, men = (first_names(sex)[:400] for sex in ("female", "male"))
    place = rng.zipf(1.3, rows) % 400
    first = pc.if_else(pa.array(female), pa.array(women).take(pa.array(place)), pa.array(men).take(pa.array(place)))
    last = pa.array(last_names()[:1000]).take(pa.array(rng.zipf(1.2, rows) % 1000))
    padded = pc.utf8_lpad(pc.cast(number, pa.string()), 9, "0")
    mail = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), padded, ".")
    local = rng.integers(2_000_000, 9_999_999, rows)
    phone = pc.binary_join_element_wise(
        pc.cast(pa.array(rng.integers(201, 989, rows)), pa.string()),
        pc.cast(pa.array(local // 10_000), pa.string()),
        pc.utf8_lpad(pc.cast(pa.array(local % 10_000), pa.string()), 4, "0"),
        "-",
    )
    days = np.datetime64("1930-01-01") + rng.integers(0, 33_000, rows)
    visits = np.datetime64("2019-01-01") + rng.integers(0, 2_500, rows)
    amount = np.round(rng.lognormal(5, 1.2, rows), 2)
    return pa.table(
        {
            "patient_id": pc.binary_join_element_wise("P", padded, ""),
            "first_name": first,
            "last_name": last,
            "email": pc.binary_join_element_wise(mail, "mail.example", "@"),
            "phone": phone,
            "birth_date": pa.array(days.astype("datetime64[D]")),
            "zip": pc.utf8_lpad(pc.cast(pa.array(rng.zipf(1.15, rows) % 30_000 + 501), pa.string()), 5, "0"),
            "sex": pc.if_else(pa.array(female), "F", "M"),
            "visit_date": pa.array(visits.astype("datetime64[D]")),
            "amount": pa.array(amount, mask=rng.random(rows) < 0.02),
        }
    )


def ingest(arguments: argparse.Namespace) -> None:
    from synth_assets.config.dataset import SourceConfig, TableConfig
    from synth_assets.tables.sources import ingest as read

    source = SourceConfig(path=str(arguments.scratch / "source"))
    table = TableConfig(source=source, primary_key="patient_id")
    schema = read(
        source,
        name="patients",
        base_dir=arguments.scratch,
        out=arguments.scratch / "raw",
        engine=engine(arguments),
        table=table,
    )
    if schema.row_count != arguments.rows:
        sys.exit(f"scale: {schema.row_count} rows read, {arguments.rows} made.")


def profile(arguments: argparse.Namespace) -> None:
    from synth_assets.profiling.profile import profile_table

    found = profile_table(
        arguments.scratch / "raw", schema_of(arguments), engine(arguments),
        identifying=frozenset({"patient_id", "first_name", "last_name", "email", "phone"}),
        quasi=("birth_date", "zip", "sex"), sensitive=("amount",),
    )  # fmt: skip
    (arguments.scratch / "profile.json").write_text(found.model_dump_json(indent=1))


def classify(arguments: argparse.Namespace) -> None:
    from synth_assets.pii.classify import classify_table

    verdicts = classify_table(arguments.scratch / "raw", schema_of(arguments), engine(arguments), table_name="patients")
    (arguments.scratch / "verdicts.json").write_text(json.dumps([v.model_dump(mode="json") for v in verdicts]))


def mask(arguments: argparse.Namespace) -> None:
    from synth_assets.masking.plan import plan_table
    from synth_assets.masking.policies import load_policy
    from synth_assets.masking.run import MaskInput, mask_tables
    from synth_assets.pii.records import ColumnVerdict
    from synth_assets.storage.secrets import SecretKey

    verdicts = [ColumnVerdict.model_validate(v) for v in json.loads((arguments.scratch / "verdicts.json").read_text())]
    schema = schema_of(arguments)
    policy = load_policy(arguments.policy).model_copy(
        update={"keys": "pseudonym"}
    )  # a vault per row would time a database
    plan = plan_table(tuple(verdicts), policy, schema=schema, unit_column="patient_id")
    mask_tables(
        {"patients": MaskInput(arguments.scratch / "raw", schema, plan)},
        {"patients": arguments.scratch / "masked"},
        key=SecretKey(bytes(range(32))),
        engine=engine(arguments),
    )


def engine(arguments: argparse.Namespace) -> Any:
    """The engine with the limits of the command line."""
    from synth_assets.tables.engine import Engine

    return Engine(memory_limit=arguments.memory_limit, threads=arguments.threads)


def schema_of(arguments: argparse.Namespace) -> Any:
    """Of the canonical table."""
    from synth_assets.tables.schema import TableSchema

    return TableSchema.model_validate_json((arguments.scratch / "raw" / "schema.json").read_text())


if __name__ == "__main__":
    main()
