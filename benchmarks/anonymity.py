"""k-anonymity: loss, classes, blanked rows, CPU seconds and peak memory; Adult, made tables of a million rows and more, and peers.

    python benchmarks/anonymity.py DATA [--rows 1000000] [--peers PYTHON]

DATA is the folder with the public tables (`adult/train.csv`). PYTHON is an interpreter with anonypy and pycanon, whose pins clash with
ours: `python3.11 -m venv /tmp/peers && /tmp/peers/bin/pip install pycanon==1.3.6 anonypy==0.2.1`. Every row is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ADULT = ("age", "workclass", "education", "marital-status", "occupation", "race", "sex", "native-country")
SIX = ("age", "sex", "race", "education", "marital-status", "native-country")
MADE = ("age", "sex", "zip", "birth_date", "education", "occupation", "marital_status", "nationality")

ANONYPY = """
import json, resource, sys
import pandas as pd
from anonypy import Preserver
file, rows, quasi, k = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4])
df = pd.read_csv(file, keep_default_na=False).head(rows)[[*quasi, "income"]]
for name in df.columns:
    if df[name].dtype.kind not in "if":
        df[name] = df[name].astype("category")
start = resource.getrusage(resource.RUSAGE_SELF)
made = pd.DataFrame(Preserver(df, quasi, "income").anonymize_k_anonymity(k))
used = resource.getrusage(resource.RUSAGE_SELF)
loss, total = 0.0, made["count"].sum()
for name in quasi:
    cells = made[name].map(lambda c: c[0] if isinstance(c, list) else c)
    if df[name].dtype.name == "category":
        size = cells.map(lambda c: (len(str(c).split(",")) - 1) / max(df[name].nunique() - 1, 1))
    else:
        ends = cells.map(lambda c: [float(x) for x in str(c).split("-")])
        size = ends.map(lambda e: (e[-1] - e[0]) / (df[name].max() - df[name].min()))
    loss += float((size * made["count"]).sum() / total) / len(quasi)
classes = made.assign(key=made[quasi].astype(str).agg("|".join, axis=1)).groupby("key")["count"].sum()
print(json.dumps({"loss": loss, "classes": len(classes), "k": int(classes.min()), "rows": int(total),
    "cpu": used.ru_utime + used.ru_stime - start.ru_utime - start.ru_stime, "peak": used.ru_maxrss / 1024}))
"""
PYCANON = """
import json, resource, sys
import pandas as pd
from pycanon import anonymity
file, quasi = sys.argv[1], sys.argv[2].split(",")
df = pd.read_csv(file, keep_default_na=False)
start = resource.getrusage(resource.RUSAGE_SELF)
k = anonymity.k_anonymity(df, quasi)
l = anonymity.l_diversity(df, quasi, ["income"])
t = anonymity.t_closeness(df, quasi, ["income"])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"k": int(k), "l": int(l), "t": float(t),
    "cpu": used.ru_utime + used.ru_stime - start.ru_utime - start.ru_stime, "peak": used.ru_maxrss / 1024}))
"""


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def adult_table(data: Path, folder: Path, rows: int | None) -> tuple[Path, Any]:
    """Adult, or its first rows, as a canonical table."""
    from synth_assets.config.dataset import SourceConfig
    from synth_assets.tables.engine import Engine
    from synth_assets.tables.sources import ingest

    file = data / "adult" / "train.csv"
    if rows is not None:
        short = folder / "adult.csv"
        with file.open() as lines:
            short.write_text("".join(line for _, line in zip(range(rows + 1), lines, strict=False)))
        file = short
    out = folder / "adult"
    return out, ingest(SourceConfig(path=str(file)), name="adult", base_dir=folder, out=out, engine=Engine(threads=1))


def made_table(folder: Path, rows: int) -> tuple[Path, Any]:
    """A made table of persons with eight quasi-identifiers, by seed."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

    out = folder / "made"
    out.mkdir()
    rng = np.random.default_rng(7)
    kinds = {pa.int64(): ColumnKind.NUMBER, pa.date32(): ColumnKind.DATE, pa.string(): ColumnKind.CATEGORY}
    writer, done, schema = None, 0, None
    while done < rows:
        n = min(1_000_000, rows - done)
        age = np.clip(rng.gamma(6, 7, n), 0, 99).astype(np.int64)
        columns = {
            "id": np.arange(done, done + n),
            "age": age,
            "sex": np.array(["F", "M"])[rng.integers(0, 2, n)],
            "zip": [f"{z:05d}" for z in (1_000 + 97 * np.minimum(rng.zipf(1.4, n), 900))],
            "birth_date": (np.datetime64("2024-01-01") - age * 365 - rng.integers(0, 365, n)).astype("datetime64[D]"),
            "education": np.array([f"school {i}" for i in range(16)])[np.minimum(rng.poisson(5, n), 15)],
            "occupation": np.array([f"job {i}" for i in range(60)])[np.minimum(rng.zipf(1.3, n) - 1, 59)],
            "marital_status": np.array(["single", "married", "divorced", "widowed"])[
                rng.choice(4, n, p=[0.4, 0.4, 0.15, 0.05])
            ],
            "nationality": np.array([f"country {i}" for i in range(80)])[np.minimum(rng.zipf(2.2, n) - 1, 79)],
            "illness": np.array([f"I{i}" for i in range(40)])[np.minimum(rng.zipf(1.5, n) - 1, 39)],
        }
        table = pa.table(columns)
        if writer is None:
            writer, schema = pq.ParquetWriter(out / "part-00000.parquet", table.schema), table.schema
        writer.write_table(table)
        done += n
    writer.close()
    described = tuple(ColumnSchema(name=f.name, kind=kinds[f.type], dtype=str(f.type)) for f in schema)
    return out, TableSchema(name="made", columns=described, primary_key=("id",), row_count=rows)


def one(case: dict[str, Any]) -> dict[str, Any]:
    """Enforce k (l, t) on one table and write it; then measure what was written."""
    from contextlib import ExitStack

    from synth_assets.config.anonymity import AnonymityConfig
    from synth_assets.masking.anonymity.enforce import enforce
    from synth_assets.masking.anonymity.records import AnonymityDemand
    from synth_assets.masking.anonymity.verify import check_anonymity, measure
    from synth_assets.tables.engine import Engine

    engine = Engine(memory_limit=case.get("memory", "1GB"), threads=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if "data" in case:
            path, schema = adult_table(Path(case["data"]), folder, case.get("rows"))
        else:
            path, schema = made_table(folder, case["rows"])
        kinds = {"zip": "zip"}
        demand = AnonymityDemand(
            quasi=tuple(case["quasi"]),
            sensitive=(case["sensitive"],),
            rule=AnonymityConfig(**case["rule"]),
            entity_types=kinds,
        )
        if case.get("measure"):
            start = cpu()
            with engine.session() as session:
                found = measure(session, session.parquet(path), schema, demand.quasi, demand.sensitive)
            return {"k": found.k, "l": found.sensitive[0].distinct, "t": found.sensitive[0].t, "cpu": cpu() - start}
        start = cpu()
        with engine.session() as session, ExitStack() as stack:
            table = session.parquet(path)
            made = enforce(session, stack, table, schema, demand, None)
            names = {q: f"out_{q}" for q in demand.quasi}
            rest = [c for c in table.columns if c not in names]
            released = made.apply(table, names).select(*rest, **names)
            session.write(released, folder / "released.parquet")
        used = cpu() - start
        report = check_anonymity(folder / "released.parquet", schema=schema, demand=demand, engine=engine)
        done = made.outcome
        return {
            "method": done.method, "loss": done.loss, "classes": done.classes, "k": report.measure.k, "holds": report.passed,
            "blank": done.suppressed_rows / done.rows, "rows": done.rows, "combinations": done.combinations, "cpu": used,
            "check_cpu": cpu() - start - used, "dm": done.discernibility, "c_avg": done.average_class_size,
            "tried": {t.method: (t.loss, t.exact) for t in done.tried},
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }  # fmt: skip


def process(command: list[str]) -> dict[str, Any]:
    """Run a case in a process of its own."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(title: str, found: dict[str, Any]) -> None:
    told = []
    for name, value in found.items():
        told.append(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}")
    print(f"{title}: {', '.join(told)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000], help="sizes of the made table")
    parser.add_argument("--peers", help="an interpreter with anonypy and pycanon")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(one(json.loads(given.case))))
        return

    def ours(title: str, **case: Any) -> None:
        show(title, process([sys.executable, __file__, "--case", json.dumps(case)]))

    if given.data:
        data, file = str(given.data), str(given.data / "adult" / "train.csv")
        adult = {"data": data, "quasi": ADULT, "sensitive": "income"}
        for k in (5, 11, 50):
            for method in ("full_domain", "multidimensional"):
                ours(f"Adult, 8 columns, k = {k}, {method}", **adult, rule={"k": k, "method": method})
        ours("Adult, 8 columns, k = 11, l = 2", **adult, rule={"k": 11, "l_diversity": 2})
        ours("Adult, 8 columns, k = 11, t = 0.2", **adult, rule={"k": 11, "t_closeness": 0.2})
        six = {**adult, "quasi": SIX}
        ours("Adult, first 5,000 rows, 6 columns, k = 5", **six, rows=5000, rule={"k": 5})
        ours("Adult, 6 columns, k = 5", **six, rule={"k": 5})
        ours("Adult, 6 columns, measure k, l, t", **six, rule={"k": 5, "l_diversity": 2}, measure=True)
        if given.peers:
            found = process([given.peers, "-c", PYCANON, file, ",".join(SIX)])
            show("  pycanon, Adult, 6 columns, measure k, l, t", found)
            found = process([given.peers, "-W", "ignore", "-c", ANONYPY, file, "5000", ",".join(SIX), "5"])
            show("  anonypy Mondrian, first 5,000 rows, 6 columns, k = 5", found)
    for rows in given.rows:
        made = {"rows": rows, "quasi": MADE, "sensitive": "illness"}
        ours(f"made table, {rows:,} rows, 8 columns, k = 11", **made, rule={"k": 11})


if __name__ == "__main__":
    main()
