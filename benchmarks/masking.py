"""Masking beside its peers: one million rows of the demo's patients, Parquet to Parquet, in one run on one machine.

    python benchmarks/masking.py [--rows 1000000] [--policy hipaa_safe_harbor] [--faker-rows 20000]

Each contender runs in a process of its own; the figure is cells (rows x columns) per CPU second of that process. `plain` is a
rewrite of the same table by the same engine without masks (the floor of reading and writing); `faker` is what scripts do: pandas with a
dictionary from each distinct value to a Faker value. Faker comes with SDV; it is used here only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[1] / "configs" / "schemas" / "clinic.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--faker-rows", type=int, default=20_000)
    parser.add_argument(
        "--policy", action="append", help="hipaa_safe_harbor (the demo's) and dev_test when absent; may be repeated"
    )
    parser.add_argument("--contender", choices=["ours", "plain", "faker"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        {"ours": ours, "plain": plain, "faker": faker}[arguments.contender](arguments)
        return
    for policy in arguments.policy or ["hipaa_safe_harbor", "dev_test"]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            columns = prepare(folder, arguments.rows, policy)
            rates = {name: measure(name, arguments, folder, columns) for name in ("plain", "ours", "faker")}
        print(
            f"{policy}: ours / faker: {rates['ours'] / rates['faker']:.0f} times the cells per CPU second (asked for: at least 20)"
        )
        print(
            f"{policy}: plain / ours: {rates['plain'] / rates['ours']:.1f} times a plain rewrite (asked for: at most 6)"
        )


def prepare(folder: Path, rows: int, policy: str) -> int:
    """Make the table, its schema and its plan; none of this is timed."""
    from synth_assets.config.dataset import SourceConfig, TableConfig
    from synth_assets.generation.stream import generate, load_schema
    from synth_assets.masking.plan import plan_table
    from synth_assets.masking.policies import load_policy
    from synth_assets.pii.classify import classify_table
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.sources import ingest

    made = generate(load_schema(SCHEMA), folder / "made", seed=7, rows=rows, tables=["patients"])
    source = SourceConfig(path=str(made["patients"]))
    table = TableConfig(source=source, primary_key="patient_id")
    schema = ingest(source, name="patients", base_dir=folder, out=folder / "raw", engine=Engine(), table=table)
    verdicts = classify_table(folder / "raw", schema, Engine(), table_name="patients")
    plan = plan_table(verdicts, load_policy(policy), schema=schema, unit_column="patient_id")
    (folder / "schema.json").write_text(schema.model_dump_json())
    (folder / "plan.json").write_text(plan.model_dump_json())
    return len(schema.columns)


def measure(name: str, arguments: argparse.Namespace, folder: Path, columns: int) -> float:
    """Cells per CPU second of one contender, from the operating system's account of its process."""
    rows = arguments.faker_rows if name == "faker" else arguments.rows
    command = [sys.executable, __file__, "--contender", name, "--folder", str(folder), "--rows", str(rows)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--faker-rows", str(arguments.faker_rows)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rate = rows * columns / seconds
    print(
        json.dumps(
            {
                "contender": name,
                "rows": rows,
                "columns": columns,
                "cpu_s": round(seconds, 1),
                "cells_per_cpu_s": round(rate),
            }
        )
    )
    return rate


def ours(arguments: argparse.Namespace) -> None:
    from synth_assets.masking.records import MaskingPlan
    from synth_assets.masking.run import MaskInput, mask_tables
    from synth_assets.storage.secrets import SecretKey
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.schema import TableSchema

    folder = arguments.folder
    schema = TableSchema.model_validate_json((folder / "schema.json").read_text())
    plan = MaskingPlan.model_validate_json((folder / "plan.json").read_text())
    table = MaskInput(folder / "raw", schema, plan)
    mask_tables(
        {"patients": table},
        {"patients": folder / "masked"},
        key=SecretKey(bytes(range(32))),
        engine=Engine(memory_limit="3GB"),
    )


def plain(arguments: argparse.Namespace) -> None:
    from synth_assets.tables.engine import Engine

    with Engine(memory_limit="3GB").session() as session:
        session.write(session.parquet(arguments.folder / "raw"), arguments.folder / "plain.parquet")


def faker(arguments: argparse.Namespace) -> None:
    import pandas as pd
    import pyarrow.parquet as pq
    from faker import Faker

    fake = Faker()
    Faker.seed(7)
    makers = {
        "mrn": lambda: fake.bothify("MRN-########"), "patient_id": lambda: fake.bothify("P#######"), "first_name": fake.first_name,
        "last_name": fake.last_name, "ssn": fake.ssn, "email": fake.email, "phone": fake.phone_number,
        "street_address": fake.street_address, "city": fake.city, "zip": fake.postcode,
    }  # fmt: skip
    frame = (
        pq.read_table(sorted((arguments.folder / "raw").glob("part-*.parquet")))
        .slice(0, arguments.faker_rows)
        .to_pandas()
    )
    for column, make in makers.items():
        known = {value: make() for value in frame[column].dropna().unique()}
        frame[column] = frame[column].map(known)
    frame["birth_date"] = pd.to_datetime(frame["birth_date"]).dt.to_period("Y").dt.start_time
    frame.to_parquet(arguments.folder / "faker.parquet")


if __name__ == "__main__":
    main()
